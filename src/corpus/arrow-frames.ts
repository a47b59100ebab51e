/**
 * From bytes to messages: the framing of Arrow's stream form and of its file form.
 *
 *     stream:  { FFFFFFFF | length | metadata, padded | body, padded }*  [ FFFFFFFF 00000000 ]
 *     file:    ARROW1 00 00 | stream | footer | length of the footer | ARROW1
 *
 * Before 0.15 the mark FFFFFFFF was not written. A stream may end without its end mark.
 *
 * Invariants
 *  1. What a message declares is compared with the bytes that are there before anything is allocated for it.
 *  2. Metadata is padded as little as an alignment asks for, with zeros: a damaged length would move the body.
 *  3. In a file, the blocks of the footer and the messages between its ends are the same, all of them.
 */
import { ArrowFault } from './arrow-flatbuffer.ts';
import {
  type ArrowBlock,
  type ArrowMessage,
  readArrowFooter,
  readMessage,
} from './arrow-messages.ts';
import type { ArrowSchema } from './arrow-schema.ts';
import type { ByteSource } from './arrow-source.ts';

/** A message and its body. */
export interface ArrowFrame {
  /** Byte offset in the stream or file, for messages. */
  readonly position: number;
  readonly message: ArrowMessage;
  readonly body: Uint8Array;
}

const CONTINUATION = 0xffffffff;
const MAGIC = 'ARROW1';
/** A schema of 100,000 columns takes about 20 MB. */
const MAX_METADATA_BYTES = 2 ** 28;
/** What one buffer can hold on every Node that is supported. */
const MAX_BODY_BYTES = 2 ** 32 - 1;
/** Writers align messages to 8 bytes, some to 64. */
const MAX_ALIGNMENT = 64;
/** A flatbuffer itself may end with a few bytes of padding of its own. */
const FLATBUFFER_SLACK = 8;

/** What comes first. @throws ArrowFault naming what it is, when it is something else that is known */
export function arrowFormOf(head: Uint8Array): 'stream' | 'file' {
  const text = Buffer.from(head).toString('latin1');
  if (text.startsWith(MAGIC)) return 'file';
  const other = knownForm(text);
  if (other !== null)
    throw new ArrowFault(`it is no Arrow IPC stream; it looks like ${other}`, true);
  return 'stream';
}

function knownForm(text: string): string | null {
  if (text.startsWith('PAR1')) return 'a Parquet file: name it by its path, with .parquet';
  if (text.startsWith('FEA1')) return 'Feather version 1: write it again as version 2 (Arrow IPC)';
  if (text.startsWith('\x1f\x8b')) return 'something gzip-compressed';
  if (text.startsWith('\x28\xb5\x2f\xfd')) return 'something zstd-compressed';
  if (text.startsWith('PK\x03\x04')) return 'a zip archive';
  const visible = text.replace(/^\xef\xbb\xbf/, '').trimStart();
  if (text.length >= 1 && /^[{["]/.test(visible)) {
    return 'JSON: write it to a file named .jsonl and give its path';
  }
  return text.length >= 4 && /^[\t\n\r -~]{4}/.test(text) ? 'text' : null;
}

/** How the messages of a stream begin, which its first one shows: zeros are no end mark where others have one. */
export interface Framing {
  isMarked: boolean | null;
}

/** Reads the next message, or says how the stream ends. */
export async function readFrame(
  source: ByteSource,
  framing: Framing,
): Promise<ArrowFrame | 'mark' | 'end'> {
  const { position } = source;
  const head = await source.take(4);
  if (head.byteLength === 0) return 'end';
  let length = uint32(head);
  const isMarked = length === CONTINUATION;
  const prefix = isMarked ? 8 : 4;
  if (isMarked) length = uint32(await source.take(4));
  framing.isMarked ??= isMarked;
  if (isMarked !== framing.isMarked) {
    throw new ArrowFault(`message at byte ${position}: it begins otherwise than those before it`);
  }
  if (length === 0) return 'mark';
  if (length > MAX_METADATA_BYTES || (source.left !== null && length > source.left)) {
    throw cutOff(position, `metadata of ${length} bytes`, source.left ?? MAX_METADATA_BYTES);
  }
  const metadata = await source.take(length);
  if (metadata.byteLength < length) {
    throw cutOff(position, `metadata of ${length} bytes`, metadata.byteLength);
  }
  return frameOf(source, position, prefix, metadata);
}

async function frameOf(
  source: ByteSource,
  position: number,
  prefix: number,
  metadata: Uint8Array,
): Promise<ArrowFrame> {
  const message = at(position, () => readMessage(metadata));
  checkPadding(position, prefix, metadata, message.metadataEnd);
  const { bodyBytes } = message;
  if (bodyBytes > MAX_BODY_BYTES) {
    const reason = `message at byte ${position}: a body of ${bodyBytes} bytes, more than ${MAX_BODY_BYTES}`;
    throw new ArrowFault(reason, source.left !== null && bodyBytes <= source.left);
  }
  if (source.left !== null && bodyBytes > source.left) {
    throw cutOff(position, `a body of ${bodyBytes} bytes`, source.left);
  }
  const body = await source.take(bodyBytes);
  if (body.byteLength < bodyBytes) {
    throw cutOff(position, `a body of ${bodyBytes} bytes`, body.byteLength);
  }
  return { position, message, body };
}

function uint32(bytes: Uint8Array): number {
  if (bytes.byteLength < 4) throw new ArrowFault('it ends inside the length of a message');
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
}

function cutOff(position: number, what: string, left: number): ArrowFault {
  return new ArrowFault(`message at byte ${position}: ${what}, with ${left} left`);
}

/** Names the message in what is thrown. */
export function at<T>(position: number, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof ArrowFault)) throw error;
    throw new ArrowFault(`message at byte ${position}: ${error.message}`, error.unsupported);
  }
}

