/** An open Arrow stream or file: its schema, then its record batches, verified. */
import { GristmillError, isGristmillError } from '../errors.ts';
import { type ArrowBatch, type ArrowChunks, readArrays } from './arrow-arrays.ts';
import { ArrowFault } from './arrow-flatbuffer.ts';
import {
  type ArrowFrame,
  arrowFormOf,
  at,
  type Framing,
  fileFrames,
  pipedFileFrames,
  readFileLayout,
  readStreamSchema,
  streamFrames,
} from './arrow-frames.ts';
import type { ArrowField, ArrowSchema } from './arrow-schema.ts';
import { type ByteSource, openSource, pieceSource } from './arrow-source.ts';
import { STDIN } from './formats.ts';

/** An open stream. Its batches can be asked for once. */
export interface ArrowStream {
  readonly path: string;
  readonly schema: ArrowSchema;
  batches(): AsyncGenerator<ArrowBatch>;
  close(): Promise<void>;
}

/** Bytes that say what comes. */
const HEAD_BYTES = 8;

/** Opens a path, or standard input, and reads its schema. @throws CORPUS_FILE_INVALID, CORPUS_UNSUPPORTED, CORPUS_READ_FAILED */
export async function openArrowStream(path: string): Promise<ArrowStream> {
  let source: ByteSource | null = null;
  try {
    source = path === STDIN ? pieceSource(process.stdin) : await openSource(path);
    return await readArrowStream(source, path);
  } catch (error) {
    await source?.close();
    throw arrowError(path, error);
  }
}

/** The same over bytes that somebody delivers; `path` is named in errors. */
export async function readArrowStream(source: ByteSource, path: string): Promise<ArrowStream> {
  try {
    const { schema, frames } = await openFrames(source);
    const batches = () => guarded(path, readBatches(schema, frames));
    return { path, schema, batches, close: () => source.close() };
  } catch (error) {
    throw arrowError(path, error);
  }
}

type Frames = AsyncIterable<ArrowFrame | 'next stream'>;

async function openFrames(
  source: ByteSource,
): Promise<{ readonly schema: ArrowSchema; readonly frames: Frames }> {
  const framing: Framing = { isMarked: null };
  const form = arrowFormOf(await source.peek(HEAD_BYTES));
  if (form === 'stream') {
    const schema = await readStreamSchema(source, framing);
    return { schema, frames: streamFrames(source, schema, framing) };
  }
  if (source.seek) {
    const layout = await readFileLayout(source);
    return { schema: layout.schema, frames: fileFrames(source, layout) };
  }
  await source.take(HEAD_BYTES);
  const schema = await readStreamSchema(source, framing);
  return { schema, frames: pipedFileFrames(source, framing) };
}

async function* readBatches(schema: ArrowSchema, frames: Frames): AsyncGenerator<ArrowBatch> {
  const fields = dictionaryFields(schema);
  const dictionaries = new Map<string, ArrowChunks>();
  for await (const frame of frames) {
    if (frame === 'next stream') {
      dictionaries.clear();
      continue;
    }
    const { message, body, position } = frame;
    if (message.kind === 'schema') {
      throw new ArrowFault(`message at byte ${position}: a second schema inside a stream`);
    }
    if (message.kind === 'dictionary') {
      at(position, () => {
        const { id } = message;
        const field = fields.get(id);
        if (!field) throw new ArrowFault(`dictionary ${id} belongs to no column`);
        const [values] = readArrays([field], message.batch, body, dictionaries).columns;
        if (!message.isDelta) {
          dictionaries.set(id, { arrays: [values!], starts: [0, values!.length] });
          return;
        }
        // Batches that came before go on to see what they refer to: a dictionary only grows.
        const known = dictionaries.get(id);
        if (!known) throw new ArrowFault(`dictionary ${id} grows before it has come`);
        known.arrays.push(values!);
        known.starts.push(known.starts.at(-1)! + values!.length);
      });
      continue;
    }
    yield at(position, () => readArrays(schema.fields, message.batch, body, dictionaries));
  }
}

/** What the dictionaries of a schema hold, by id. */
function dictionaryFields(schema: ArrowSchema): Map<string, ArrowField> {
  const found = new Map<string, ArrowField>();
  const visit = (field: ArrowField): void => {
    for (const child of field.children) visit(child);
    if (!field.dictionary) return;
    const values = { ...field, nullable: true, dictionary: null };
    const known = found.get(field.dictionary.id);
    const form = ({ type, children }: ArrowField) => JSON.stringify([type, children]);
    if (known && form(known) !== form(values)) {
      throw new ArrowFault(`dictionary ${field.dictionary.id} belongs to columns of two types`);
    }
    found.set(field.dictionary.id, known ?? values);
  };
  for (const field of schema.fields) visit(field);
  return found;
}

async function* guarded<T>(path: string, values: AsyncIterable<T>): AsyncGenerator<T> {
  try {
    yield* values;
  } catch (error) {
    throw arrowError(path, error);
  }
}

/** What went wrong with a file, as a coded error. */
export function arrowError(file: string, cause: unknown): GristmillError {
  if (isGristmillError(cause)) return cause;
  if (cause instanceof ArrowFault) {
    const code = cause.unsupported ? 'CORPUS_UNSUPPORTED' : 'CORPUS_FILE_INVALID';
    const reason = cause.unsupported ? cause.message : `damaged Arrow IPC: ${cause.message}`;
    return new GristmillError(code, { file, reason }, { cause });
  }
  const reason = (cause as Error).message;
  return new GristmillError('CORPUS_READ_FAILED', { file, reason }, { cause });
}
