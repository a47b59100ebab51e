/** Formats by the names of files, and what can be done with those of other formats. */
import type { CorpusFormat } from './types.ts';

/** How JSON lines are named: with each of these endings, plain or compressed. `.json` is what C4, Dolma and mC4 use. */
const JSON_NAMES = ['.jsonl', '.ndjson', '.json'];

/** Extensions and their formats. */
const FORMATS: readonly (readonly [string, CorpusFormat])[] = [
  ['.parquet', 'parquet'],
  ['.parq', 'parquet'],
  ['.pq', 'parquet'],
  ...JSON_NAMES.flatMap((name): [string, CorpusFormat][] => [
    [name, 'jsonl'],
    [`${name}.gz`, 'jsonl.gz'],
    [`${name}.zst`, 'jsonl.zst'],
  ]),
  ['.arrow', 'arrow'],
  ['.arrows', 'arrow'],
  ['.ipc', 'arrow'],
  ['.feather', 'arrow'],
];

/** Tables and text: read where they are named, and where a folder has nothing better; see walk.ts. */
const NAMED_FORMATS = (['csv', 'tsv', 'txt'] as const).flatMap((name) =>
  (['', '.gz', '.zst'] as const).map(
    (packed) => [`.${name}${packed}`, `${name}${packed}`] as const,
  ),
);

/** The name of standard input. */
export const STDIN = '-';

/** Known extensions, for messages. */
export const KNOWN_FORMATS = FORMATS.map(([extension]) => extension).join(' ');

/** Format by extension, or null. */
export function formatOf(path: string): CorpusFormat | null {
  if (path === STDIN) return 'arrow';
  const name = path.toLowerCase();
  const found = FORMATS.filter(([extension]) => name.endsWith(extension));
  return found.at(-1)?.[1] ?? null;
}

/** The format of a file, tables and text among them, or null. */
export function namedFormatOf(path: string): CorpusFormat | null {
  const name = path.toLowerCase();
  return formatOf(path) ?? NAMED_FORMATS.find(([end]) => name.endsWith(end))?.[1] ?? null;
}

/** How good a file of a folder is as a corpus: what is better than another kind of file there is what is meant. */
export type FolderRank = 'corpus' | 'table' | 'text';

/** The rank of a file by its name; null for other formats. */
export function rankOf(path: string): FolderRank | null {
  if (formatOf(path) !== null) return 'corpus';
  const format = namedFormatOf(path);
  if (format === null) return null;
  return format.startsWith('txt') ? 'text' : 'table';
}

/** Formats that are read, planned and written alike. */
export type FormatFamily = 'parquet' | 'jsonl' | 'arrow';

/** The family of a format. */
export function familyOf(format: CorpusFormat): FormatFamily {
  if (/^(?:jsonl|csv|tsv|txt|lines)\b/.test(format)) return 'jsonl';
  return format === 'parquet' ? 'parquet' : 'arrow';
}

/** The ending of a name in lower case, with that below a compression: `.csv`, `.csv.gz`; empty for none. */
export function extensionOf(path: string): string {
  const name = path.slice(path.lastIndexOf('/') + 1).toLowerCase();
  const found = /.(\.[a-z0-9]{1,10}(?:\.(?:gz|zst|bz2|xz|lz4|zip))?)$/s.exec(name);
  return found?.[1] ?? '';
}

/** How files of other formats become ones that are read; keys are endings without a compression. */
const CONVERSIONS: readonly (readonly [RegExp, string])[] = [
  [
    /^\.(md|text)$/,
    `duckdb -c "copy (select filename as id, content as text from read_text('FOLDER/*{extension}')) to 'texts.parquet'"`,
  ],
  [/^\.xlsx$/, `duckdb -c "copy (from read_xlsx('FILE')) to 'FILE.parquet'"`],
];

/** A command that converts files with an ending, or null. */
export function conversionOf(extension: string): string | null {
  const bare = extension.replace(/(.)\.(gz|zst|bz2|xz|lz4|zip)$/, '$1');
  const found = CONVERSIONS.find(([pattern]) => pattern.test(bare));
  return found ? found[1].replace('{extension}', () => extension) : null;
}
