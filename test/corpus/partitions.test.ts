import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { partitionColumn, partitionOf, partitionValue } from '../../src/corpus/partitions.ts';

describe('columns from folders', () => {
  it('keys and values are decoded; the file itself gives none', () => {
    expect([...partitionOf('a/lang=en%2FUS/x%3Dy=1/no/=z/k=/k=v=w/f=1.parquet')]).toEqual([
      ['lang', 'en/US'],
      ['x=y', '1'],
      ['k', 'v=w'],
    ]);
    expect(partitionOf('k=__HIVE_DEFAULT_PARTITION__/a').get('k')).toBe(null);
    expect(partitionOf('k=50%/a').get('k')).toBe('50%');
  });

  it('integers and dates only where every value is one in its own spelling', () => {
    const typeOf = (...values: (string | null)[]) => partitionColumn('k', new Set(values)).type;
    expect(typeOf('1', '-5', '9223372036854775807', null)).toBe('int64');
    expect(typeOf('1', '007')).toBe('string');
    expect(typeOf('9223372036854775808')).toBe('string');
    for (const text of ['-0', '+1', '1.0', ' 1', '1e3', '']) expect(typeOf(text)).toBe('string');
    expect(typeOf('2024-02-29', '0001-01-01')).toBe('date');
    expect(typeOf('2023-02-29')).toBe('string');
    expect(typeOf('2024-01-01', '5')).toBe('string');
    expect(typeOf(null)).toBe('string');
  });

  it('property: what a value says is what its folder said', () => {
    const days = fc.date({ min: new Date(0), max: new Date('9999-12-31'), noInvalidDate: true });
    const texts = fc.oneof(
      fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String),
      days.map((day) => day.toISOString().slice(0, 10)),
      fc.string(),
    );
    fc.assert(
      fc.property(texts, (text) => {
        const column = partitionColumn('k', new Set([text]));
        const value = partitionValue(column, text);
        const back =
          typeof value === 'number'
            ? new Date(value * 86_400_000).toISOString().slice(0, 10)
            : String(value);
        expect(back).toBe(text);
      }),
    );
  });
});
