import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ByteNumbers } from '../../src/inspect/byte-numbers.ts';

/** What a map of strings gives. */
function naive(): (bytes: Uint8Array) => number {
  const known = new Map<string, number>();
  return (bytes) => {
    const key = Buffer.from(bytes).toString('latin1');
    if (!known.has(key)) known.set(key, known.size);
    return known.get(key)!;
  };
}

describe('numbers of byte strings', () => {
  it('are those of a map of strings, whatever the bytes, and each value is asked for once', () => {
    const part = fc.uint8Array({ maxLength: 6 });
    // Long values differ in their middles alone, where no hash looks.
    const long = fc
      .tuple(fc.constant(new Uint8Array(200).fill(65)), fc.integer({ min: 0, max: 199 }))
      .map(([bytes, at]) => bytes.map((byte, index) => (index === at ? 66 : byte)));
    const values = fc.array(fc.oneof(part, long), { maxLength: 800 });
    fc.assert(
      fc.property(values, (all) => {
        let made = 0;
        const numbers = new ByteNumbers(() => made++);
        const expected = naive();
        const data = Buffer.concat(all);
        let start = 0;
        for (const value of all) {
          const end = start + value.byteLength;
          expect(numbers.numberOf(data, start, end)).toBe(expected(value));
          start = end;
        }
        expect(made).toBe(new Set(all.map((value) => Buffer.from(value).toString('latin1'))).size);
      }),
    );
  });

  it('stay right when there are more than are remembered', () => {
    const numbers = new ByteNumbers((value) => Number(value));
    for (let round = 0; round < 2; round++) {
      for (let value = 0; value < 120_000; value++) {
        const bytes = Buffer.from(String(value));
        if (numbers.numberOf(bytes, 0, bytes.byteLength) !== value) expect(value).toBe(-1);
      }
    }
  });

  it('are made of text, of which bytes that are no UTF-8 are U+FFFD', () => {
    const seen: string[] = [];
    const numbers = new ByteNumbers((value) => seen.push(value));
    const bytes = Buffer.concat([Buffer.from('ä'), Buffer.from([0xff])]);
    numbers.numberOf(bytes, 0, 3);
    numbers.numberOf(bytes, 0, 0);
    expect(seen).toEqual(['ä\ufffd', '']);
  });
});