function checkPadding(position: number, prefix: number, metadata: Uint8Array, end: number): void {
  const padding = metadata.byteLength - end;
  const total = prefix + metadata.byteLength;
  let fits = false;
  for (let align = 8; align <= MAX_ALIGNMENT; align *= 2) {
    fits ||= total % align === 0 && padding < align + FLATBUFFER_SLACK;
  }
  if (!fits || metadata.subarray(end).some((byte) => byte !== 0)) {
    const reason = `message at byte ${position}: metadata of ${metadata.byteLength} bytes ends at ${end}`;
    throw new ArrowFault(reason);
  }
}

/** Messages of the stream form, one stream after another. Every stream begins with the schema of the first. */
export async function* streamFrames(
  source: ByteSource,
  schema: ArrowSchema,
  framing: Framing,
): AsyncGenerator<ArrowFrame | 'next stream'> {
  for (;;) {
    const frame = await readFrame(source, framing);
    if (frame === 'end') return;
    if (frame !== 'mark') {
      yield frame;
      continue;
    }
    framing.isMarked = null;
    if (!(await beginNext(source, schema, framing))) return;
    yield 'next stream';
  }
}

async function beginNext(
  source: ByteSource,
  schema: ArrowSchema,
  framing: Framing,
): Promise<boolean> {
  const { position } = source;
  const next = await readFrame(source, framing);
  if (next === 'end') return false;
  if (next === 'mark' || next.message.kind !== 'schema') {
    throw new ArrowFault(`byte ${position}: after the end of the stream comes no other stream`);
  }
  if (JSON.stringify(next.message.schema.fields) !== JSON.stringify(schema.fields)) {
    throw new ArrowFault(`byte ${position}: a second stream begins, with other columns`, true);
  }
  return true;
}

/** Reads the schema that a stream begins with. */
export async function readStreamSchema(source: ByteSource, framing: Framing): Promise<ArrowSchema> {
  const frame = await readFrame(source, framing);
  if (frame === 'end' || frame === 'mark') throw new ArrowFault('it holds no schema');
  if (frame.message.kind !== 'schema') throw new ArrowFault('it does not begin with a schema');
  if (frame.body.byteLength > 0) throw new ArrowFault('its schema has a body');
  return frame.message.schema;
}

/** The file form: where its messages lie. */
export interface ArrowFileLayout {
  readonly schema: ArrowSchema;
  readonly dictionaries: readonly ArrowBlock[];
  readonly batches: readonly ArrowBlock[];
}

