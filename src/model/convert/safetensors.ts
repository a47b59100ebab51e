/**
 * The weights of a model folder: one safetensors file, or several with an index.
 *
 *     u64 header bytes | header: JSON, name → { dtype, shape, data_offsets } | data
 *
 * Nothing in a header is believed: every tensor has the size of its shape, tensors cover the data without holes or
 * overlaps (which also finds a name given twice), the data ends with the file, and an index names the same tensors
 * as the files. The order is that of the file names and, within a file, of the tensor names.
 *
 * @see https://github.com/huggingface/safetensors#format
 */
import { closeSync, fstatSync, openSync, readdirSync, readSync } from 'node:fs';
import { basename, join } from 'node:path';
import * as z from 'zod';
import { byName } from '../../schema.ts';
import {
  checked,
  decodeUtf8,
  hasFile,
  invalidFile,
  modelFile,
  parseJson,
  readJson,
  unsupported,
} from './model-files.ts';

/** Type of stored values. */
export type SourceType = 'f32' | 'f16' | 'bf16';

/** Where a tensor lies. */
export interface SourceTensor {
  readonly name: string;
  readonly file: string;
  /** First byte in the file. */
  readonly offset: number;
  readonly bytes: number;
  readonly type: SourceType;
  /** Outermost first. */
  readonly shape: readonly number[];
}

const INDEX = 'model.safetensors.index.json';
/** The whole model in one file; with it the other names mean nothing. */
const SINGLE = 'model.safetensors';
/** Bound of a header, that of the format's own library. */
const MAX_HEADER_BYTES = 100_000_000;
const MAX_FILES = 4096;
const TYPES: ReadonlyMap<string, SourceType> = new Map([
  ['F32', 'f32'],
  ['F16', 'f16'],
  ['BF16', 'bf16'],
]);
const TYPE_BYTES = { f32: 4, f16: 2, bf16: 2 } as const;

const entry = z.object({
  dtype: z.string(),
  shape: z.array(z.int().min(0)).max(8),
  data_offsets: z.tuple([z.int().min(0), z.int().min(0)]),
});

/**
 * Finds the tensors of a folder.
 *
 * @throws MODEL_FILES_INVALID, MODEL_CONVERT_UNSUPPORTED (pickled or quantised weights)
 */
export function listTensors(dir: string): SourceTensor[] {
  const index = hasFile(dir, INDEX) ? readIndex(dir) : null;
  if (index && hasFile(dir, SINGLE) && ![...index.values()].includes(SINGLE)) {
    const reason = `beside ${INDEX}, which names other files: two sets of weights; remove the one that is not meant`;
    throw unsupported(dir, SINGLE, reason);
  }
  const files = index ? [...new Set(index.values())].sort() : weightFiles(dir);
  const tensors = new Map<string, SourceTensor>();
  for (const name of files) {
    const file = modelFile(dir, name, index ? join(dir, INDEX) : dir);
    for (const tensor of readHeader(file, dir)) {
      const other = tensors.get(tensor.name);
      if (other) {
        throw invalidFile(file, `tensor ${tensor.name} is also in ${basename(other.file)}`);
      }
      if (index && index.get(tensor.name) !== name) {
        throw invalidFile(join(dir, INDEX), `does not place tensor ${tensor.name} in ${name}`);
      }
      tensors.set(tensor.name, tensor);
    }
  }
  for (const [name, file] of index ?? []) {
    if (!tensors.has(name)) throw invalidFile(join(dir, file), `has no tensor ${name}`);
  }
  return [...tensors.values()];
}

/** The weight files that a folder's index names. @throws MODEL_FILES_INVALID */
export function indexedFiles(dir: string): string[] {
  const names = [...new Set(readIndex(dir).values())].sort();
  for (const name of names) modelFile(dir, name, join(dir, INDEX));
  return names;
}

function readIndex(dir: string): Map<string, string> {
  const file = join(dir, INDEX);
  const index = checked(
    z.object({ weight_map: byName(z.string()) }),
    readJson(file, MAX_HEADER_BYTES),
    file,
  );
  const places = new Map(Object.entries(index.weight_map));
  if (new Set(places.values()).size > MAX_FILES) {
    throw invalidFile(file, `names more than ${MAX_FILES} files`);
  }
  return places;
}

