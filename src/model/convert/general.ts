/**
 * The `general.*` entries of a converted model: what it is called, how large it is, how its makers sample from it
 * (generation_config.json) and its licence (the head of README.md).
 *
 * Nothing is guessed from the folder's name but the name itself.
 */
import { basename, join, resolve } from 'node:path';
import { parse as parseYaml } from 'yaml';
import type { GgufEntries, GgufValue } from '../gguf-write.ts';
import type { ConvertedType } from '../hub-cache.ts';
import { hasFile, isObject, type JsonObject, readJson, readText } from './model-files.ts';

/** `general.file_type`. */
const FILE_TYPES: Readonly<Record<ConvertedType, number>> = { f32: 0, f16: 1, q8_0: 7, bf16: 32 };
const QUANTIZATION_VERSION = 2;

/** Names of sampling options: in generation_config.json, in GGUF, and whether whole numbers. */
const SAMPLING: readonly (readonly [string, string, boolean])[] = [
  ['top_k', 'top_k', true],
  ['top_p', 'top_p', false],
  ['min_p', 'min_p', false],
  ['xtc_probability', 'xtc_probability', false],
  ['xtc_threshold', 'xtc_threshold', false],
  ['temperature', 'temp', false],
  ['penalty_last_n', 'penalty_last_n', true],
  ['repetition_penalty', 'penalty_repeat', false],
  ['penalty_repeat', 'penalty_repeat', false],
  ['mirostat', 'mirostat', true],
  ['mirostat_tau', 'mirostat_tau', false],
  ['mirostat_eta', 'mirostat_eta', false],
];

/** What the entries are made from. */
export interface GeneralInput {
  readonly dir: string;
  readonly config: JsonObject;
  readonly architecture: string;
  readonly nParams: number;
  /** Given by the caller. */
  readonly name: string | undefined;
}

/** Entries in front of the architecture's. @throws MODEL_FILES_INVALID */
export function generalEntries(input: GeneralInput): GgufEntries {
  const { dir, architecture, nParams } = input;
  const text = (value: string): GgufValue => ({ type: 'string', value });
  return {
    'general.architecture': text(architecture),
    'general.type': text('model'),
    ...samplingEntries(dir),
    'general.name': text(input.name ?? nameOf(input)),
    'general.size_label': text(sizeLabel(nParams)),
    ...licenceEntries(dir),
  };
}

/** Entries of the file's storage type. */
export function fileTypeEntries(type: ConvertedType): {
  readonly fileType: GgufEntries;
  readonly version: GgufEntries;
} {
  return {
    fileType: { 'general.file_type': { type: 'u32', value: FILE_TYPES[type] } },
    version: { 'general.quantization_version': { type: 'u32', value: QUANTIZATION_VERSION } },
  };
}

function samplingEntries(dir: string): Record<string, GgufValue> {
  if (!hasFile(dir, 'generation_config.json')) return {};
  const config = readJson(join(dir, 'generation_config.json'));
  const entries: Record<string, GgufValue> = {};
  for (const [from, to, whole] of SAMPLING) {
    const value = config[from];
    if (typeof value !== 'number' || !Number.isFinite(value)) continue;
    if (whole && (!Number.isInteger(value) || Math.abs(value) >= 2 ** 31)) continue;
    entries[`general.sampling.${to}`] = { type: whole ? 'i32' : 'f32', value };
  }
  return entries;
}

/** The name of the repository that config.json or the folder has, with capitals: `my-model-7b` is `My Model 7b`. */
function nameOf({ dir, config }: GeneralInput): string {
  const said = config['_name_or_path'];
  const usable = typeof said === 'string' && said !== '' && said.split('/').length <= 2;
  const name = (usable ? said : basename(resolve(dir))).split('/').at(-1)!;
  const words = name.trim().replaceAll('-', ' ').split(/\s+/);
  return words.map(capitalised).join(' ');
}

function capitalised(word: string): string {
  if (word !== word.toLowerCase() || /^(v\d+(\.\d+)*|\d.*)$/.test(word)) return word;
  return word.replace(/\p{L}+/gu, (run) => run[0]!.toUpperCase() + run.slice(1));
}

/** Parameters with a unit, two digits at least: `495M`, `7.6B`. */
export function sizeLabel(nParams: number): string {
  const [divisor, unit] =
    nParams > 1e12
      ? [1e12, 'T']
      : nParams > 1e9
        ? [1e9, 'B']
        : nParams > 1e6
          ? [1e6, 'M']
          : [1e3, 'K'];
  const scaled = nParams / divisor;
  const digits = Math.round(scaled).toString().replace(/^0/, '').length;
  return `${scaled.toFixed(Math.max(2 - digits, 0))}${unit}`;
}

function licenceEntries(dir: string): Record<string, GgufValue> {
  if (!hasFile(dir, 'README.md')) return {};
  const lines = readText(join(dir, 'README.md')).split(/\r?\n/);
  const end = lines.indexOf('---', 1);
  if (lines[0] !== '---' || end < 0) return {};
  let card: unknown;
  try {
    card = parseYaml(lines.slice(1, end).join('\n'), { maxAliasCount: 0, logLevel: 'silent' });
  } catch {
    // A model card that cannot be read is no reason not to convert the model.
    return {};
  }
  if (!isObject(card)) return {};
  const entries: Record<string, GgufValue> = {};
  const names = { license: 'license', license_name: 'license.name', license_link: 'license.link' };
  for (const [from, to] of Object.entries(names)) {
    const found = card[from];
    const value = Array.isArray(found) ? found.map(String).join(',') : found;
    if (typeof value === 'string') entries[`general.${to}`] = { type: 'string', value };
  }
  return entries;
}