/** Reads and checks the footer of a regular file. */
export async function readFileLayout(source: ByteSource): Promise<ArrowFileLayout> {
  const { seek } = source;
  if (!seek || source.left === null) {
    throw new ArrowFault('the file form is read from regular files, not from pipes', true);
  }
  const size = source.position + source.left;
  if (size < MAGIC.length * 2 + 6) throw new ArrowFault(`${size} bytes are too few for a file`);
  seek(size - MAGIC.length - 4);
  const tail = await source.take(MAGIC.length + 4);
  if (Buffer.from(tail.subarray(4)).toString('latin1') !== MAGIC) {
    throw new ArrowFault(`it begins with ${MAGIC} and does not end with it: it is cut off`);
  }
  const footerBytes = uint32(tail);
  const footerAt = size - MAGIC.length - 4 - footerBytes;
  if (footerBytes === 0 || footerAt < MAGIC.length + 2) {
    throw new ArrowFault(`its footer would take ${footerBytes} of ${size} bytes`);
  }
  if (footerBytes > MAX_METADATA_BYTES) throw new ArrowFault(`a footer of ${footerBytes} bytes`);
  seek(footerAt);
  const footer = readArrowFooter(await source.take(footerBytes));
  seek(MAGIC.length + 2);
  const schema = await readStreamSchema(source, { isMarked: null });
  if (JSON.stringify(schema) !== JSON.stringify(footer.schema)) {
    throw new ArrowFault('its footer has another schema than its beginning');
  }
  checkBlocks([...footer.dictionaries, ...footer.batches], source.position, footerAt);
  return footer;
}

/** Blocks follow one another from the schema to the footer: none may be missing. */
function checkBlocks(blocks: readonly ArrowBlock[], start: number, end: number): void {
  let cursor = start;
  for (const block of [...blocks].sort((left, right) => left.offset - right.offset)) {
    const gap = block.offset - cursor;
    if (gap < 0 || gap >= MAX_ALIGNMENT || block.metadataBytes < 8) {
      throw new ArrowFault(
        `its footer places a message at byte ${block.offset}, the one before ends at ${cursor}`,
      );
    }
    cursor = block.offset + block.metadataBytes + block.bodyBytes;
  }
  // The end mark, and padding.
  if (end - cursor < 0 || end - cursor >= MAX_ALIGNMENT + 8) {
    throw new ArrowFault(`its messages end at byte ${cursor}, its footer begins at ${end}`);
  }
}

/** Messages of the file form: all dictionaries, then the record batches in the footer's order. */
export async function* fileFrames(
  source: ByteSource,
  layout: ArrowFileLayout,
): AsyncGenerator<ArrowFrame> {
  const framing: Framing = { isMarked: null };
  for (const [kind, blocks] of [
    ['dictionary', layout.dictionaries],
    ['batch', layout.batches],
  ] as const) {
    for (const block of blocks) {
      source.seek?.(block.offset);
      const frame = await readFrame(source, framing);
      if (frame === 'mark' || frame === 'end' || frame.message.kind !== kind) {
        throw new ArrowFault(`byte ${block.offset} holds no ${kind}, as the footer says`);
      }
      const metadataBytes = source.position - block.offset - frame.body.byteLength;
      if (metadataBytes !== block.metadataBytes || frame.body.byteLength !== block.bodyBytes) {
        throw new ArrowFault(
          `byte ${block.offset}: a message of ${metadataBytes} + ${frame.body.byteLength} bytes, ` +
            `in the footer ${block.metadataBytes} + ${block.bodyBytes}`,
        );
      }
      yield frame;
    }
  }
}

/** The file form from a pipe: a stream up to its end mark, then the footer, which is held against what was read. */
export async function* pipedFileFrames(
  source: ByteSource,
  framing: Framing,
): AsyncGenerator<ArrowFrame> {
  const seen: Record<'dictionary' | 'batch', number[]> = { dictionary: [], batch: [] };
  for (;;) {
    const frame = await readFrame(source, framing);
    if (frame === 'end') throw new ArrowFault('it ends without a footer');
    if (frame === 'mark') break;
    const { kind } = frame.message;
    if (kind !== 'schema') seen[kind].push(frame.position);
    yield frame;
  }
  const rest = await source.take(MAX_METADATA_BYTES + MAX_ALIGNMENT);
  if (Buffer.from(rest.subarray(-MAGIC.length)).toString('latin1') !== MAGIC) {
    throw new ArrowFault('it does not end as a file: it is cut off');
  }
  const end = rest.byteLength - MAGIC.length - 4;
  const footerBytes = end < 0 ? 0 : uint32(rest.subarray(end));
  if (footerBytes === 0 || footerBytes > end)
    throw new ArrowFault(`a footer of ${footerBytes} bytes`);
  const footer = readArrowFooter(rest.subarray(end - footerBytes, end));
  const offsets = (blocks: readonly ArrowBlock[]) => String(blocks.map((block) => block.offset));
  if (
    offsets(footer.dictionaries) !== String(seen.dictionary) ||
    offsets(footer.batches) !== String(seen.batch)
  ) {
    throw new ArrowFault('its footer names other messages than those that came');
  }
}
