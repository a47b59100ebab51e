/**
 * Domains of the case `mixture-proxies`: seven kinds of text as JSON lines, long texts cut into pieces.
 *
 * Web and maths are the main content that people wrote down (web-gold); four languages are raw web text (web-raw); code is
 * the C++ of the vendored llama.cpp, which every checkout has.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readRows } from '../../src/scorers/gold.ts';

const PIECE_CHARS = 20_000;
const MIN_CHARS = 200;

/** A domain with its file. */
export interface DomainFile {
  readonly name: string;
  readonly file: string;
}

/**
 * Writes the domains.
 *
 * @param data folder that holds web-gold and web-raw
 * @param vendor the unpacked llama.cpp
 */
export async function writeDomains(
  data: string,
  vendor: string,
  out: string,
): Promise<DomainFile[]> {
  mkdirSync(out, { recursive: true });
  const gold = (name: string) => rowsOf(join(data, 'web-gold', `${name}.jsonl.gz`));
  const raw = await rowsOf(join(data, 'web-raw', 'web-raw-dev.jsonl.gz'));
  const rawText = (source: string, language: string): string[] =>
    raw
      .filter((row) => row['source_dataset'] === source && row['language'] === language)
      .map((row) => String(row['text']));
  const domains: Record<string, readonly string[]> = {
    web: (await gold('dev'))
      .filter((row) => row['language'] === 'en')
      .map((row) => String(row['gold_text'])),
    maths: (await gold('dev-math')).map((row) => String(row['gold_text'])),
    german: rawText('trafilatura-eval', 'de'),
    french: rawText('frcore', 'fr'),
    finnish: rawText('fincore', 'fi'),
    swedish: rawText('svcore', 'sv'),
    code: codeIn(vendor),
  };
  return Object.entries(domains).map(([name, texts]) => {
    const file = join(out, `${name}.jsonl`);
    const pieces = texts.filter(({ length }) => length >= MIN_CHARS).flatMap(piecesOf);
    writeFileSync(file, pieces.map((text) => `${JSON.stringify({ text })}\n`).join(''));
    return { name, file };
  });
}

async function rowsOf(file: string): Promise<Readonly<Record<string, unknown>>[]> {
  const rows: Readonly<Record<string, unknown>>[] = [];
  for await (const { row } of readRows(file, undefined)) rows.push(row);
  return rows;
}

function codeIn(vendor: string): string[] {
  return ['src', 'ggml/src', 'common'].flatMap((folder) =>
    readdirSync(join(vendor, folder))
      .filter((name) => /\.(?:c|cpp)$/.test(name))
      .sort()
      .map((name) => readFileSync(join(vendor, folder, name), 'utf8')),
  );
}

function piecesOf(text: string): string[] {
  const pieces: string[] = [];
  for (let at = 0; at < text.length; at += PIECE_CHARS)
    pieces.push(text.slice(at, at + PIECE_CHARS));
  // A cut may part a pair of surrogates: half of one is no text.
  return pieces.map((piece) => Buffer.from(piece).toString());
}
