/**
 * The Arrow reader on damaged streams of every type: what it gives is a coded error or rows that hold together, soon
 * and in bounded memory.
 *
 * Damage is aimed: bits and words of metadata, lengths, cuts, inserted and overwritten bytes, messages that are left
 * out, doubled, exchanged or taken from another stream. What one flipped bit outside of the values leaves readable has
 * the rows and values that were written.
 *
 * A short seeded run here; `npm run fuzz` runs half a million (GRISTMILL_FUZZ_RUNS, GRISTMILL_FUZZ_SEED).
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ArrowFault } from '../../src/corpus/arrow-flatbuffer.ts';
import { readMessage } from '../../src/corpus/arrow-messages.ts';
import type { ArrowSchema } from '../../src/corpus/arrow-schema.ts';
import type { PlainValue } from '../../src/corpus/types.ts';
import { isGristmillError } from '../../src/errors.ts';
import { exact, numbered, readAll, streamOf, typedField } from '../corpus/arrow-support.ts';
import { seeded } from '../support/corpus.ts';

const RUNS = Number(process.env['GRISTMILL_FUZZ_RUNS'] ?? 3000);
const SEED = Number(process.env['GRISTMILL_FUZZ_SEED'] ?? 1);
/** An execution that takes longer hangs. */
const MAX_MS = 10_000;
const MAX_RSS = 2 ** 30;
const N_BASES = 80;
const FIXTURES = join(import.meta.dirname, '../corpus/fixtures/arrow');

/** A stream, what is in it, and where its messages and bodies lie. */
interface Base {
  readonly bytes: Uint8Array;
  readonly messages: readonly {
    readonly start: number;
    readonly body: number;
    readonly end: number;
  }[];
  readonly read: Read;
}

interface Read {
  readonly schema: ArrowSchema;
  readonly rows: number;
  readonly columns: readonly (readonly PlainValue[])[];
}

/** Whole numbers below a bound: the same ones for the same seed. */
function randomFrom(seed: number): (below: number) => number {
  const random = seeded(seed);
  return (below) => Math.floor(random() * below);
}

function messagesOf(bytes: Uint8Array): Base['messages'] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const found: { start: number; body: number; end: number }[] = [];
  let start = Buffer.from(bytes.subarray(0, 6)).toString('latin1') === 'ARROW1' ? 8 : 0;
  while (start + 8 <= bytes.byteLength) {
    const length = view.getUint32(start + 4, true);
    if (view.getUint32(start, true) !== 0xffffffff || length === 0) break;
    const body = start + 8 + length;
    const end = body + readMessage(bytes.subarray(start + 8, body)).bodyBytes;
    found.push({ start, body, end });
    start = end;
  }
  return found;
}

async function makeBases(): Promise<Base[]> {
  const arbitrary = fc.array(typedField(), { minLength: 1, maxLength: 4 }).chain((typed) => {
    const rows = fc.nat({ max: 5 }).chain((n) => {
      return fc.tuple(
        ...typed.map(({ values }) => fc.array(values, { minLength: n, maxLength: n })),
      );
    });
    const fields = numbered(typed.map(({ field }) => field));
    const metadata = [['k', 'v']] as const;
    const batches = fc.array(rows, { minLength: 1, maxLength: 3 });
    return batches.map((made) => streamOf({ fields, metadata }, made));
  });
  const streams = fc.sample(arbitrary, { seed: SEED, numRuns: N_BASES });
  const files = readdirSync(FIXTURES).filter((name) => name !== 'fabricated.arrow');
  const all = [...streams, ...files.map((name) => readFileSync(join(FIXTURES, name)))];
  return Promise.all(
    all.map(async (bytes) => ({ bytes, messages: messagesOf(bytes), read: await readAll(bytes) })),
  );
}

const WORDS = [
  0,
  1,
  2,
  3,
  4,
  7,
  8,
  16,
  127,
  255,
  1 << 16,
  1 << 24,
  0x7fffffff,
  0x80000000,
  0xffffffff,
];

type Random = (below: number) => number;

