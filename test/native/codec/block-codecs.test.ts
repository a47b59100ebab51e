import { brotliCompressSync, deflateRawSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type BlockCodec, fromNative, native } from '../../../src/native/index.ts';

/** Literals and copies by a naive matcher: enough of Snappy to test a decoder against. */
function snappyOf(input: Uint8Array): Uint8Array {
  const out: number[] = [];
  for (let n = input.length; ; n >>>= 7) {
    if (n < 128) {
      out.push(n);
      break;
    }
    out.push((n & 127) | 128);
  }
  const literal = (from: number, to: number): void => {
    for (let at = from; at < to; at += 65536) {
      const length = Math.min(65536, to - at);
      if (length <= 60) out.push((length - 1) << 2);
      else out.push(61 << 2, (length - 1) & 255, (length - 1) >> 8);
      out.push(...input.subarray(at, at + length));
    }
  };
  const seen = new Map<string, number>();
  let start = 0;
  for (let at = 0; at + 4 <= input.length; ) {
    const key = input.subarray(at, at + 4).join();
    const before = seen.get(key);
    seen.set(key, at);
    if (before === undefined || at - before > 65535) {
      at++;
      continue;
    }
    let length = 4;
    while (
      length < 64 &&
      at + length < input.length &&
      input[before + length] === input[at + length]
    )
      length++;
    if (start < at) literal(start, at);
    const distance = at - before;
    if (length <= 11 && distance < 2048)
      out.push(1 | ((length - 4) << 2) | ((distance >> 8) << 5), distance & 255);
    else out.push(2 | ((length - 1) << 2), distance & 255, distance >> 8);
    at += length;
    start = at;
  }
  if (start < input.length) literal(start, input.length);
  return Uint8Array.from(out);
}

const encoders: Partial<Record<BlockCodec, (input: Uint8Array) => Uint8Array>> = {
  zstd: (input) => native().zstdCompress(input, 3),
  gzip: (input) => gzipSync(input),
  snappy: snappyOf,
  none: (input) => input,
};
const codecs = Object.keys(encoders) as BlockCodec[];

function decode(codec: BlockCodec, bytes: Uint8Array, length: number): Uint8Array {
  const output = new Uint8Array(length);
  expect(native().decompress(codec, bytes, output)).toBe(length);
  return output;
}

/** Coded or fine: never a crash, never another kind of error. */
function survives(codec: BlockCodec, bytes: Uint8Array, length: number): void {
  // Guard bytes on both sides: a decoder that writes outside its target changes them.
  const memory = new Uint8Array(length + 128).fill(0xa5);
  try {
    native().decompress(codec, bytes, memory.subarray(64, 64 + length));
  } catch (error) {
    expect(fromNative(error)).toMatchObject({ code: 'CORPUS_CODEC_FAILED', details: { codec } });
  }
  expect(memory.subarray(0, 64).every((byte) => byte === 0xa5)).toBe(true);
  expect(memory.subarray(64 + length).every((byte) => byte === 0xa5)).toBe(true);
}

const repetitive = fc
  .tuple(
    fc.uint8Array({ maxLength: 40 }),
    fc.integer({ min: 0, max: 200 }),
    fc.uint8Array({ maxLength: 300 }),
  )
  .map(([part, times, tail]) =>
    Uint8Array.from([
      ...Array(times)
        .fill([...part])
        .flat(),
      ...tail,
    ]),
  );

describe('block codecs', () => {
  it.each(codecs)('%s: what was encoded comes back', (codec) => {
    fc.assert(
      fc.property(repetitive, (input) => {
        expect(Buffer.compare(decode(codec, encoders[codec]!(input), input.length), input)).toBe(0);
      }),
    );
  });

  it('lz4: a literal, a match that overlaps itself, a tail', () => {
    const block = Uint8Array.from([0x3f, 97, 98, 99, 3, 0, 2, 0x50, 49, 50, 51, 52, 53]);
    expect(Buffer.from(decode('lz4_raw', block, 3 + 21 + 5)).toString()).toBe(
      `${'abc'.repeat(8)}12345`,
    );
  });

  it('a zero-length page needs no bytes, in any codec', () => {
    for (const codec of [...codecs, 'lz4_raw'] as BlockCodec[]) {
      expect(native().decompress(codec, new Uint8Array(0), new Uint8Array(0))).toBe(0);
    }
  });

  it.each([...codecs, 'lz4_raw'] as BlockCodec[])(
    '%s: noise, flipped bits, cut ends and wrong lengths are coded errors',
    (codec) => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(2000), (noise, length) =>
          survives(codec, noise, length),
        ),
        { numRuns: 500 },
      );
      fc.assert(
        fc.property(
          repetitive,
          fc.nat(),
          fc.nat(),
          fc.integer({ min: -3, max: 3 }),
          (input, flip, cut, extra) => {
            const bytes = Uint8Array.from(encoders[codec]?.(input) ?? snappyOf(input));
            if (bytes.length > 0) bytes[flip % bytes.length]! ^= 1 << (flip % 8);
            survives(codec, bytes, Math.max(0, input.length + extra));
            survives(codec, bytes.subarray(0, cut % (bytes.length + 1)), input.length);
          },
        ),
        { numRuns: 500 },
      );
    },
  );

  it('refuses unknown codecs and formats that are not its own', () => {
    expect(() =>
      native().decompress('brotli' as never, new Uint8Array(1), new Uint8Array(1)),
    ).toThrow(/OPTION_INVALID/);
    const text = Buffer.from('some text');
    for (const foreign of [brotliCompressSync(text), deflateRawSync(text)])
      survives('gzip', foreign, text.length);
  });
});

