import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GristmillError } from '../../../src/errors.ts';
import { parseSentencePiece } from '../../../src/model/convert/sentencepiece-model.ts';
import { sentencePieceModel, trainedPieces } from '../../support/hf-model.ts';

const pieces = trainedPieces(40);
const model = sentencePieceModel(pieces, { charsmap: 'x', dummyPrefix: false, extraSpaces: true });

describe('parseSentencePiece', () => {
  it('reads pieces and flags', () => {
    const parsed = parseSentencePiece(model, 'file');
    expect(parsed.pieces).toEqual(pieces);
    expect(parsed).toMatchObject({
      modelType: 2,
      treatWhitespaceAsSuffix: false,
      hasCharsmap: true,
      addDummyPrefix: false,
      removeExtraWhitespaces: true,
      escapeWhitespaces: true,
    });
  });

  it('takes the defaults of the format', () => {
    const [first] = pieces;
    const bare = sentencePieceModel([first!]).subarray(0, 16);
    expect(parseSentencePiece(bare, 'file')).toMatchObject({ modelType: 1, addDummyPrefix: true });
  });

  it.each([
    ['nothing', ''],
    ['a length beyond the end', '0aff01'],
    ['an endless number', '0affffffffffffffffffffffff'],
    ['a group', '0b'],
    ['field zero', '00'],
    ['a piece without text', '0a0515000000001801'.slice(0, 14)],
    ['a score that is no float', '0a050a0161100118'.slice(0, 14)],
    ['text that is not UTF-8', '0a040a02c328'],
    ['a piece of an unknown type', '0a050a01611809'],
    ['a score that is not a number', '0a080a0161150000c07f'],
  ])('refuses %s', (_, hex) => {
    expect(() => parseSentencePiece(Buffer.from(hex, 'hex'), 'file')).toThrow(GristmillError);
  });

  it('ends in a coded error or a model for any bytes', () => {
    const parse = (bytes: Uint8Array): void => {
      try {
        expect(parseSentencePiece(bytes, 'file').pieces.length).toBeGreaterThan(0);
      } catch (error) {
        expect(error).toMatchObject({ code: 'MODEL_FILES_INVALID' });
      }
    };
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), parse), { numRuns: 300 });
    const damaged = fc.tuple(fc.nat(model.length - 1), fc.nat(255), fc.nat(model.length));
    fc.assert(
      fc.property(damaged, ([at, byte, length]) => {
        const bytes = Buffer.from(model);
        bytes[at] = byte;
        parse(bytes.subarray(0, length));
      }),
      { numRuns: 300 },
    );
  });
});
