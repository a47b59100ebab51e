import { describe, expect, it } from 'vitest';
import { callNative, native } from '../../src/native/index.ts';

type Request = Parameters<ReturnType<typeof native>['convertRows']>[0];

const floats = (...values: number[]) => new Uint8Array(Float32Array.from(values).buffer);
const convert = (request: Request) =>
  callNative(Promise.resolve().then(() => native().convertRows(request)));

describe('convertRows', () => {
  it('rounds as the types do, and copies what has the type', async () => {
    const source = floats(1, -0, 65520, 2 ** -25);
    const target = new Uint8Array(8);
    await convert({ source, from: 'f32', target, to: 'f16', columns: 2 });
    expect([...new Uint16Array(target.buffer)]).toEqual([0x3c00, 0x8000, 0x7c00, 0]);
    const back = new Uint8Array(16);
    await convert({ source: target, from: 'f16', target: back, to: 'f32', columns: 4 });
    expect([...new Float32Array(back.buffer)]).toEqual([1, -0, Number.POSITIVE_INFINITY, 0]);
    const copy = new Uint8Array(8);
    await convert({ source: target, from: 'f16', target: copy, to: 'f16', columns: 1 });
    expect(copy).toEqual(target);
  });

  it('quantises rows of 32 to q8_0: the largest of a block is 127 steps', async () => {
    const source = floats(...Array.from({ length: 32 }, (_, index) => index - 16));
    const target = new Uint8Array(34);
    await convert({ source, from: 'f32', target, to: 'q8_0', columns: 32 });
    const steps = new Int8Array(target.buffer, 2);
    expect([...steps].map((step) => Math.round((step * 16) / 127))).toEqual(
      Array.from({ length: 32 }, (_, index) => index - 16),
    );
    expect(steps[0]).toBe(-127);
  });

  it('takes views that begin at any byte, and shared memory', async () => {
    const shared = new Uint8Array(new SharedArrayBuffer(40)).subarray(3, 11);
    shared.set(floats(1.5, -2));
    const target = new Uint8Array(7).subarray(1, 5);
    await convert({ source: shared, from: 'f32', target, to: 'bf16', columns: 2 });
    expect([...target]).toEqual([0xc0, 0x3f, 0, 0xc0]);
  });

  it.each([
    ['f16', [1, 65520, 1], { notFinite: 0, tooLarge: 1 }],
    ['bf16', [1, 3.38e38, 1], { notFinite: 0, tooLarge: 0 }],
    ['bf16', [1, 3.4028235e38, 1], { notFinite: 0, tooLarge: 1 }],
    ['f32', [Number.NaN, Number.NEGATIVE_INFINITY, 1], { notFinite: 2, tooLarge: 0 }],
    ['f16', [Number.NaN, Number.POSITIVE_INFINITY, 1], { notFinite: 2, tooLarge: 0 }],
    ['q8_0', [...new Array(31).fill(0), 1e7], { notFinite: 0, tooLarge: 1 }],
    ['q8_0', [...new Array(31).fill(0), 1e6], { notFinite: 0, tooLarge: 0 }],
    ['q8_0', [...new Array(31).fill(0), Number.NaN], { notFinite: 1, tooLarge: 0 }],
  ] as const)('counts what computes nothing as %s: %j', async (to, values, expected) => {
    // A weight of 1e5 became infinite in f16 without a word, and every score of the model no number.
    const bytes = { f32: 4, f16: 2, bf16: 2, q8_0: 34 / 32 }[to];
    const target = new Uint8Array(values.length * bytes);
    const source = floats(...values);
    expect(await convert({ source, from: 'f32', target, to, columns: values.length })).toEqual(
      expected,
    );
  });

  it.each([
    [{ columns: 0 }, 'columns'],
    [{ columns: -4 }, 'columns'],
    [{ columns: 3 }, 'source'],
    [{ columns: 2 ** 40 }, 'source'],
    [{ target: new Uint8Array(7) }, 'target'],
    [{ to: 'q8_0' }, 'columns'],
    [{ to: 'q4_0' }, 'to'],
    [{ from: 'q8_0' }, 'from'],
    [{ source: new Float32Array(4) }, 'source'],
  ])('refuses %j', async (more, option) => {
    const request = {
      source: floats(1, 2, 3, 4),
      from: 'f32',
      target: new Uint8Array(8),
      to: 'bf16',
      columns: 4,
    };
    await expect(convert({ ...request, ...more } as unknown as Request)).rejects.toMatchObject({
      code: 'OPTION_INVALID',
      details: { option },
    });
  });
});
