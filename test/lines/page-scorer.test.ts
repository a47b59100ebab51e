import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { calibrated } from '../../src/lines/calibration.ts';
import type { ScoringEncoder } from '../../src/lines/encoder-file.ts';
import { BagWriter, encodePage } from '../../src/lines/line-encoder.ts';
import { spreadScores } from '../../src/lines/measure.ts';
import { openPageScorer, type PageScorer } from '../../src/lines/page-scorer.ts';
import { RANDOM_MODEL_PRESETS, writeRandomModel } from '../../src/model/random.ts';
import { native } from '../../src/native/index.ts';
import { documentLogits } from '../../src/scorers/document-score/training.ts';
import { pageLogits } from '../../src/scorers/line-score/refiner.ts';
import type { Trainer } from '../../src/train/trainer.ts';
import { syntheticPages } from '../train/support.ts';
import { syntheticDocuments, writeDocumentScorer, writeLineScorer } from './support.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-lines-'));
const f32 = join(folder, 'lines-f32.gguf');
const q8 = join(folder, 'lines-q8.gguf');
const long = syntheticPages(12, 5).flatMap(({ lines }) => [...lines, '']);
let trainer: Trainer;
let scoring: ScoringEncoder;

beforeAll(async () => {
  ({ trainer, scoring } = await writeLineScorer(f32));
  const other = await writeLineScorer(q8, 'q8_0');
  await other.trainer.dispose();
});
afterAll(async () => {
  await trainer.dispose();
  rmSync(folder, { recursive: true, force: true });
});

describe('PageScorer over lines', () => {
  it('scores as the trainer does, over several windows', async () => {
    const scorer = await openPageScorer({ modelPath: f32 });
    expect(scorer.info).toMatchObject({ kind: 'line-score', nEmbd: 64, nCtx: 64 });
    expect(long.length).toBeGreaterThan(100);
    const page = encodePage(long, scoring.encoder);
    const logits = await pageLogits(page, trainer, scoring.encoder);
    const { starts, ids, weights } = oneWindow(page, scoring);
    const alone = await native().openLineScorer({ modelPath: f32, device: 'cpu', nThreads: 2 });
    const first = await alone.score({
      windowStarts: Int32Array.of(0, 48),
      bagStarts: starts,
      bagIds: ids,
      bagWeights: weights,
    });
    const expected = await trainerLogits(starts, ids, weights);
    let squares = 0;
    let total = 0;
    for (let line = 0; line < 48; line++) {
      squares += (first[line]! - expected[line]!) ** 2;
      total += expected[line]! ** 2;
    }
    expect(Math.sqrt(squares / total)).toBeLessThan(1e-5);
    // Word weights are bfloat16 in the file, so that page scores agree to less.
    const scores = await scorer.scoreLines(long);
    const wanted = spreadScores(
      page.page,
      logits.map((logit) => calibrated(logit, scoring.calibration)),
      long.length,
    );
    scores.forEach((score, line) => {
      expect(Math.abs(score - wanted[line]!)).toBeLessThan(0.02);
    });
    scorer.dispose();
    alone.dispose();
  });

  it('gives a window the same bits whatever its company and the number of threads', async () => {
    const page = encodePage(long, scoring.encoder);
    const { starts, ids, weights } = oneWindow(page, scoring);
    const open = (nThreads: number) =>
      native().openLineScorer({ modelPath: f32, device: 'cpu', nThreads });
    const [one, two] = await Promise.all([open(1), open(2)]);
    const score = (scorer: typeof one, windowStarts: Int32Array, nBags: number) =>
      scorer.score({
        windowStarts,
        bagStarts: starts.subarray(0, nBags + 1),
        bagIds: ids.subarray(0, starts[nBags]),
        bagWeights: weights.subarray(0, starts[nBags]),
      });
    const together = await score(one, Int32Array.of(0, 20, 20, 21, 48), 48);
    expect(await score(two, Int32Array.of(0, 20, 20, 21, 48), 48)).toEqual(together);
    expect(await score(one, Int32Array.of(0, 20), 20)).toEqual(together.subarray(0, 20));
    one.dispose();
    two.dispose();
  });

  it('is close in Q8_0', async () => {
    const [exact, quantised] = await Promise.all([
      openPageScorer({ modelPath: f32 }),
      openPageScorer({ modelPath: q8, nThreads: 2 }),
    ]);
    const [left, right] = await Promise.all([exact.scoreLines(long), quantised.scoreLines(long)]);
    const differences = left.map((score, line) => Math.abs(score - right[line]!));
    const mean = differences.reduce((sum, difference) => sum + difference, 0) / left.length;
    expect(mean).toBeGreaterThan(0);
    expect(mean).toBeLessThan(0.02);
    exact.dispose();
    quantised.dispose();
  });

  it('scores empty pages, blank lines and pages of one line', async () => {
    const scorer = await openPageScorer({ modelPath: f32 });
    expect([...(await scorer.scoreLines(['']))]).toEqual([1]);
    expect(await scorer.scoreLines(['', '  ', '\t'])).toHaveLength(3);
    expect(await scorer.scoreLines(['Home'])).toHaveLength(1);
    scorer.dispose();
  });

  it('names what is wrong with a request', async () => {
    const scorer = await native().openLineScorer({ modelPath: f32, device: 'cpu', nThreads: 1 });
    const good = {
      windowStarts: Int32Array.of(0, 2),
      bagStarts: Int32Array.of(0, 1, 2),
      bagIds: Int32Array.of(0, 1),
      bagWeights: Float32Array.of(1, 1),
    };
    const wrong = [
      [{ ...good, bagIds: Int32Array.of(0, 1 << 20) }, 'bagIds[1]'],
      [{ ...good, bagIds: Int32Array.of(-1, 1) }, 'bagIds[0]'],
      [{ ...good, bagWeights: Float32Array.of(1, Number.NaN) }, 'bagWeights[1]'],
      [{ ...good, bagWeights: Float32Array.of(1) }, 'bagWeights'],
      [{ ...good, bagStarts: Int32Array.of(0, 2, 1) }, 'bagStarts[2]'],
      [{ ...good, windowStarts: Int32Array.of(0, 3) }, 'windowStarts[1]'],
      [{ ...good, windowStarts: Int32Array.of(1, 2) }, 'windowStarts[0]'],
      [
        {
          windowStarts: Int32Array.of(0, 65),
          bagStarts: new Int32Array(66),
          bagIds: new Int32Array(0),
          bagWeights: new Float32Array(0),
        },
        'windowStarts[0]',
      ],
    ] as const;
    for (const [request, option] of wrong) {
      await expect(scorer.score(request)).rejects.toMatchObject({
        code: 'OPTION_INVALID',
        details: { option },
      });
    }
    await expect(scorer.score({ ...good, bagIds: new Float32Array(2) as never })).rejects.toThrow();
    expect(await scorer.score(good)).toHaveLength(2);
    const pending = scorer.score(good);
    scorer.dispose();
    scorer.dispose();
    expect(await pending).toHaveLength(2);
    await expect(scorer.score(good)).rejects.toMatchObject({ code: 'DISPOSED' });
  });

  it('refuses files that are no scoring models', async () => {
    const random = join(folder, 'random.gguf');
    await writeRandomModel({ ...RANDOM_MODEL_PRESETS.tiny, path: random, seed: 1 });
    const cut = join(folder, 'cut.gguf');
    writeFileSync(cut, readFileSync(f32));
    truncateSync(cut, 40_000);
    const open = (modelPath: string) => openPageScorer({ modelPath });
    await expect(open(random)).rejects.toMatchObject({ code: 'ENGINE_ARCHITECTURE_UNSUPPORTED' });
    await expect(open(cut)).rejects.toMatchObject({ code: 'ENGINE_MODEL_INVALID' });
    await expect(open(join(folder, 'none'))).rejects.toMatchObject({
      code: 'ENGINE_MODEL_MISSING',
    });
  });
});

