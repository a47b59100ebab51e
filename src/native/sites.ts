/** Typed face of counting lines by site (native/binding/sites.cc). */
import { throwIfAborted } from '../errors.ts';
import { codedCall, fromNative } from './error.ts';

/** Distinct hosts of a column. */
export interface ColumnHosts {
  /** Index of each row's host; -1 for none. */
  readonly hostOf: Int32Array;
  /** All hosts, one after another: lower case, what is not ASCII as UTF-8. */
  readonly hosts: Uint8Array;
  /** First byte of each host, and the end. */
  readonly hostStarts: Int32Array;
}

/** Options of a counter. */
export interface SiteCounterOptions {
  /** File of the part; runs that are spilled lie beside it. */
  readonly path: string;
  /** 1..512; the part does not depend on it. */
  readonly nThreads: number;
  /** Lines that are held before they are spilled; default 2^22. */
  readonly runRecords?: number;
  /** Bytes of texts of lines that the part keeps; default 8 MiB. */
  readonly textBytes?: number;
}

/** Pages to count; their bytes are not copied. */
export interface CountedPages {
  readonly data: Uint8Array;
  readonly offsets: Int32Array;
  /** Site of each row, an index among `names`; -1: it is not counted. */
  readonly siteOf: Int32Array;
  readonly names: Uint8Array;
  readonly nameStarts: Int32Array;
}

/** What a part was made of. */
export interface PartCounts {
  readonly pages: number;
  readonly lines: number;
  /** Bytes of the part. */
  readonly bytes: number;
}

/** What a table was made of, and holds. */
export interface TableCounts {
  /** Pages, copies counted once. */
  readonly pages: number;
  readonly sites: number;
  /** Sites that have a line on two pages, and those lines. */
  readonly sitesKept: number;
  readonly linesKept: number;
}

/** A page's lines as a table has them. */
export interface LinePages {
  /** Pages of the site; 0: not known. */
  readonly pages: number;
  /** By line (LF): pages that hold it; 0 for one, and for a blank line. */
  readonly lines: Int32Array;
}

/** What a table keeps of a site. */
export interface SiteTexts {
  readonly pages: number;
  /** Lines on two pages or more. */
  readonly repeated: number;
  /** Lines of its template. */
  readonly template: number;
  /** Those of them whose text is kept, by falling number of pages; normalised, cut after 160 bytes. */
  readonly texts: readonly { readonly pages: number; readonly text: string }[];
}

/** Counts pages; one call at a time. */
export interface SiteCounter {
  /** @throws OPTION_INVALID, RUN_OUTPUT_FAILED, ABORTED, DISPOSED */
  add(pages: CountedPages, signal?: AbortSignal): Promise<void>;
  /** Writes the part. @throws as {@link add} */
  finish(signal?: AbortSignal): Promise<PartCounts>;
  dispose(): void;
}

/** A table to look up. */
export interface SiteTable {
  /** The addon's own object. */
  readonly handle: SiteTableHandle;
  readonly counts: TableCounts;
  /** JSON of whoever made it. */
  readonly meta: string;
  linePages(text: Uint8Array, site: string): LinePages;
  texts(site: string): SiteTexts;
  /** The sites with the most pages. */
  largest(count: number): readonly { readonly name: string; readonly pages: number }[];
  dispose(): void;
}

interface SiteCounterHandle {
  add(request: CountedPages & { readonly cancel: Int32Array }): Promise<void>;
  finish(cancel: Int32Array): Promise<PartCounts>;
  dispose(): void;
}

/** The addon's own table. */
export interface SiteTableHandle {
  open(): Promise<TableCounts & { readonly meta: string }>;
  linePages(text: Uint8Array, site: string): LinePages;
  texts(site: string): SiteTexts;
  largest(count: number): readonly { readonly name: string; readonly pages: number }[];
  dispose(): void;
}

/** What the addon exports for sites. */
export interface SitesAddon {
  siteHosts(data: Uint8Array, offsets: Int32Array, validity: Uint8Array | null): ColumnHosts;
  readonly SiteCounter: new (options: SiteCounterOptions) => SiteCounterHandle;
  readonly SiteTable: new (path: string) => SiteTableHandle;
  mergeSiteParts(request: {
    readonly parts: readonly string[];
    readonly out: string;
    readonly meta: string;
    readonly cancel: Int32Array;
  }): Promise<TableCounts>;
}

/** Counting, with coded errors and signals. */
export interface NativeSites {
  /** @throws OPTION_INVALID */
  hosts(data: Uint8Array, offsets: Int32Array, validity: Uint8Array | null): ColumnHosts;
  /** @throws OPTION_INVALID */
  openCounter(options: SiteCounterOptions): SiteCounter;
  /** Makes a table of parts. @throws RUN_OUTPUT_FAILED, SITES_FILE_INVALID, ABORTED */
  merge(
    request: { readonly parts: readonly string[]; readonly out: string; readonly meta: string },
    signal?: AbortSignal,
  ): Promise<TableCounts>;
  /** @throws SITES_FILE_INVALID */
  openTable(path: string): Promise<SiteTable>;
}

/** The typed face over an addon. */
export function sitesWith(addon: SitesAddon): NativeSites {
  const coded = <T>(call: () => T): T => {
    try {
      return call();
    } catch (error) {
      throw fromNative(error);
    }
  };
  return {
    hosts: (data, offsets, validity) => coded(() => addon.siteHosts(data, offsets, validity)),
    openCounter(options) {
      const handle = coded(() => new addon.SiteCounter(options));
      return {
        add: (pages, signal) =>
          cancellable('counting', signal, (cancel) => handle.add({ ...pages, cancel })),
        finish: (signal) => cancellable('counting', signal, (cancel) => handle.finish(cancel)),
        dispose: () => handle.dispose(),
      };
    },
    merge: (request, signal) =>
      cancellable('merging counts', signal, (cancel) =>
        addon.mergeSiteParts({ ...request, cancel }),
      ),
    async openTable(path) {
      const handle = new addon.SiteTable(path);
      const { meta, ...counts } = await codedCall(() => handle.open());
      return {
        handle,
        counts,
        meta,
        linePages: (text, site) => coded(() => handle.linePages(text, site)),
        texts: (site) => coded(() => handle.texts(site)),
        largest: (count) => coded(() => handle.largest(count)),
        dispose: () => handle.dispose(),
      };
    },
  };
}

async function cancellable<T>(
  what: string,
  signal: AbortSignal | undefined,
  call: (cancel: Int32Array) => Promise<T>,
): Promise<T> {
  throwIfAborted(signal, what);
  const cancel = new Int32Array(new SharedArrayBuffer(4));
  const onAbort = (): void => {
    Atomics.store(cancel, 0, 1);
  };
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    return await codedCall(() => call(cancel), signal);
  } finally {
    signal?.removeEventListener('abort', onAbort);
  }
}
