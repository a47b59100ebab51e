/**
 * Models that are merged: what each file or folder holds, and that all of them are one model at different times.
 *
 * A GGUF file, a safetensors file, or a folder of a Hugging Face model (config.json, safetensors, tokenizer). All must
 * have the same tensors in the same shapes, the same architecture and the same tokenizer; how their values are stored may
 * differ, and what only describes a file (`general.*`) too.
 */
import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { GristmillError } from '../../errors.ts';
import {
  hasFile,
  invalidFile,
  MAX_TOKENIZER_BYTES,
  readBytes,
  readJson,
} from '../convert/model-files.ts';
import { listTensors, readHeader, type SourceTensor } from '../convert/safetensors.ts';
import { entryText, readGgufHead } from './gguf-head.ts';

/** What an input is. */
export type MergeForm = 'gguf' | 'safetensors' | 'folder';

/** An input. */
export interface MergeSource {
  /** As it was named. */
  readonly path: string;
  readonly form: MergeForm;
  readonly tensors: readonly SourceTensor[];
  /** Entries of a GGUF file. */
  readonly entries: ReadonlyMap<string, Uint8Array>;
  /** What must be the same in all: by name, and as a message shows it. */
  readonly identity: ReadonlyMap<string, { readonly key: string; readonly shown: string }>;
}

/** Entries of a GGUF file that only describe it, and what a merge says of itself. */
const DESCRIBING = /^(general\.(?!architecture$)|gristmill\.merge\.)/;
/** Of a folder: what decides how text becomes tokens. */
const TOKENIZER_FILES = [
  'tokenizer.json',
  'tokenizer.model',
  'vocab.json',
  'merges.txt',
  'added_tokens.json',
  'special_tokens_map.json',
];
/** Keys of config.json that say nothing of the model. */
const DESCRIBING_KEYS = new Set(['_name_or_path', 'torch_dtype', 'dtype', 'transformers_version']);

/** Reads what an input holds; no weights. @throws MODEL_FILES_INVALID, MODEL_CONVERT_UNSUPPORTED, MODEL_MERGE_REFUSED */
export function openMergeSource(path: string): MergeSource {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (!stats) throw invalidFile(path, 'is missing');
  if (stats.isDirectory()) return folderSource(path);
  if (isGguf(path)) {
    const { entries, tensors } = readGgufHead(path);
    const identity = [...entries].flatMap(([name, value]) =>
      DESCRIBING.test(name)
        ? []
        : [[`entry ${name}`, { key: hashOf(value), shown: entryText(value) }] as const],
    );
    return { path, form: 'gguf', tensors, entries, identity: new Map(identity) };
  }
  const tensors = readHeader(path, path);
  return { path, form: 'safetensors', tensors, entries: new Map(), identity: new Map() };
}

function folderSource(path: string): MergeSource {
  const config = Object.entries(readJson(join(path, 'config.json')))
    .filter(([key]) => !DESCRIBING_KEYS.has(key))
    .map(([key, value]) => {
      const shown = JSON.stringify(value);
      return [`config.json, ${key}`, { key: shown, shown }] as const;
    });
  const files = TOKENIZER_FILES.filter((name) => hasFile(path, name)).map((name) => {
    const key = hashOf(readBytes(join(path, name), MAX_TOKENIZER_BYTES));
    return [name, { key, shown: `another content, sha256 ${key.slice(0, 16)}…` }] as const;
  });
  return {
    ...{ path, form: 'folder', entries: new Map() },
    tensors: listTensors(path),
    identity: new Map([...config, ...files]),
  };
}

/**
 * All inputs, checked against the last one.
 *
 * @throws MODEL_MERGE_REFUSED naming file, tensor or entry, and both values; MODEL_FILES_INVALID, MODEL_CONVERT_UNSUPPORTED
 */
export function openMergeSources(inputs: readonly string[]): MergeSource[] {
  const sources = inputs.map(openMergeSource);
  const last = sources.at(-1)!;
  for (const source of sources.slice(0, -1)) checkSame(source, last);
  return sources;
}

function checkSame(source: MergeSource, last: MergeSource): void {
  const refuse = (what: string, reason: string): never => {
    throw new GristmillError('MODEL_MERGE_REFUSED', { file: source.path, what, reason });
  };
  if (source.form !== last.form) {
    refuse('its form', `${source.form}, where ${last.path} is ${last.form}`);
  }
  for (const name of new Set([...last.identity.keys(), ...source.identity.keys()])) {
    const [here, there] = [source.identity.get(name), last.identity.get(name)];
    if (here?.key === there?.key) continue;
    refuse(
      name,
      `${here?.shown ?? 'nothing'}, where ${last.path} has ${there?.shown ?? 'nothing'}`,
    );
  }
  const own = new Map(source.tensors.map((tensor) => [tensor.name, tensor]));
  for (const { name, shape } of last.tensors) {
    const found = own.get(name);
    if (!found) refuse(`tensor ${name}`, `missing, where ${last.path} has it`);
    own.delete(name);
    const [here, there] = [found!.shape, shape].map((extents) => `[${extents.join(', ')}]`);
    if (here !== there) refuse(`tensor ${name}`, `shape ${here}, where ${last.path} has ${there}`);
  }
  for (const name of own.keys()) refuse(`tensor ${name}`, `not in ${last.path}`);
}

function isGguf(path: string): boolean {
  const handle = openSync(path, 'r');
  try {
    const magic = Buffer.alloc(4);
    readSync(handle, magic, 0, 4, 0);
    return magic.toString('latin1') === 'GGUF';
  } catch (cause) {
    throw invalidFile(path, (cause as Error).message, cause);
  } finally {
    closeSync(handle);
  }
}

function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
