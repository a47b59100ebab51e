/**
 * `gristmill mix apply`: a corpus in which every domain has its share, its documents blended.
 *
 *     OUT/part-00000.parquet …    text, domain
 *     OUT/_mixture.json           what was asked and what came out, exactly
 *
 * All of it is written as `OUT.partial` and renamed once: OUT is whole or not there. What a killed run left of it says
 * what it is, so that nobody takes it for documents, and the next run removes it. The same mixture, sources and seed give
 * the same bytes.
 */
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { stringColumn } from '../../corpus/schema.ts';
import { openSink } from '../../corpus/sink.ts';
import type { CorpusSink, SinkFormat } from '../../corpus/types.ts';
import { syncFolder, writeDurably } from '../../durable-files.ts';
import { GristmillError, throwIfAborted } from '../../errors.ts';
import { makeFolder } from '../../local-path.ts';
import { native } from '../../native/index.ts';
import type { NativeTokenizer } from '../../native/tokenizer.ts';
import {
  abortSignal,
  anObject,
  callback,
  checkOptions,
  listOf,
  name,
  number,
  type OptionTable,
  oneOf,
  text,
} from '../../options.ts';
import { hashOf } from '../../same-run.ts';
import {
  checkSources,
  type DomainSource,
  fingerprintsOf,
  type PlannedSource,
  planSources,
} from '../../tokens/sources.ts';
import { withLease } from '../../work/lease.ts';
import { domainName } from '../tables.ts';
import type { Mixture } from './chosen-mixture.ts';
import { type PickOptions, type Picks, pickDocuments } from './picks.ts';
import { type ScannedDomain, Spool, scanDomains } from './scan.ts';