function weightFiles(dir: string): string[] {
  if (hasFile(dir, SINGLE)) return [SINGLE];
  const names = readdirSync(dir).filter((name) => /^model[\w.-]*\.safetensors$/.test(name));
  if (names.length > 0) return names.sort();
  const pickled = readdirSync(dir).some((name) => /^pytorch_model.*\.bin$/.test(name));
  if (pickled) {
    throw unsupported(dir, 'weights', 'pickled PyTorch files are not read, only safetensors');
  }
  throw invalidFile(join(dir, SINGLE), 'is missing');
}

/** Tensors of one file, by name. @throws MODEL_FILES_INVALID, MODEL_CONVERT_UNSUPPORTED */
export function readHeader(file: string, dir: string): SourceTensor[] {
  const { header, dataStart, fileBytes } = readHeaderText(file);
  const tensors: SourceTensor[] = [];
  for (const [name, value] of Object.entries(parseJson(header, file))) {
    if (name === '__metadata__') continue;
    if (name === '' || name.length > 512) throw invalidFile(file, 'a tensor name is not usable');
    const { dtype, shape, data_offsets } = checked(entry, value, `${file}, tensor ${name}`);
    const type = TYPES.get(dtype);
    if (!type) {
      throw unsupported(dir, `tensor ${name}`, `type ${dtype}; supported are F32, F16 and BF16`);
    }
    const bytes = shape.reduce((product, extent) => product * extent, TYPE_BYTES[type]);
    const [begin, end] = data_offsets;
    if (!Number.isSafeInteger(bytes) || end - begin !== bytes) {
      throw invalidFile(
        file,
        `tensor ${name}: bytes ${begin}..${end} for shape [${shape.join(', ')}] of ${dtype}`,
      );
    }
    tensors.push({ name, file, offset: dataStart + begin, bytes, type, shape });
  }
  checkCover(tensors, dataStart, fileBytes, file);
  return tensors.sort((one, other) => (one.name < other.name ? -1 : 1));
}

function readHeaderText(file: string): { header: string; dataStart: number; fileBytes: number } {
  let handle: number;
  try {
    handle = openSync(file, 'r');
  } catch (cause) {
    throw invalidFile(file, (cause as Error).message, cause);
  }
  try {
    const fileBytes = fstatSync(handle).size;
    const length = Buffer.alloc(8);
    if (readSync(handle, length, 0, 8, 0) !== 8) throw invalidFile(file, 'is cut short');
    const headerBytes = Number(length.readBigUInt64LE());
    if (headerBytes > MAX_HEADER_BYTES) {
      throw invalidFile(file, `a header of ${headerBytes} bytes, the bound is ${MAX_HEADER_BYTES}`);
    }
    if (8 + headerBytes > fileBytes) {
      throw invalidFile(file, `a header of ${headerBytes} bytes in a file of ${fileBytes}`);
    }
    const header = Buffer.alloc(headerBytes);
    if (readSync(handle, header, 0, headerBytes, 8) !== headerBytes) {
      throw invalidFile(file, 'is cut short');
    }
    return { header: decodeUtf8(header, file), dataStart: 8 + headerBytes, fileBytes };
  } finally {
    closeSync(handle);
  }
}

function checkCover(
  tensors: readonly SourceTensor[],
  dataStart: number,
  fileBytes: number,
  file: string,
): void {
  let end = dataStart;
  for (const tensor of [...tensors].sort((one, other) => one.offset - other.offset)) {
    if (tensor.offset !== end) {
      const what =
        tensor.offset < end ? 'overlaps the tensor before it' : 'leaves a hole before it';
      throw invalidFile(file, `tensor ${tensor.name} ${what}`);
    }
    end += tensor.bytes;
  }
  if (end !== fileBytes) {
    throw invalidFile(file, `its tensors end at byte ${end}, the file at ${fileBytes}`);
  }
}
