/** Whatever schema and values: what the encoder writes, the reader reads, in pieces of any size. */
import { tableFromIPC } from 'apache-arrow';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { exact, numbered, readAll, streamOf, typedField } from './arrow-support.ts';

const corpora = fc.array(typedField(), { minLength: 1, maxLength: 4 }).chain((typed) =>
  fc.record({
    fields: fc.constant(numbered(typed.map(({ field }) => field))),
    batches: fc.array(
      fc
        .nat({ max: 6 })
        .chain((rows) =>
          fc.tuple(
            ...typed.map(({ values }) => fc.array(values, { minLength: rows, maxLength: rows })),
          ),
        ),
      { maxLength: 3 },
    ),
    pieceBytes: fc.integer({ min: 1, max: 300 }),
  }),
);

describe('Arrow streams of any schema', () => {
  it('come back with the same schema and values', async () => {
    await fc.assert(
      fc.asyncProperty(corpora, async ({ fields, batches, pieceBytes }) => {
        const metadata = [
          ['k', 'v'],
          ['k', ''],
        ] as const;
        const { schema, columns } = await readAll(
          streamOf({ fields, metadata }, batches),
          pieceBytes,
        );
        expect(schema).toEqual({ fields, metadata });
        for (const [at, column] of columns.entries()) {
          expect(column.map(exact)).toEqual(batches.flatMap((batch) => batch[at]!.map(exact)));
        }
      }),
      { numRuns: 300 },
    );
  });

  it('are what another reader reads, where it knows the types', () => {
    fc.assert(
      fc.property(
        fc.array(fc.option(fc.string({ unit: 'grapheme' })), { maxLength: 20 }),
        fc.array(fc.option(fc.integer()), { maxLength: 20 }),
        (texts, numbers) => {
          const rows = Math.min(texts.length, numbers.length);
          const fields = numbered([
            {
              name: 'a',
              nullable: true,
              type: { kind: 'utf8' },
              children: [],
              dictionary: null,
              metadata: [],
            },
            {
              name: 'b',
              nullable: true,
              type: { kind: 'utf8' },
              children: [],
              dictionary: { id: '0', bits: 16, signed: true, ordered: false },
              metadata: [],
            },
            {
              name: 'c',
              nullable: true,
              type: { kind: 'int', bits: 32, signed: true },
              children: [],
              dictionary: null,
              metadata: [],
            },
          ]);
          const [one, other] = [texts.slice(0, rows), numbers.slice(0, rows)];
          const table = tableFromIPC(streamOf({ fields, metadata: [] }, [[one, one, other]]));
          const read = table.toArray().map((row) => [row.a, row.b, row.c]);
          expect(read).toEqual(one.map((value, at) => [value, value, other[at]]));
        },
      ),
      { numRuns: 50 },
    );
  });
});
