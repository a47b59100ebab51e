/** Scores kept beside the output of whole runs, with the package's refiners. */
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openPageScorer } from '../../src/lines/page-scorer.ts';
import { defaultModelFile } from '../../src/paths.ts';
import { openScores } from '../../src/refine/kept-scores.ts';
import { refineCorpus } from '../../src/refine/run.ts';
import type { RefineCorpusOptions } from '../../src/refine/run-options.ts';
import { countUpTo } from '../../src/scores/edges.ts';
import { syntheticPages } from '../train/support.ts';

const base = mkdtempSync(join(tmpdir(), 'gristmill-kept-scores-'));
const corpus = join(base, 'corpus');
const texts = [
  ...syntheticPages(60, 5).map(({ text }) => text),
  // Pages that fall, an empty one, one of blank lines, none.
  ...Array.from({ length: 12 }, (_, page) => Array(9).fill(`Home | Login | ${page}`).join('\n')),
  '',
  '\n\n',
  null,
];

beforeAll(() => {
  mkdirSync(corpus);
  const rows = texts.map((text, id) => JSON.stringify({ id: String(id), text }));
  const half = rows.length >> 1;
  writeFileSync(join(corpus, 'a.jsonl'), `${rows.slice(0, half).join('\n')}\n`);
  writeFileSync(join(corpus, 'b.jsonl'), `${['no row', ...rows.slice(half)].join('\n')}\n`);
});
afterAll(() => rmSync(base, { recursive: true, force: true }));

async function refine(out: string, options: Partial<RefineCorpusOptions> = {}) {
  const all = { inputs: corpus, isolate: false, idColumn: 'id', threads: 1, workers: 0 };
  return refineCorpus({ ...all, out: join(base, out), ...options });
}

const recordsOf = (out: string) =>
  readdirSync(join(base, out, '_gristmill/units')).map((name) => {
    return JSON.parse(readFileSync(join(base, out, '_gristmill/units', name), 'utf8'));
  });

describe('a run that keeps scores', () => {
  it('has a sidecar by unit, named in the record with its hash', async () => {
    await refine('kept', { keepScores: 'all' });
    const records = recordsOf('kept');
    expect(records).toHaveLength(2);
    for (const { unit, scores } of records) {
      const bytes = readFileSync(join(base, 'kept', scores.path));
      expect(scores.path).toBe(`_gristmill/scores/part-0000${unit}.scores`);
      expect(scores.bytes).toBe(bytes.length);
      expect(scores.sha256).toBe(createHash('sha256').update(bytes).digest('hex'));
    }
  });

  it('tells of every line what its model says of it', async () => {
    const { layout, unit } = await openScores(join(base, 'kept'));
    const { edges } = layout.lines!;
    const scorer = await openPageScorer({ modelPath: defaultModelFile('chunk') });
    const judge = await openPageScorer({ modelPath: defaultModelFile('document') });
    const seen: number[] = [];
    for (const index of [0, 1]) {
      const file = await unit(index);
      for (const place of file.blocks) {
        const { rowNumbers, lineStarts, codes, document, status } = await file.read(place);
        for (const [at, number] of rowNumbers.entries()) {
          // The first line of the second file is no row.
          const id = index === 0 ? number : number - 1 + (texts.length >> 1);
          seen.push(id);
          const text = texts[id];
          if (text == null) {
            expect(status[at]).toBe(3);
            expect(document[at]).toBeNaN();
            continue;
          }
          const scores = await scorer.scoreLines(text.split('\n'));
          expect([...codes.subarray(lineStarts[at], lineStarts[at + 1])]).toEqual(
            Array.from(scores, (score) => countUpTo(edges, score)),
          );
          expect(document[at]).toBe((await judge.scoreDocuments([text]))[0]);
        }
      }
      await file.close();
    }
    expect(seen).toEqual([...texts.keys()]);
    scorer.dispose();
    judge.dispose();
  });

  it('writes the same rows as one that keeps none, and leaves the lines of what fell alone', async () => {
    await refine('none');
    await refine('staying', { keepScores: true });
    const partsOf = (out: string) =>
      recordsOf(out).map(({ files }) => files.map(({ sha256 }: { sha256: string }) => sha256));
    expect(partsOf('staying')).toEqual(partsOf('none'));
    expect(partsOf('kept')).toEqual(partsOf('none'));
    const { layout, unit } = await openScores(join(base, 'staying'));
    expect(layout.lines!.from).toBeGreaterThan(0);
    let nFell = 0;
    for (const index of [0, 1]) {
      const file = await unit(index);
      for (const place of file.blocks) {
        const { state, document, nRows, lineStarts } = await file.read(place);
        for (let row = 0; row < nRows; row++) {
          const fell = document[row]! < layout.lines!.from!;
          expect(state[row] === 1).toBe(fell);
          if (fell) expect(lineStarts[row + 1]).toBe(lineStarts[row]);
          if (fell) nFell++;
        }
      }
      await file.close();
    }
    expect(nFell).toBeGreaterThan(5);
    expect(nFell).toBeLessThan(30);
  });

  it('is refused of refiners without scores, of streams, and is not found where none were kept', async () => {
    const code = (expected: string) => expect.objectContaining({ code: expected });
    await expect(refine('p', { chunkModel: 'programs', keepScores: true })).rejects.toEqual(
      code('RUN_SCORES_NONE'),
    );
    await expect(refine('-', { out: '-', keepScores: true })).rejects.toEqual(
      code('OPTION_INVALID'),
    );
    await expect(openScores(join(base, 'none'))).rejects.toEqual(code('RUN_SCORES_ABSENT'));
    await expect(openScores(base)).rejects.toEqual(code('RUN_SCORES_ABSENT'));
  });
});
