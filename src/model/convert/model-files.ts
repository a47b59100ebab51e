/**
 * The folder of a Hugging Face model: small files read whole, with a bound on their size, and coded errors.
 *
 * The files are untrusted: JSON is parsed and checked by who asked for it, nothing in it is a path unless
 * {@link modelFile} has taken it.
 */
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type * as z from 'zod';
import { GristmillError } from '../../errors.ts';
import { faultsOf } from '../../schema.ts';

/** Bound of config files and templates. */
export const MAX_CONFIG_BYTES = 16 * 2 ** 20;
/** Bound of tokenizer.json and tokenizer.model. */
export const MAX_TOKENIZER_BYTES = 256 * 2 ** 20;

/** An object of a JSON file. */
export type JsonObject = { readonly [key: string]: unknown };

/** The error about a file. */
export function invalidFile(file: string, reason: string, cause?: unknown): GristmillError {
  return new GristmillError('MODEL_FILES_INVALID', { file, reason }, { cause });
}

/** The error about something that this converter does not do. */
export function unsupported(dir: string, what: string, reason: string): GristmillError {
  return new GristmillError('MODEL_CONVERT_UNSUPPORTED', { dir, what, reason });
}

/** Path of a file of the folder that another file names: a plain name, so that nothing outside is read. */
export function modelFile(dir: string, name: string, namedBy: string): string {
  if (!/^[A-Za-z0-9_][A-Za-z0-9_.-]*$/.test(name)) {
    throw invalidFile(namedBy, `names ${JSON.stringify(name)}, which is not a file of the folder`);
  }
  return join(dir, name);
}

/** Whether the folder has a file of this name. */
export function hasFile(dir: string, name: string): boolean {
  return statSync(join(dir, name), { throwIfNoEntry: false })?.isFile() ?? false;
}

/** Bytes of a file. @throws MODEL_FILES_INVALID */
export function readBytes(file: string, maxBytes: number): Buffer {
  const stats = statSync(file, { throwIfNoEntry: false });
  if (!stats?.isFile()) throw invalidFile(file, 'is missing');
  if (stats.size > maxBytes) {
    throw invalidFile(file, `${stats.size} bytes long, the bound is ${maxBytes}`);
  }
  try {
    return readFileSync(file);
  } catch (cause) {
    throw invalidFile(file, (cause as Error).message, cause);
  }
}

/** Text of a file. @throws MODEL_FILES_INVALID when it is not UTF-8 */
export function readText(file: string, maxBytes = MAX_CONFIG_BYTES): string {
  return decodeUtf8(readBytes(file, maxBytes), file);
}

/** UTF-8 as text, a byte order mark included (it is a token of some tokenizers). @throws MODEL_FILES_INVALID */
export function decodeUtf8(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw invalidFile(file, 'is not UTF-8', cause);
  }
}

/** The JSON object that a file holds. @throws MODEL_FILES_INVALID */
export function readJson(file: string, maxBytes = MAX_CONFIG_BYTES): JsonObject {
  return parseJson(readText(file, maxBytes), file);
}

/** A JSON object. @throws MODEL_FILES_INVALID */
export function parseJson(text: string, file: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw invalidFile(file, (cause as Error).message, cause);
  }
  if (!isObject(value)) throw invalidFile(file, 'is no JSON object');
  return value;
}

/** The JSON object of a file that may be missing. @throws MODEL_FILES_INVALID */
export function readJsonIfThere(dir: string, name: string, maxBytes?: number): JsonObject | null {
  return hasFile(dir, name) ? readJson(join(dir, name), maxBytes) : null;
}

/** Checks a value of a file. @throws MODEL_FILES_INVALID naming the field */
export function checked<T>(schema: z.ZodType<T>, value: unknown, file: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const { path, message } = faultsOf(result.error, value)[0]!;
  throw invalidFile(file, `${path.length === 0 ? '' : `${path.join('.')}: `}${message}`);
}

/** True for `{}`, not for arrays and null. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
