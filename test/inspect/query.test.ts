/** Filters, histograms and orders against a list of rows that is filtered, counted and sorted as anybody would. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  blockOver,
  bytesOfStep,
  type IndexBlock,
  type IndexNames,
  NameBook,
  NONE_16,
  OTHER_16,
  sizeStepOf,
  stepOf,
} from '../../src/inspect/index-block.ts';
import { type Query, querySchema, runQuery, tableRow } from '../../src/inspect/query.ts';

const names: IndexNames = {
  outcomes: [
    { status: 'kept', reason: 'keep', part: 'staying' },
    { status: 'edited', reason: 'edited', part: 'staying' },
    { status: 'dropped', reason: 'doc_refiner', part: 'dropped' },
    { status: 'failed', reason: 'null_text', part: 'staying' },
    { status: 'failed', reason: 'bad_json', part: 'rejected' },
  ],
  domains: ['a.example', 'b.example', 'constructor'],
  languages: ['de', 'en'],
};

interface RowSpec {
  readonly outcome: number;
  readonly score: number | null;
  readonly share: number | null;
  readonly bytes: number | null;
  readonly domain: number;
  readonly language: number;
}

const share = fc.option(fc.constantFrom(0, 0.05, 0.2, 0.25, 0.5, 0.51, 1), { nil: null });
const rowArbitrary: fc.Arbitrary<RowSpec> = fc.record({
  outcome: fc.nat(4),
  score: share,
  share,
  bytes: fc.option(fc.constantFrom(0, 1, 100, 1023, 1024, 40_000), { nil: null }),
  domain: fc.constantFrom(0, 1, 2, NONE_16, OTHER_16),
  language: fc.constantFrom(0, 1, 255),
});

function blocksOf(units: readonly (readonly RowSpec[])[]): IndexBlock[] {
  return units.map((rows, unit) => {
    const block = blockOver(unit * 2, rows.length);
    for (const [at, row] of rows.entries()) {
      block.outcome[at] = row.outcome;
      block.score[at] = stepOf(row.score);
      block.share[at] = stepOf(row.share);
      block.size[at] = row.bytes === null ? NONE_16 : sizeStepOf(row.bytes);
      block.domain[at] = row.domain;
      block.language[at] = row.language;
    }
    return block;
  });
}

const bound = fc.option(fc.constantFrom(0, 0.05, 0.25, 0.5, 1), { nil: null });
const queryArbitrary: fc.Arbitrary<Query> = fc.record(
  {
    status: fc.subarray(['kept', 'edited', 'dropped', 'failed', 'nothing']),
    reason: fc.subarray(['keep', 'edited', 'bad_json']),
    domain: fc.subarray(['a.example', 'constructor', '(none)', '(other)']),
    language: fc.subarray(['en', '(none)']),
    score: fc.tuple(bound, bound),
    share: fc.tuple(bound, bound),
    size: fc.constantFrom<[number | null, number | null]>([0, 100], [1, null], [null, 2000]),
    sort: fc.constantFrom('row' as const, 'score' as const, 'share' as const, 'size' as const),
    descending: fc.boolean(),
    offset: fc.nat(20),
    limit: fc.nat(12),
  },
  { requiredKeys: [] },
);

describe('runQuery', () => {
  it('is what filtering, counting and sorting a list gives', async () => {
    const unitsArbitrary = fc.array(fc.array(rowArbitrary, { maxLength: 25 }), { maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(unitsArbitrary, queryArbitrary, async (units, query) => {
        expect(querySchema.safeParse(query).success).toBe(true);
        const blocks = blocksOf(units);
        const result = await runQuery({ blocks, names }, query, null);
        const all = blocks.flatMap((block) =>
          Array.from({ length: block.nRows }, (_, row) => ({
            row: tableRow(names, block, row),
            steps: {
              row: 0,
              score: block.score[row]!,
              share: block.share[row]!,
              size: block.size[row]!,
            },
          })),
        );
        type One = (typeof all)[number];
        const inRange = (facet: 'score' | 'share' | 'size', { steps }: One): boolean => {
          const range = query[facet];
          if (!range) return true;
          const of = facet === 'size' ? sizeStepOf : stepOf;
          const step = steps[facet];
          if (step === NONE_16) return false;
          return (
            (range[0] === null || step >= of(range[0])) &&
            (range[1] === null || step <= of(range[1]))
          );
        };
        const inList = (
          facet: 'status' | 'reason' | 'domain' | 'language',
          { row }: One,
        ): boolean =>
          !query[facet] ||
          query[facet].length === 0 ||
          query[facet].includes(row[facet] ?? '(none)');
        const tests = {
          status: (one: One) => inList('status', one),
          reason: (one: One) => inList('reason', one),
          domain: (one: One) => inList('domain', one),
          language: (one: One) => inList('language', one),
          score: (one: One) => inRange('score', one),
          share: (one: One) => inRange('share', one),
          size: (one: One) => inRange('size', one),
        };
        const passing = (but: string | null) =>
          all.filter((one) =>
            Object.entries(tests).every(([facet, test]) => facet === but || test(one)),
          );
        const matched = passing(null);
        expect(result.total).toBe(all.length);
        expect(result.matched).toBe(matched.length);
        const { sort = 'row', descending = false, offset = 0, limit = 50 } = query;
        const sorted = [...matched];
        if (sort === 'row' && descending) sorted.reverse();
        if (sort !== 'row') {
          sorted.sort((left, right) => {
            const [a, b] = [left.steps[sort], right.steps[sort]];
            if (a === b || (a === NONE_16) !== (b === NONE_16))
              return a === b ? 0 : a === NONE_16 ? 1 : -1;
            return descending ? b - a : a - b;
          });
        }
        expect(result.rows).toEqual(sorted.slice(offset, offset + limit).map(({ row }) => row));
        for (const facet of ['status', 'reason', 'domain', 'language'] as const) {
          const counted = Object.fromEntries(
            result.facets[facet].map(({ name, count }) => [name, count]),
          );
          const expected = new Map<string, number>();
          for (const { row } of passing(facet)) {
            const name = row[facet] ?? '(none)';
            expected.set(name, (expected.get(name) ?? 0) + 1);
          }
          expect(counted).toEqual(Object.fromEntries(expected));
        }
        for (const facet of ['score', 'share', 'size'] as const) {
          const own = passing(facet).filter(({ steps }) => steps[facet] !== NONE_16);
          const bars = result.facets[facet].reduce((sum, { count }) => sum + count, 0);
          expect([bars, result.unknown[facet]]).toEqual([
            own.length,
            passing(facet).length - own.length,
          ]);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('takes rows that hold the words, and none of units that have not been searched', async () => {
    const row = { outcome: 0, score: 1, share: 0, bytes: 5, domain: 0, language: 0 };
    const blocks = blocksOf([
      [row, row, row],
      [row, row],
    ]);
    const found = (unit: number) => (unit === 0 ? Uint8Array.of(0, 1, 1) : null);
    const { matched, rows, facets } = await runQuery({ blocks, names }, { words: 'x' }, found);
    expect([matched, rows.map(({ position }) => position)]).toEqual([2, [1, 2]]);
    expect(facets.status).toEqual([{ name: 'kept', count: 2 }]);
  });
});

describe('steps', () => {
  it('are true to a tenth of a percent and keep the order', () => {
    const bytes = fc.integer({ min: 0, max: 2 ** 40 });
    fc.assert(
      fc.property(bytes, bytes, (one, other) => {
        expect(Math.abs(bytesOfStep(sizeStepOf(one))! - one)).toBeLessThanOrEqual(1 + one / 1000);
        if (one < other) expect(sizeStepOf(one)).toBeLessThanOrEqual(sizeStepOf(other));
      }),
    );
    expect([stepOf(null), stepOf(Number.NaN), stepOf(-1), stepOf(0)]).toEqual([
      NONE_16,
      NONE_16,
      0,
      0,
    ]);
    expect(stepOf(2)).toBeLessThan(OTHER_16);
  });

  it('of names end in "other" when there are no more numbers', () => {
    const book = new NameBook([], 3);
    expect(['a', 'b', 'a', 'c', 'd', 'e', 'b'].map((name) => book.numberOf(name))).toEqual([
      0, 1, 0, 2, 3, 3, 1,
    ]);
  });
});
