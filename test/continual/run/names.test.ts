/** Datasets named as what every object inherits: their counts were NaN, and the run failed with `position ... NaN`. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { checkPlan } from '../../../src/continual/plan/config.ts';
import { runPlan } from '../../../src/continual/run/run.ts';
import { language } from './support.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-names-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('runs a plan whose datasets have such names, with their replay', async () => {
  const names = ['constructor', 'toString'] as const;
  const datasets = Object.fromEntries(
    names.map((name, at) => {
      const path = join(folder, `${at}.jsonl`);
      const texts = language('abcdefg', 40, at + 1);
      writeFileSync(path, texts.map((text) => `${JSON.stringify({ text })}\n`).join(''));
      return [name, { inputs: [path] }];
    }),
  );
  const schedule = { kind: 'constant', peakLr: 1e-3 } as const;
  const plan = checkPlan({
    name: 'names',
    batch: { nSeq: 2, nCtx: 32 },
    model: { shape: { nEmbd: 16, nLayer: 1, nHead: 2 } },
    tokenizer: { train: { vocabSize: 300 } },
    datasets,
    stages: [
      { name: 'one', data: names[0], tokens: 640, schedule },
      { name: 'two', data: names[1], tokens: 640, replay: '10 %', schedule },
    ],
  });
  await runPlan(plan, { out: join(folder, 'out') });
  const { checkpoints } = JSON.parse(readFileSync(join(folder, 'out/lineage.json'), 'utf8'));
  const { seen } = checkpoints.at(-1);
  expect(seen.constructor).toEqual({ newTokens: 640, replayedTokens: expect.any(Number) });
  expect(seen.constructor.replayedTokens).toBeGreaterThan(0);
  expect(seen.constructor.replayedTokens + seen.toString.newTokens).toBe(640);
});
