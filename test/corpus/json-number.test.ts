import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decimalBytes,
  decimalDigits,
  decimalOf,
  integerOf,
  isExactDouble,
} from '../../src/corpus/json-number.ts';

/** A number as a fraction of whole numbers: the naive oracle. */
function fractionOf(raw: string): [bigint, bigint] {
  const [mantissa = '', power = '0'] = raw.toLowerCase().split('e');
  const [whole = '', part = ''] = mantissa.split('.');
  const exponent = Number(power) - part.length;
  const digits = BigInt(whole + part);
  return exponent >= 0
    ? [digits * 10n ** BigInt(exponent), 1n]
    : [digits, 10n ** BigInt(-exponent)];
}

function sameFraction([a, b]: [bigint, bigint], [c, d]: [bigint, bigint]): boolean {
  return a * d === c * b;
}

const NUMBER = fc
  .tuple(
    fc.constantFrom('', '-'),
    fc.oneof(fc.bigInt({ min: 0n, max: 10n ** 25n }), fc.bigInt({ min: 0n, max: 999n })),
    fc.option(fc.stringMatching(/^\d{1,22}$/)),
    fc.option(fc.tuple(fc.constantFrom('e', 'E', 'e+', 'e-'), fc.integer({ min: 0, max: 340 }))),
  )
  .map(([sign, whole, part, power]) => {
    return `${sign}${whole}${part === null ? '' : `.${part}`}${power === null ? '' : power.join('')}`;
  });

describe('numbers of JSON', () => {
  it.each([
    ['0', true],
    ['-0', true],
    ['-0.0000000000000000000', true],
    ['0.1', true],
    ['0.10', true],
    ['1e-1', true],
    ['1E+2', true],
    ['9007199254740992', true],
    ['9007199254740993', false],
    ['1152921504606846976', false],
    ['18446744073709551615', false],
    ['18446744073709551616', false],
    ['0.1000000000000000055511151231257827021181583404541015625', false],
    ['0.10000000000000000555', false],
    ['0.30000000000000004', true],
    ['1.7976931348623157e308', true],
    ['1e309', false],
    ['1e400', false],
    ['-1e400', false],
    ['5e-324', true],
    ['4e-324', false],
    ['1e-400', false],
    ['1e99999999999999999999', false],
    [`1.${'0'.repeat(5000)}`, true],
    [`1.${'0'.repeat(5000)}1`, false],
  ])('%.40s in a double: %s', (raw, exact) => {
    expect(isExactDouble(raw)).toBe(exact);
  });

  it('property: what a double gives back, and nothing else', () => {
    fc.assert(
      fc.property(NUMBER, (raw) => {
        const value = Number(raw);
        const wanted = fractionOf(raw);
        const expected = Number.isFinite(value) && sameFraction(wanted, fractionOf(String(value)));
        expect(isExactDouble(raw)).toBe(expected);
      }),
      { numRuns: 3000 },
    );
  });

  it('property: every double is exact in its own text', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
        expect(isExactDouble(JSON.stringify(value))).toBe(true);
        expect(isExactDouble(value.toExponential())).toBe(true);
      }),
    );
  });

  it('whole numbers, however they are spelt', () => {
    expect(integerOf('18446744073709551615')).toBe(2n ** 64n - 1n);
    expect(integerOf('1.50e1')).toBe(15n);
    expect(integerOf('-12000e-3')).toBe(-12n);
    for (const raw of ['-0', '1.5', '1e-1', '1e21', '1e999999999', '123456789012345678901']) {
      expect(integerOf(raw)).toBeNull();
    }
  });

  it('property: decimals are the number, or none', () => {
    fc.assert(
      fc.property(NUMBER, fc.integer({ min: 0, max: 38 }), (raw, scale) => {
        const bytes = decimalBytes(raw, 38, scale);
        const [above, below] = fractionOf(raw);
        const isZero = above === 0n;
        const fits =
          !(isZero && raw.startsWith('-')) &&
          (above * 10n ** BigInt(scale)) % below === 0n &&
          (above < 0n ? -above : above) * 10n ** BigInt(scale) < 10n ** 38n * below;
        expect(bytes !== null).toBe(fits);
        if (!bytes) return;
        const unscaled = BigInt.asIntN(128, BigInt(`0x${Buffer.from(bytes).toString('hex')}`));
        expect(sameFraction([unscaled, 10n ** BigInt(scale)], [above, below])).toBe(true);
      }),
      { numRuns: 2000 },
    );
    expect(decimalDigits('1e-400')).toBeNull();
    expect(decimalDigits('123.4500')).toEqual({ whole: 3, scale: 2 });
    expect(decimalOf('-0.0012300e5')).toEqual({ negative: true, digits: '123', exponent: 0 });
  });
});
