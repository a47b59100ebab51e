import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  DOCUMENT_FEATURES,
  LINE_FEATURES,
  N_LINE_FEATURES,
} from '../../../src/lines/feature-names.ts';
import { native } from '../../../src/native/index.ts';
import { measureText, textOf } from '../../oracle/pages/oracle.ts';
import { hostilePage, LARGE_PAGES, largePage } from '../../oracle/pages/texts.ts';
import { testTexts } from '../../support/corpus.ts';

/** Names the first cell that differs: arrays of a million cells are not for a diff. */
function expectSameCells(
  found: Float32Array | Int32Array,
  wanted: Float32Array | Int32Array,
  names: readonly string[],
): void {
  if (Buffer.compare(bytesOf(found), bytesOf(wanted)) === 0) return;
  // Equal but for the sign of a zero: no cut tells the two apart.
  const at = found.findIndex((value, index) => value !== wanted[index]);
  if (at < 0 && found.length === wanted.length) return;
  const place = `row ${Math.floor(at / names.length)}, ${names[at % names.length]}`;
  expect(`${found.length} cells, ${place}: ${found[at]}`).toBe(
    `${wanted.length} cells, ${place}: ${wanted[at]}`,
  );
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array | Int32Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

function expectSame(bytes: Uint8Array, hashBits: number): void {
  const page = measureText(textOf(bytes), hashBits);
  const found = native().measureLines(bytes, hashBits);
  expectSameCells(found.lineOf, page.scan.lineOf, ['lineOf']);
  expectSameCells(found.chars, page.chars, ['chars']);
  expectSameCells(found.starts, page.words.starts, ['starts']);
  expectSameCells(found.nearAt, page.words.nearAt, ['nearAt']);
  expectSameCells(found.ids, page.words.ids, ['ids']);
  expectSameCells(found.features, page.features, LINE_FEATURES);
  const document = native().measureDocument(bytes, hashBits);
  expectSameCells(document.ids, page.document.ids, ['ids']);
  expectSameCells(document.features, page.document.features, DOCUMENT_FEATURES);
}

describe('features of native/pages, bit for bit those of the oracle', () => {
  it('on hostile pages', () => {
    fc.assert(
      fc.property(hostilePage, fc.integer({ min: 1, max: 20 }), (bytes, bits) => {
        expectSame(bytes, bits);
      }),
      { numRuns: 200 },
    );
  });

  it('on texts of the corpus, with either line end', () => {
    for (const text of testTexts(30, 11)) {
      expectSame(Buffer.from(text), 18);
      expectSame(Buffer.from(text.replaceAll('\n', '\r\n')), 18);
    }
  });

  it.each(['', '\n', ' \t\n\u00a0', 'one', '\u0000', '\ufeff', 'a\n'])('on %j', (text) => {
    expectSame(Buffer.from(text), 8);
  });

  it.each(LARGE_PAGES)(
    'on %s',
    (name) => {
      expectSame(largePage(name), 16);
    },
    120_000,
  );

  it('have a name each', () => {
    const { features } = native().measureLines(Buffer.from('one'), 8);
    expect(features.length).toBe(N_LINE_FEATURES);
    expect(native().measureDocument(Buffer.from('one'), 8).features.length).toBe(
      DOCUMENT_FEATURES.length,
    );
  });

  it('are refused for bits that there are not', () => {
    for (const bits of [0, 25, Number.NaN]) {
      expect(() => native().measureLines(Buffer.from('one'), bits)).toThrow(/hashBits/);
    }
  });
});
