/**
 * tokenizer.model: the protocol buffer of a SentencePiece model, read as far as a converter needs it.
 *
 *     message      (key, value)*       key = varint, field << 3 | wire type
 *     wire types   0 varint   1 eight bytes   2 length and bytes   5 four bytes
 *
 * Every length is held against what is left; unknown fields are passed over.
 *
 * @see Kudo and Richardson 2018; https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto
 */
import { decodeUtf8, invalidFile } from './model-files.ts';

/** A piece of the vocabulary; its id is its place. */
export interface Piece {
  readonly text: string;
  readonly score: number;
  /** As in the format: 1 normal, 2 unknown, 3 control, 4 user defined, 5 unused, 6 byte. */
  readonly type: number;
}

/** A SentencePiece model. */
export interface SentencePieceModel {
  readonly pieces: readonly Piece[];
  /** 1 unigram, 2 BPE, 3 word, 4 character. */
  readonly modelType: number;
  readonly treatWhitespaceAsSuffix: boolean;
  /** Text is normalised by a table of characters first. */
  readonly hasCharsmap: boolean;
  readonly addDummyPrefix: boolean;
  readonly removeExtraWhitespaces: boolean;
  readonly escapeWhitespaces: boolean;
}

interface Field {
  readonly field: number;
  readonly varint: number;
  readonly bytes: Uint8Array;
}

const MAX_PIECES = 2 ** 22;

/** @throws MODEL_FILES_INVALID */
export function parseSentencePiece(bytes: Uint8Array, file: string): SentencePieceModel {
  const pieces: Piece[] = [];
  let modelType = 1;
  let treatWhitespaceAsSuffix = false;
  let hasCharsmap = false;
  let addDummyPrefix = true;
  let removeExtraWhitespaces = true;
  let escapeWhitespaces = true;
  for (const { field, bytes: value } of fieldsOf(bytes, file)) {
    if (field === 1) {
      if (pieces.length >= MAX_PIECES) throw invalidFile(file, `more than ${MAX_PIECES} pieces`);
      pieces.push(pieceOf(value, file));
    } else if (field === 2) {
      for (const option of fieldsOf(value, file)) {
        if (option.field === 3) modelType = option.varint;
        if (option.field === 24) treatWhitespaceAsSuffix = option.varint !== 0;
      }
    } else if (field === 3) {
      for (const option of fieldsOf(value, file)) {
        if (option.field === 2) hasCharsmap = option.bytes.length > 0;
        if (option.field === 3) addDummyPrefix = option.varint !== 0;
        if (option.field === 4) removeExtraWhitespaces = option.varint !== 0;
        if (option.field === 5) escapeWhitespaces = option.varint !== 0;
      }
    }
  }
  if (pieces.length === 0) throw invalidFile(file, 'holds no pieces');
  return {
    pieces,
    modelType,
    treatWhitespaceAsSuffix,
    hasCharsmap,
    addDummyPrefix,
    removeExtraWhitespaces,
    escapeWhitespaces,
  };
}

function pieceOf(bytes: Uint8Array, file: string): Piece {
  let text = '';
  let score = 0;
  let type = 1;
  for (const { field, varint, bytes: value } of fieldsOf(bytes, file)) {
    if (field === 1) text = decodeUtf8(value, file);
    if (field === 2) {
      if (value.length !== 4) throw invalidFile(file, 'the score of a piece is no float');
      score = new DataView(value.buffer, value.byteOffset, 4).getFloat32(0, true);
    }
    if (field === 3) type = varint;
  }
  if (text === '') throw invalidFile(file, 'a piece without text');
  if (!Number.isFinite(score)) throw invalidFile(file, `piece ${JSON.stringify(text)}: no score`);
  if (type < 1 || type > 6) throw invalidFile(file, `a piece of type ${type}`);
  return { text, score, type };
}

function* fieldsOf(bytes: Uint8Array, file: string): Generator<Field> {
  let at = 0;
  const broken = () => invalidFile(file, `is no SentencePiece model (byte ${at} of a message)`);
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = bytes[at];
      if (byte === undefined) throw broken();
      at++;
      // Only small numbers are used; larger ones need not be exact.
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw broken();
  };
  const take = (length: number): Uint8Array => {
    if (length > bytes.length - at) throw broken();
    at += length;
    return bytes.subarray(at - length, at);
  };
  const empty = new Uint8Array(0);
  while (at < bytes.length) {
    const key = varint();
    const field = Math.floor(key / 8);
    if (field === 0) throw broken();
    switch (key % 8) {
      case 0:
        yield { field, varint: varint(), bytes: empty };
        break;
      case 1:
        yield { field, varint: 0, bytes: take(8) };
        break;
      case 2:
        yield { field, varint: 0, bytes: take(varint()) };
        break;
      case 5:
        yield { field, varint: 0, bytes: take(4) };
        break;
      default:
        throw broken();
    }
  }
}
