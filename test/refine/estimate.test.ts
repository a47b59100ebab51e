/** Estimates held against whole runs; the slow check of times is bench/cases/estimate.ts. */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { estimateRefine } from '../../src/refine/estimate.ts';
import { refineCorpus } from '../../src/refine/run.ts';
import type { RunSummary } from '../../src/refine/statistics.ts';
import { syntheticPages } from '../train/support.ts';

const base = mkdtempSync(join(tmpdir(), 'gristmill-estimate-'));
const corpus = join(base, 'corpus');
const out = join(base, 'out');
let whole: RunSummary;

beforeAll(async () => {
  mkdirSync(corpus);
  const pages = syntheticPages(300, 8).map(({ text }) => text);
  for (const file of [0, 1, 2]) {
    const rows = Array.from({ length: 1000 }, (_, at) => {
      const text = pages[(file * 1000 + at * 7919) % pages.length]!;
      // Noise lies in stretches, as sites do in crawls.
      return at % 100 < 12 ? Array(9).fill(`Home | Login | ${at}`).join('\n') : text;
    });
    const json = rows.map((text) => `${JSON.stringify({ text })}\n`).join('');
    writeFileSync(join(corpus, `${file}.jsonl`), json);
  }
  whole = await refineCorpus({ inputs: corpus, out: join(base, 'whole'), isolate: false });
});
afterAll(() => rmSync(base, { recursive: true, force: true }));

describe('estimateRefine', () => {
  it('has the shares of the whole run inside its intervals, and writes nothing', async () => {
    const rows = 1 - whole.dropped / whole.rowsIn;
    const characters = whole.charsOut / whole.charsIn;
    expect(rows).toBeLessThan(0.95);
    let nInside = 0;
    for (let seed = 1; seed <= 6; seed++) {
      const { kept, sample, ...all } = await estimateRefine({
        inputs: corpus,
        out,
        share: 0.1,
        seed,
      });
      expect(all.rows).toEqual({ estimate: 3000, low: 3000, high: 3000 });
      expect(sample.rows).toBeGreaterThan(200);
      expect(sample.rows).toBeLessThan(400);
      expect(all.hours.low).toBeGreaterThan(0);
      expect(all.hours.high).toBeGreaterThan(all.hours.estimate);
      expect(kept.rows.high - kept.rows.low).toBeLessThan(0.4);
      expect(kept.tokens.estimate).toBeGreaterThan(0.5);
      if (kept.rows.low <= rows && rows <= kept.rows.high) nInside++;
      if (kept.characters.low <= characters && characters <= kept.characters.high) nInside++;
    }
    expect(nInside).toBeGreaterThanOrEqual(9);
    expect(existsSync(out)).toBe(false);
  });

  it('is exact where the sample is everything, and the same for the same seed', async () => {
    const all = await estimateRefine({ inputs: join(corpus, '0.jsonl'), out, share: 1 });
    const run = await refineCorpus({
      inputs: join(corpus, '0.jsonl'),
      out: join(base, 'first'),
      isolate: false,
    });
    const share = run.charsOut / run.charsIn;
    expect(all.kept.characters).toEqual({ estimate: share, low: share, high: share });
    expect(all.kept.rows.estimate).toBe(1 - run.dropped / run.rowsIn);
    const twice = [await estimateRefine({ inputs: corpus, out, seed: 4 })];
    twice.push(await estimateRefine({ inputs: corpus, out, seed: 4 }));
    expect(twice[0]!.kept).toEqual(twice[1]!.kept);
    expect(twice[0]!.tokensOut).toEqual(twice[1]!.tokensOut);
  });

  it('divides among workers and multiplies by a price', async () => {
    const asked = { inputs: corpus, out, workersCount: 3, pricePerHour: 2.5 };
    const { hours, hoursOfWorkers, workers, price } = await estimateRefine(asked);
    expect(workers).toBe(3);
    expect(hoursOfWorkers.estimate).toBeLessThan(hours.estimate);
    expect(price!.high).toBeCloseTo(hoursOfWorkers.high * 3 * 2.5);
  });

  it('refuses what cannot be sampled or is no estimate', async () => {
    const refused = expect.objectContaining({ code: 'OPTION_INVALID' });
    for (const options of [{ share: 0 }, { limit: 5 }, { reuse: base }, { inputs: '-' }]) {
      await expect(estimateRefine({ inputs: corpus, out, ...options })).rejects.toEqual(refused);
    }
  });
});