/** A damaged copy; `bit` is set when it differs in that bit alone. */
function damage(
  base: Base,
  bases: readonly Base[],
  random: Random,
): { bytes: Uint8Array; bit: number | null } {
  const bytes = Uint8Array.from(base.bytes);
  const { messages } = base;
  const message = messages[random(messages.length)]!;
  /** A place in the metadata of a message, where most damage does most. */
  const place = (): number => {
    const inMetadata = random(4) > 0;
    return inMetadata
      ? message.start + random(message.body - message.start)
      : random(bytes.byteLength);
  };
  switch (random(8)) {
    case 0:
    case 1: {
      const bit = place() * 8 + random(8);
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      return { bytes, bit };
    }
    case 2:
      for (let times = random(6) + 2; times > 0; times--) bytes[place()]! ^= 1 << random(8);
      return { bytes, bit: null };
    case 3: {
      const at = Math.min(place() & ~3, bytes.byteLength - 4);
      const word = WORDS[random(WORDS.length)]!;
      new DataView(bytes.buffer).setUint32(at, word, true);
      return { bytes, bit: null };
    }
    case 4:
      return { bytes: bytes.subarray(0, random(bytes.byteLength)), bit: null };
    case 5: {
      const at = place();
      const added = Uint8Array.from({ length: random(24) }, () => random(256));
      const rest = base.bytes.subarray(random(2) === 0 ? at : at + added.byteLength);
      return { bytes: Buffer.concat([bytes.subarray(0, at), added, rest]), bit: null };
    }
    case 6: {
      const parts = messages.map(({ start, end }) => base.bytes.subarray(start, end));
      const [one, other] = [random(parts.length), random(parts.length)];
      if (random(3) === 0) parts.splice(one, 1);
      else if (random(2) === 0) parts.splice(one, 0, parts[other]!);
      else [parts[one], parts[other]] = [parts[other]!, parts[one]!];
      return { bytes: Buffer.concat(parts), bit: null };
    }
    default: {
      const stranger = bases[random(bases.length)]!;
      const theirs = stranger.messages[random(stranger.messages.length)]!;
      const theirBytes = stranger.bytes.subarray(theirs.start, theirs.end);
      const { start, end } = message;
      const before = bytes.subarray(0, random(2) === 0 ? start : end);
      return { bytes: Buffer.concat([before, theirBytes, bytes.subarray(end)]), bit: null };
    }
  }
}

const form = (columns: readonly (readonly PlainValue[])[]): string => {
  return JSON.stringify(columns.map((column) => column.map(exact)));
};

/** What is wrong with what was read; null for nothing. */
function fault(base: Base, read: Read, bit: number | null): string | null {
  if (read.columns.some((column) => column.length !== read.rows)) return 'columns of other lengths';
  if (bit === null) return null;
  const byte = bit >> 3;
  if (base.messages.some(({ body, end }) => byte >= body && byte < end)) return null;
  if (read.rows !== base.read.rows) return `${read.rows} rows of ${base.read.rows}`;
  // A bit of the schema may make another type of the same bytes: that is what was written then.
  if (JSON.stringify(read.schema) !== JSON.stringify(base.read.schema)) return null;
  return form(read.columns) === form(base.read.columns) ? null : 'other values';
}

describe('damaged Arrow streams', () => {
  it(
    `give a coded error or consistent rows, ${RUNS} times`,
    async () => {
      const bases = await makeBases();
      const random = randomFrom(SEED);
      let peak = 0;
      let refused = 0;
      let slowest = 0;
      for (let run = 0; run < RUNS; run++) {
        const base = bases[random(bases.length)]!;
        const { bytes, bit } = damage(base, bases, random);
        const began = performance.now();
        try {
          const read = await readAll(bytes, random(2) === 0 ? 1 << 20 : random(200) + 1);
          const wrong = fault(base, read, bit);
          if (wrong) throw new Error(wrong);
        } catch (error) {
          const coded =
            isGristmillError(error, 'CORPUS_FILE_INVALID') ||
            isGristmillError(error, 'CORPUS_UNSUPPORTED') ||
            error instanceof ArrowFault;
          if (!coded) {
            const where = `run ${run}, seed ${SEED}: ${Buffer.from(bytes).toString('base64')}`;
            throw new Error(where, { cause: error });
          }
          refused++;
        }
        slowest = Math.max(slowest, performance.now() - began);
        if (slowest > MAX_MS) throw new Error(`run ${run}, seed ${SEED}: ${slowest} ms`);
        if (run % 500 === 0) peak = Math.max(peak, process.memoryUsage.rss());
      }
      expect(peak).toBeLessThan(MAX_RSS);
      expect(refused).toBeGreaterThan(RUNS / 4);
      if (RUNS > 10_000) {
        const figures = `${refused} refused, slowest ${slowest.toFixed(0)} ms, ${peak >> 20} MiB at most`;
        process.stderr.write(`arrow: ${RUNS} executions, ${figures}\n`);
      }
    },
    24 * 3600 * 1000,
  );
});