describe('PageScorer over documents', () => {
  it('scores as the trainer does', async () => {
    const path = join(folder, 'documents.gguf');
    const made = await writeDocumentScorer(path);
    const texts = [...syntheticDocuments(20, 8).map(({ text }) => text), '', '\n'];
    const logits = await documentLogits(texts, made.trainer, made.scoring.encoder);
    await made.trainer.dispose();
    const scorer: PageScorer = await openPageScorer({ modelPath: path });
    const scores = await scorer.scoreDocuments(texts);
    scores.forEach((score, index) => {
      expect(score).toBeCloseTo(1 / (1 + Math.exp(-logits[index]!)), 4);
    });
    scorer.dispose();
  });
});

/** The first 48 lines as bags. */
function oneWindow(page: ReturnType<typeof encodePage>, { encoder }: ScoringEncoder) {
  const bags = new BagWriter(48);
  for (let line = 0; line < 48; line++) bags.add(page, line, encoder);
  return bags.finish();
}

async function trainerLogits(
  starts: Int32Array,
  ids: Int32Array,
  weights: Float32Array,
): Promise<Float64Array> {
  const { nCtx, nSeq } = trainer.options;
  const { logits } = await trainer.forward(
    {
      bagStarts: Int32Array.from({ length: nCtx * nSeq + 1 }, (_, at) => starts[Math.min(at, 48)]!),
      bagIds: ids,
      bagWeights: weights,
      segments: new Int32Array(nCtx * nSeq).fill(-1).fill(0, 0, 48),
      positions: Int32Array.from({ length: 48 }, (_, line) => line),
      labels: new Int32Array(48),
    },
    { logits: true },
  );
  return Float64Array.from({ length: 48 }, (_, line) => logits[2 * line + 1]! - logits[2 * line]!);
}
