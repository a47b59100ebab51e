/** Sums by thresholds against going through every row and every line again. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ScoreGrid } from '../../src/inspect/score-grid.ts';
import { type RawScores, ScorePacker } from '../../src/scores/batch-scores.ts';
import type { ScoreBlock } from '../../src/scores/score-file.ts';
import { verdictAt } from '../../src/scores/verdict.ts';

const LINES = [0.1, 0.25, 0.5, 0.9];
const DOCUMENTS = [0.2, 0.5, 0.8];
const score = fc.constantFrom(0, 0.05, 0.1, 0.2, 0.25, 0.3, 0.5, 0.6, 0.9, 1);
const rowArbitrary = fc.record({
  document: fc.oneof(score, fc.constant(Number.NaN)),
  lines: fc.option(
    fc.array(fc.tuple(score, fc.constantFrom('', 'a', 'bb', 'äö')), { minLength: 1, maxLength: 8 }),
    { nil: null },
  ),
});

describe('ScoreGrid', () => {
  it('says of any pair of thresholds what going through all rows says', () => {
    fc.assert(
      fc.property(
        fc.array(rowArbitrary, { maxLength: 12 }),
        fc.boolean(),
        (rows, isFromRetention) => {
          const raw: RawScores = {
            failed: rows.map(() => null),
            document: Float64Array.from(rows, ({ document }) => document),
            lines: rows.map(({ lines }) => lines && Float32Array.from(lines, ([value]) => value)),
          };
          const packed = new ScorePacker(LINES).pack(raw);
          const block: ScoreBlock = {
            ...packed,
            rowNumbers: Float64Array.from(rows.keys()),
            status: new Uint8Array(rows.length),
          };
          const grid = new ScoreGrid({ documents: DOCUMENTS, lines: LINES, isFromRetention });
          grid.addScores(block);
          const texts = rows.map(({ lines }) =>
            Buffer.from((lines ?? [[0, 'x']]).map(([, text]) => text).join('\n')),
          );
          for (const [row, text] of texts.entries()) {
            const data = Buffer.concat([Buffer.from('\n'), text, Buffer.from('\nother')]);
            grid.addText(block, row, data, [1, 1 + text.byteLength]);
          }
          for (let documentEdge = -1; documentEdge < DOCUMENTS.length; documentEdge++) {
            for (let lineEdge = -1; lineEdge < LINES.length; lineEdge++) {
              const wanted = {
                dropped: 0,
                edited: 0,
                linesGone: 0,
                bytesGone: 0,
                bytesDropped: 0,
                unscored: 0,
              };
              for (const [row, { lines }] of rows.entries()) {
                const document = DOCUMENTS[documentEdge] ?? null;
                const edge = lineEdge < 0 ? null : lineEdge;
                const verdict = verdictAt(block, row, { document, edge, isFromRetention });
                if (verdict.falls) {
                  wanted.dropped++;
                  wanted.bytesDropped += texts[row]!.byteLength;
                  continue;
                }
                if (lines === null) wanted.unscored++;
                const { codeBound } = verdict;
                const gone = (lines ?? []).map(
                  (_, at) => packed.codes[packed.lineStarts[row]! + at]! < (codeBound ?? 0),
                );
                if (gone.includes(true)) wanted.edited++;
                for (const [at, goes] of gone.entries()) {
                  if (!goes) continue;
                  wanted.linesGone++;
                  const isLast = at === gone.length - 1;
                  wanted.bytesGone += Buffer.byteLength(lines![at]![1]) + (isLast ? 0 : 1);
                }
              }
              expect(grid.figures(documentEdge, lineEdge)).toMatchObject(wanted);
            }
          }
        },
      ),
    );
  });
});