/** Options of {@link applyMixture}. */
export interface ApplyMixtureOptions {
  readonly mixture: Mixture;
  /** What messages call it. Default `mixture`. */
  readonly mixtureName?: string;
  readonly sources: readonly DomainSource[];
  /** Folder of the corpus; it must not be there, or be empty. */
  readonly out: string;
  /** How much in all: documents, characters (code points) or tokens. */
  readonly quota: Pick<PickOptions, 'unit' | 'total'>;
  /** GGUF file whose tokens are counted; needed for a quota of tokens. */
  readonly tokenizer?: string | undefined;
  /** How often a document may appear, at most. Default 4 (Muennighoff et al., arXiv 2305.16264). */
  readonly maxEpochs?: number;
  /** Of the choice and the order. Default 0. */
  readonly seed?: number;
  /** Default `parquet`. */
  readonly format?: SinkFormat;
  /** Rows of a file, at most. Default 500,000. */
  readonly fileRows?: number;
  readonly onProgress?: (phase: 'measure' | 'copy' | 'write', nRows: number, total: number) => void;
  /** One line that a person should see: a wait for a lease, files that are passed over. */
  readonly onNotice?: ((line: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A domain of a mixed corpus. */
export interface AppliedDomain {
  readonly name: string;
  readonly weight: number;
  readonly rows: number;
  readonly chars: number;
  /** Null without a tokenizer. */
  readonly tokens: number | null;
  /** Share of the quota's unit that came out. */
  readonly share: number;
  /** Rows by documents that there are. */
  readonly epochs: number;
  readonly availableDocs: number;
}

/** What _mixture.json holds. */
export interface AppliedMixture {
  readonly format: 1;
  readonly unit: PickOptions['unit'];
  /** Asked for. */
  readonly total: number;
  readonly seed: number;
  readonly maxEpochs: number;
  readonly domains: readonly AppliedDomain[];
  readonly rows: number;
  /** Rows of the sources without a text or a domain. */
  readonly nSkipped: number;
  /** What the caller should know of the result. */
  readonly notes: readonly string[];
  readonly corpus: SinkFormat;
  readonly fileRows: number;
  readonly inputs: Readonly<Record<string, string>>;
  readonly tokenizer: string | null;
  readonly files: readonly {
    readonly path: string;
    readonly rows: number;
    readonly bytes: number;
    readonly sha256: string;
  }[];
}

/** Name of the file that says what a folder holds. */
const RECORD = '_mixture.json';
/** What it says until all is written. */
const UNFINISHED = { format: 1, unfinished: true };
const BATCH_ROWS = 1024;
const BATCH_BYTES = 16 * 2 ** 20;

const OPTION_TABLE: OptionTable<ApplyMixtureOptions> = {
  mixture: anObject,
  mixtureName: text,
  sources: listOf(anObject, 1),
  out: name,
  quota: anObject,
  tokenizer: name,
  maxEpochs: number,
  seed: number,
  format: oneOf(['parquet', 'jsonl.zst', 'arrow']),
  fileRows: number,
  onProgress: callback,
  onNotice: callback,
  signal: abortSignal,
};

/**
 * Makes a mixed corpus. Where `out` holds the one that would be made, that is the result, and nothing is written.
 *
 * @throws MIXTURE_DOMAIN_UNKNOWN, MIXTURE_DOMAIN_TOO_SMALL, MIXTURE_RUN_CHANGED, RUN_OUTPUT_FOREIGN, RUN_OUTPUT_IN_USE,
 *   RUN_LEASE_LOST, MIXTURE_WRITE_FAILED, TRAIN_SOURCES_INVALID, CORPUS_*, OPTION_INVALID, ABORTED
 */
export async function applyMixture(options: ApplyMixtureOptions): Promise<AppliedMixture> {
  checkOptions<ApplyMixtureOptions>('applyMixture', options, OPTION_TABLE, [
    'mixture',
    'sources',
    'out',
    'quota',
  ]);
  const { quota, maxEpochs = 4, seed = 0, tokenizer: vocabulary, signal } = options;
  const { format: corpus = 'parquet', fileRows = 500_000 } = options;
  const out = resolve(options.out);
  checkCount('total', quota.total);
  checkCount('maxEpochs', maxEpochs);
  checkCount('fileRows', fileRows);
  if (quota.unit === 'tokens' && vocabulary === undefined) {
    const expected = 'a GGUF file, to count tokens';
    throw new GristmillError('OPTION_INVALID', { option: 'tokenizer', expected, received: 'none' });
  }
  const earlier = readApplied(out);
  const sources = checkSources({ domains: options.sources });
  const planned = await planSources(sources, signal, options.onNotice);
  const settings = {
    format: 1 as const,
    ...quota,
    seed,
    maxEpochs,
    corpus,
    fileRows,
    inputs: fingerprintsOf(planned),
    tokenizer: vocabulary === undefined ? null : await hashOf(vocabulary),
  };
  if (earlier) {
    checkUnchanged(earlier, { ...settings, weights: weightsByName(options.mixture) }, out);
    return earlier;
  }
  const tokenizer = vocabulary === undefined ? null : await native().openTokenizer(vocabulary);
  const partial = `${out}.partial`;
  const lock = join(dirname(out), `.${basename(out)}.lock`);
  try {
    return await withLease(out, lock, 'MIXTURE_WRITE_FAILED', options, async (lease) => {
      // Another one may have made it while this one waited.
      if (readApplied(out)) throw new GristmillError('RUN_OUTPUT_FOREIGN', { out });
      clearPartial(partial);
      try {
        options.onProgress?.('measure', 0, 0);
        const { domains: scanned, nSkipped } = await scanDomains(planned, tokenizer, signal);
        const domains = weigh(scanned, options);
        const picks = await pickDocuments(
          domains.map(({ scan, weight }) => ({
            name: scan.name,
            weight,
            sizes: quota.unit === 'tokens' ? scan.tokens : scan.chars,
          })),
          { ...quota, maxEpochs, seed, signal },
        );
        lease.check();
        makeFolder(partial);
        writeDurably(join(partial, RECORD), `${JSON.stringify(UNFINISHED, null, 2)}\n`);
        const files = await writePicks(partial, picks, domains, planned, options);
        const result: AppliedMixture = {
          ...settings,
          domains: measured(domains, picks, quota.unit, tokenizer),
          rows: picks.docs.length,
          nSkipped,
          notes: notesOf(picks, quota.unit),
          files,
        };
        writeDurably(join(partial, RECORD), `${JSON.stringify(result, null, 2)}\n`);
        syncFolder(partial);
        lease.check();
        renameSync(partial, out);
        syncFolder(dirname(out));
        return result;
      } catch (error) {
        // Where the lease was lost it is another one's by now.
        if (lease.explain(error) === error) rmSync(partial, { recursive: true, force: true });
        throw error;
      }
    });
  } finally {
    tokenizer?.dispose();
  }
}

/** Removes what a killed run left. @throws RUN_OUTPUT_FOREIGN for a folder that no run has made */
function clearPartial(partial: string): void {
  if (!existsSync(partial)) return;
  const names = statSync(partial).isDirectory() ? readdirSync(partial) : [''];
  if (names.length > 0 && !names.includes(RECORD)) {
    throw new GristmillError('RUN_OUTPUT_FOREIGN', { out: partial });
  }
  rmSync(partial, { recursive: true });
}

interface WeighedDomain {
  readonly scan: ScannedDomain;
  readonly weight: number;
}

/**
 * The domains that have a weight, by name, with or without `train_`.
 *
 * @throws MIXTURE_DOMAIN_UNKNOWN; TRAIN_SOURCES_INVALID, OPTION_INVALID for two names of one domain
 */
function weigh(
  scanned: readonly ScannedDomain[],
  { mixture, mixtureName = 'mixture' }: ApplyMixtureOptions,
): WeighedDomain[] {
  const known = new Map<string, string>();
  for (const { name } of scanned) {
    const other = known.get(domainName(name));
    if (other !== undefined) {
      const reason = `${other} and ${name} are one domain to a mixture, which may leave out train_`;
      throw new GristmillError('TRAIN_SOURCES_INVALID', { file: 'sources', reason });
    }
    known.set(domainName(name), name);
  }
  const weightOf = weightsByName(mixture);
  for (const [domain, weight] of weightOf) {
    if (weight === 0 || known.has(domain)) continue;
    const names = [...known.values()].join(', ');
    const details = { domain, file: mixtureName, where: 'the sources', known: names };
    throw new GristmillError('MIXTURE_DOMAIN_UNKNOWN', details);
  }
  return scanned.flatMap((scan) => {
    const weight = weightOf.get(domainName(scan.name)) ?? 0;
    return weight > 0 ? [{ scan, weight }] : [];
  });
}

/** Weights by the names of domains without `train_`. @throws OPTION_INVALID for two names of one domain */
function weightsByName({ domains, weights }: Mixture): ReadonlyMap<string, number> {
  const weightOf = new Map<string, number>();
  for (const [at, name] of domains.entries()) {
    if (weightOf.has(domainName(name))) {
      const expected = 'distinct domains, with or without train_';
      throw new GristmillError('OPTION_INVALID', { option: 'mixture', expected, received: name });
    }
    weightOf.set(domainName(name), weights[at]!);
  }
  return weightOf;
}

/** Domains with a weight that got nothing. */
function notesOf({ left }: Picks, unit: PickOptions['unit']): string[] {
  return left.map(
    ({ name, leastTotal }) =>
      `domain ${name} got no document: its share is less than one; from ${leastTotal} ${unit} in all on it gets one`,
  );
}

/** The corpus that a folder holds; null where nothing is. @throws RUN_OUTPUT_FOREIGN */
function readApplied(out: string): AppliedMixture | null {
  if (!existsSync(out)) return null;
  const foreign = (): never => {
    throw new GristmillError('RUN_OUTPUT_FOREIGN', { out });
  };
  try {
    if (readdirSync(out).length === 0) return null;
    const applied = JSON.parse(readFileSync(join(out, RECORD), 'utf8')) as AppliedMixture;
    const isWhole = applied.files.every(
      ({ path, bytes }) => statSync(join(out, path)).size === bytes,
    );
    if (applied.format === 1 && isWhole && Array.isArray(applied.domains)) return applied;
  } catch {
    // Told below: what cannot be read as one is none.
  }
  return foreign();
}

/** @throws MIXTURE_RUN_CHANGED naming the settings */
function checkUnchanged(
  earlier: AppliedMixture,
  { weights, ...settings }: Partial<AppliedMixture> & { weights: ReadonlyMap<string, number> },
  out: string,
): void {
  const changes = Object.entries(settings)
    .filter(([key, value]) => !isDeepStrictEqual(earlier[key as keyof AppliedMixture], value))
    .map(([key]) => key);
  const own = [...weights].filter(([, weight]) => weight > 0);
  const isSame =
    own.length === earlier.domains.length &&
    earlier.domains.every(({ name, weight }) => weights.get(domainName(name)) === weight);
  if (!isSame) changes.push('weights');
  if (changes.length === 0) return;
  throw new GristmillError('MIXTURE_RUN_CHANGED', { out, changes: changes.join(', ') });
}

async function writePicks(
  folder: string,
  picks: Picks,
  domains: readonly WeighedDomain[],
  planned: readonly PlannedSource[],
  { format = 'parquet', fileRows = 500_000, onProgress, signal }: ApplyMixtureOptions,
): Promise<AppliedMixture['files']> {
  const names = domains.map(({ scan }) => scan.name);
  const chosen = domains.map(({ scan }) => new Uint8Array(scan.chars.length));
  picks.docs.forEach((doc, at) => {
    chosen[picks.domains[at]!]![doc] = 1;
  });
  const nRows = picks.docs.length;
  onProgress?.('copy', 0, nRows);
  const spoolFile = join(folder, 'spool.tmp');
  const files: AppliedMixture['files'][number][] = [];
  {
    using spool = await Spool.fill(spoolFile, planned, names, chosen, signal);
    for (let first = 0; first < nRows; first += fileRows) {
      const name = `part-${String(files.length).padStart(5, '0')}.${format}`;
      const sink = await openSink({
        format,
        path: join(folder, name),
        columns: [stringColumn('text')],
        textColumn: 'text',
        extra: [{ name: 'domain', type: 'string' }],
      });
      try {
        const end = Math.min(nRows, first + fileRows);
        await writeRows(sink, spool, picks, names, [first, end], (row) => {
          throwIfAborted(signal, 'mix apply');
          onProgress?.('write', row, nRows);
        });
        const { rows, bytes, sha256 } = await sink.close();
        files.push({ path: name, rows, bytes, sha256 });
      } catch (error) {
        await sink.abort();
        throw error;
      }
    }
  }
  rmSync(spoolFile);
  return files;
}

async function writeRows(
  sink: CorpusSink,
  spool: Spool,
  picks: Picks,
  names: readonly string[],
  [first, end]: readonly [number, number],
  onBatch: (row: number) => void,
): Promise<void> {
  let texts: Uint8Array[] = [];
  let domains: string[] = [];
  let nBytes = 0;
  for (let row = first; row < end; row++) {
    const domain = picks.domains[row]!;
    const text = spool.read(domain, picks.docs[row]!);
    texts.push(text);
    domains.push(names[domain]!);
    nBytes += text.length;
    if (texts.length < BATCH_ROWS && nBytes < BATCH_BYTES && row + 1 < end) continue;
    await sink.write({ text: texts, rows: null, carry: null, extra: { domain: domains } });
    onBatch(row + 1);
    texts = [];
    domains = [];
    nBytes = 0;
  }
}

function measured(
  domains: readonly WeighedDomain[],
  picks: Picks,
  unit: PickOptions['unit'],
  tokenizer: NativeTokenizer | null,
): AppliedDomain[] {
  const rows = new Float64Array(domains.length);
  const chars = new Float64Array(domains.length);
  const tokens = new Float64Array(domains.length);
  picks.docs.forEach((doc, at) => {
    const domain = picks.domains[at]!;
    const { scan } = domains[domain]!;
    rows[domain]!++;
    chars[domain]! += scan.chars[doc]!;
    tokens[domain]! += scan.tokens[doc] ?? 0;
  });
  const sizes = { rows, chars, tokens }[unit];
  const total = sizes.reduce((sum, size) => sum + size, 0);
  return domains.map(({ scan, weight }, domain) => ({
    name: scan.name,
    weight,
    rows: rows[domain]!,
    chars: chars[domain]!,
    tokens: tokenizer ? tokens[domain]! : null,
    share: total === 0 ? 0 : sizes[domain]! / total,
    epochs: rows[domain]! / scan.chars.length,
    availableDocs: scan.chars.length,
  }));
}

function checkCount(option: string, value: number): void {
  if (Number.isSafeInteger(value) && value >= 1) return;
  const expected = 'a whole number above 0';
  throw new GristmillError('OPTION_INVALID', { option, expected, received: value });
}