describe('zstd streams', () => {
  it('any chunking gives the same bytes back', () => {
    const chunks = fc.array(fc.uint8Array({ maxLength: 3000 }), { maxLength: 8 });
    fc.assert(
      fc.property(
        chunks,
        fc.integer({ min: 1, max: 700 }),
        fc.integer({ min: 1, max: 700 }),
        (parts, inSize, outSize) => {
          const encoder = new (native().ZstdEncoder)(3);
          const packed: Buffer[] = [];
          const output = Buffer.alloc(outSize);
          const push = (bytes: Uint8Array, end: boolean): void => {
            for (let at = 0; ; ) {
              const step = encoder.encode(bytes.subarray(at), output, end);
              at += step.read;
              packed.push(Buffer.from(output.subarray(0, step.written)));
              if (step.done) return;
            }
          };
          for (const part of parts) push(part, false);
          push(new Uint8Array(0), true);
          const decoder = new (native().ZstdDecoder)();
          const whole = Buffer.concat(packed);
          const plain: Buffer[] = [];
          let done = false;
          for (let from = 0; from < whole.length; from += inSize) {
            const chunk = whole.subarray(from, from + inSize);
            for (let at = 0; ; ) {
              const step = decoder.decode(chunk.subarray(at), output);
              at += step.read;
              done = step.done;
              plain.push(Buffer.from(output.subarray(0, step.written)));
              if (at >= chunk.length && step.written < output.length) break;
            }
          }
          expect(done).toBe(true);
          expect(Buffer.compare(Buffer.concat(plain), Buffer.concat(parts))).toBe(0);
        },
      ),
    );
  });
});

describe('LZ4 frames', () => {
  /** `abc` in one raw block, with the checksum of its content: xxHash32 of `abc` is 0x32D153FF. */
  const frame = Buffer.from('04224d186440a70300008061626300000000ff53d132', 'hex');
  const decoded = (bytes: Uint8Array, length: number): string => {
    const output = new Uint8Array(length);
    native().decompress('lz4_frame', bytes, output);
    return Buffer.from(output).toString();
  };

  it('decodes frames, one after another, skippable ones between them', () => {
    const skippable = Buffer.from('502a4d1802000000ffff', 'hex');
    expect(decoded(frame, 3)).toBe('abc');
    expect(decoded(Buffer.concat([frame, skippable, frame]), 6)).toBe('abcabc');
  });

  it('blocks refer to blocks before them, where the frame says so', () => {
    // Blocks: the literals `abcdefgh`; a match of 8 from 8 back, then the literals `12345`.
    const header = Buffer.from('04224d184040c0', 'hex');
    const blocks = ['080000806162636465666768', '09000000', '04080050', '3132333435', '00000000'];
    const body = Buffer.from(blocks.join(''), 'hex');
    expect(decoded(Buffer.concat([header, body]), 21)).toBe('abcdefghabcdefgh12345');
  });

  it('damage anywhere is an error, with or without a checksum that shows it', () => {
    for (let bit = 0; bit < frame.byteLength * 8; bit++) {
      const damaged = Buffer.from(frame);
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      expect(() => decoded(damaged, 3), `bit ${bit}`).toThrow();
    }
    for (let end = 0; end < frame.byteLength; end++) {
      expect(() => decoded(frame.subarray(0, end), 3), `cut at ${end}`).toThrow();
    }
    expect(() => decoded(frame, 2)).toThrow();
    expect(() => decoded(frame, 4)).toThrow();
  });
});
