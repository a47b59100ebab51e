/** Model folders around tokenizer files, converted or refused, and the patterns that cut texts; for the tests beside. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { convertModel } from '../../../src/model/convert/convert.ts';
import { convertTokenizer } from '../../../src/model/convert/tokenizer.ts';
import { native } from '../../../src/native/index.ts';
import { seeded } from '../../support/corpus.ts';
import { readGguf } from '../../support/gguf-read.ts';
import { smallConfig, TEXTS, writeJson, writeModel } from '../../support/hf-model.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-convert-tokenizer-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let nFolders = 0;

export type Files = Record<string, unknown>;

/** A folder with a small model and these files; a Buffer is written as it is. */
export function folderWith(files: Files, config = smallConfig('LlamaForCausalLM')): string {
  const dir = join(folder, `${nFolders++}`);
  writeModel(dir, { ...config, num_hidden_layers: 1 });
  for (const [name, value] of Object.entries(files)) {
    if (Buffer.isBuffer(value) || typeof value === 'string') writeFileSync(join(dir, name), value);
    else writeJson(dir, name, value);
  }
  return dir;
}

export async function convert(files: Files, config?: Record<string, unknown>) {
  const dir = folderWith(files, config);
  const out = `${dir}.gguf`;
  const { notes } = await convertModel({ dir, out, type: 'q8_0' });
  return { out, notes, entries: readGguf(out).entries as Record<string, unknown> };
}

export function refusal(files: Files, nVocab = 600): { code?: string; message: string } {
  try {
    convertTokenizer(folderWith(files), {}, { architecture: 'llama', nVocab });
  } catch (error) {
    return error as { code?: string; message: string };
  }
  return { message: 'nothing was thrown' };
}

export async function encode(path: string, texts: readonly string[]): Promise<number[][]> {
  const tokenizer = await native().openTokenizer(path);
  const parts = texts.map((text) => Buffer.from(text));
  const offsets = Int32Array.from([0, ...parts]);
  for (const [index, part] of parts.entries()) offsets[index + 1] = offsets[index]! + part.length;
  const { ids, starts } = await tokenizer.encode({ data: Buffer.concat(parts), offsets });
  tokenizer.dispose();
  return texts.map((_, index) => [...ids.subarray(starts[index], starts[index + 1])]);
}

/** TEXTS, and words of theirs in any order. */
export function sample(): string[] {
  const random = seeded(11);
  const words = TEXTS.flatMap((text) => text.split(/(?<=\s)/));
  const mixed = Array.from({ length: 150 }, () =>
    Array.from({ length: 1 + Math.floor(random() * 12) }, () => {
      return words[Math.floor(random() * words.length)]!;
    }).join(random() < 0.5 ? '' : '  '),
  );
  return [...TEXTS, ...mixed];
}

// The patterns as tokenizer.json has them, and the same for JavaScript, which has no (?i:…) in Node 20.
export const CASELESS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const SPELLED = "'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]";
export const pattern = (digits: string) =>
  String.raw`${CASELESS}|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}${digits}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`;
export const splitting = (digits: string) => {
  const regex = new RegExp(pattern(digits).replace(CASELESS, SPELLED), 'gu');
  return (text: string): string[] => text.match(regex) ?? [];
};
export const byteLevel = (useRegex: boolean) => ({
  type: 'ByteLevel',
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: useRegex,
});
export const cutBy = (regex: string) => ({
  type: 'Sequence',
  pretokenizers: [
    { type: 'Split', pattern: { Regex: regex }, behavior: 'Isolated', invert: false },
    byteLevel(false),
  ],
});
