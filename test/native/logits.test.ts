import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packageRoot } from '../../src/paths.ts';

const compiler = process.env['CXX'] ?? 'c++';
const hasCompiler = spawnSync(compiler, ['--version'], { stdio: 'ignore' }).status === 0;
if (!hasCompiler) console.warn(`no C++ compiler (${compiler}): rows of logits are not tested`);

interface Row {
  readonly values: Float32Array;
  /** Indices of `values`, ascending. */
  readonly allowed: readonly number[];
}

interface Reduced {
  readonly best: number;
  readonly isFinite: boolean;
  readonly bestAllowed: number;
}

/** The loop that the engine's code stands for: the first value that is greater than all before it. */
function firstGreatest(indices: Iterable<number>, values: Float32Array, otherwise: number): number {
  let greatest = Number.NEGATIVE_INFINITY;
  let found = otherwise;
  for (const index of indices) {
    if (values[index]! > greatest) {
      greatest = values[index]!;
      found = index;
    }
  }
  return found;
}

const oracle = ({ values, allowed }: Row): Reduced => ({
  best: firstGreatest(values.keys(), values, 0),
  isFinite: values.every((value) => Number.isFinite(value)),
  bestAllowed: firstGreatest(allowed, values, allowed[0] ?? -1),
});

/** Values among which many are equal, and some are no numbers or without a bound. */
const anyValue = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: -3, max: 3 }) },
  { weight: 3, arbitrary: fc.float() },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      ...[Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
      ...[-0, 0, 1e-45, -1e-45, 3.4e38, -3.4e38],
    ),
  },
);

/** Lengths around those of vectors and blocks, and rows of which a few places differ from a ground. */
const anyRow: fc.Arbitrary<Row> = fc
  .record({
    length: fc.oneof(
      fc.integer({ min: 1, max: 130 }),
      fc.integer({ min: 1000, max: 1100 }),
      fc.integer({ min: 2040, max: 3100 }),
    ),
    ground: fc.oneof(
      fc.constantFrom(Number.NaN, Number.NEGATIVE_INFINITY, 0, -0, -1, -3.4e38),
      fc.float({ noNaN: true, noDefaultInfinity: true }),
    ),
    places: fc.array(fc.tuple(fc.nat(), anyValue), { maxLength: 12 }),
    all: fc.option(fc.array(anyValue, { minLength: 1, maxLength: 64 })),
    everyNth: fc.integer({ min: 0, max: 5 }),
  })
  .map(({ length, ground, places, all, everyNth }) => {
    const values = Float32Array.from({ length }, (_, at) => (all ? all[at % all.length]! : ground));
    for (const [place, value] of places) values[place % length] = value;
    const allowed = [...values.keys()].filter((at) => everyNth > 0 && at % everyNth === 0);
    return { values, allowed };
  });

describe.skipIf(!hasCompiler)('rows of logits', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'gristmill-logits-'));
    const native = join(packageRoot, 'native');
    const sources = [
      join(packageRoot, 'test/native/logits-rows.cc'),
      join(native, 'engine', 'logits.cc'),
    ];
    // As the addon is compiled: what counts is what the compiler makes vectors of.
    const options = ['-std=c++20', '-O3', '-fPIC', `-I${native}`, '-o', join(folder, 'rows')];
    const { stderr, status } = spawnSync(compiler, [...options, ...sources], { encoding: 'utf8' });
    expect(stderr).not.toContain('error');
    expect(status).toBe(0);
  }, 120_000);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const reduce = (rows: readonly Row[]): Reduced[] => {
    const words = rows.flatMap(({ values, allowed }) => [
      Int32Array.of(values.length),
      values,
      Int32Array.of(allowed.length, ...allowed),
    ]);
    const input = Buffer.concat(
      words.map(({ buffer, byteOffset, byteLength }) =>
        Buffer.from(buffer, byteOffset, byteLength),
      ),
    );
    const { status, stdout } = spawnSync(join(folder, 'rows'), [], {
      input,
      encoding: 'utf8',
      maxBuffer: 2 ** 26,
    });
    expect(status).toBe(0);
    const lines = stdout.trimEnd().split('\n');
    expect(lines).toHaveLength(rows.length);
    return lines.map((line) => {
      const [best, finite, bestAllowed] = line.split(' ').map(Number);
      return { best: best!, isFinite: finite === 1, bestAllowed: bestAllowed! };
    });
  };

  it('give what a loop over them gives, with ties, NaN, infinities and zeros of both signs', () => {
    fc.assert(
      fc.property(fc.array(anyRow, { minLength: 60, maxLength: 60 }), (rows) => {
        for (const [at, reduced] of reduce(rows).entries()) {
          expect(reduced).toEqual(oracle(rows[at]!));
        }
      }),
      { numRuns: 60 },
    );
  }, 120_000);

  it('give the first index where nothing is greater than the lowest', () => {
    // The place of the greatest value would be behind the values that are no numbers.
    const lowest = Number.NEGATIVE_INFINITY;
    const rows = [
      [Number.NaN, Number.NaN],
      [Number.NaN, lowest, lowest],
      Array.from({ length: 1500 }, (_, at) => (at < 1100 ? Number.NaN : lowest)),
    ].map((values) => ({
      values: Float32Array.from(values),
      allowed: [...values.keys()].slice(1),
    }));
    for (const reduced of reduce(rows)) {
      expect(reduced).toEqual({ best: 0, isFinite: false, bestAllowed: 1 });
    }
  });
});
