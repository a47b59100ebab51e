/** A file of counts by site, as its readers see it; see native/sites/site_table.h. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import * as z from 'zod';
import { GristmillError } from '../errors.ts';
import { localPath } from '../local-path.ts';
import { native } from '../native/index.ts';
import type { SiteTable, TableCounts } from '../native/sites.ts';
import { siteOf } from './site-names.ts';

/** What a file of counts holds. */
export interface SiteCounts extends TableCounts {
  readonly siteColumn: string;
  /** Rows that were counted, copies included, and their lines. */
  readonly rows: number;
  readonly lines: number;
  readonly bytes: number;
  readonly sha256: string;
}

const metaSchema = z.object({
  format: z.literal(1),
  id: z.string(),
  siteColumn: z.string(),
  rows: z.int().min(0),
  lines: z.int().min(0),
});

/** What a file's maker wrote into it; null where that is nothing of ours. */
export function idInMeta(meta: string): z.infer<typeof metaSchema> | null {
  try {
    return metaSchema.parse(JSON.parse(meta));
  } catch {
    return null;
  }
}

/** Bytes and SHA-256 of a file. */
export async function fileHash(
  path: string,
): Promise<{ readonly bytes: number; readonly sha256: string }> {
  const hash = createHash('sha256');
  const stream = createReadStream(path, { highWaterMark: 2 ** 20 });
  await pipeline(stream, hash);
  return { bytes: stream.bytesRead, sha256: hash.digest('hex') };
}

/** A line of a site's template. */
export interface TemplateLine {
  /** Pages of the site that hold it, copies counted once. */
  readonly pages: number;
  /** As it is compared: lower case, digits as 0, white space folded; cut after 160 bytes. */
  readonly text: string;
}

/** What is known of a site. */
export interface SiteTemplate {
  readonly site: string;
  readonly pages: number;
  /** Lines on two pages or more. */
  readonly repeatedLines: number;
  /** Lines on a fifth of the pages, and on three; on two where the site has two or three pages. */
  readonly templateLines: number;
  /** Those of them whose text was kept, by falling number of pages. */
  readonly lines: readonly TemplateLine[];
}

/** An open file of counts. */
export interface Sites extends Disposable {
  readonly path: string;
  readonly table: SiteTable;
  readonly counts: TableCounts;
  readonly siteColumn: string;
  /** @param host a host, a URL or a domain @throws SITES_NOT_KNOWN */
  template(host: string): SiteTemplate;
  /** The sites with the most pages. */
  largest(count: number): readonly { readonly name: string; readonly pages: number }[];
  dispose(): void;
}

/** Opens a file that {@link countSites} has made. @throws SITES_FILE_INVALID */
export async function openSites(file: string): Promise<Sites> {
  const path = localPath(file, 'input');
  const table = await native().sites.openTable(path);
  const meta = idInMeta(table.meta);
  if (meta === null) {
    table.dispose();
    const reason = 'it does not say what it was made of';
    throw new GristmillError('SITES_FILE_INVALID', { file, reason });
  }
  return {
    path,
    table,
    counts: table.counts,
    siteColumn: meta.siteColumn,
    template(host) {
      const site = siteOf(host) ?? host;
      const { pages, repeated, template, texts } = table.texts(site);
      if (pages === 0) throw new GristmillError('SITES_NOT_KNOWN', { file, site });
      return { site, pages, repeatedLines: repeated, templateLines: template, lines: texts };
    },
    largest: (count) => table.largest(count),
    dispose: () => table.dispose(),
    [Symbol.dispose]: () => table.dispose(),
  };
}
