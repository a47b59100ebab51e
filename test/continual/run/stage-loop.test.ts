import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PlanStage } from '../../../src/continual/plan/types.ts';
import { type StageRecord, trainStage } from '../../../src/continual/run/stage-loop.ts';
import { validationSets } from '../../../src/tokens/store-batches.ts';
import type { TokenStore } from '../../../src/tokens/token-store.ts';
import type { Trainer } from '../../../src/train/trainer.ts';
import { byteStore, plan, segmentsOf, smallTrainer, stageOf } from './support.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-stage-loop-'));
let store: TokenStore;
beforeAll(() => {
  store = byteStore(folder);
});
afterAll(() => {
  store.dispose();
  rmSync(folder, { recursive: true, force: true });
});

const open = (nThreads?: number) => smallTrainer(store.index.tokenizer.nTokens, nThreads);
const setsOf = () => validationSets(store, { nCtx: plan.nCtx, nSeq: 4, windows: 6 });
const run = async (
  trainer: Trainer,
  stage: PlanStage,
  extra: Partial<Parameters<typeof trainStage>[0]> = {},
) => {
  const records: StageRecord[] = [];
  const result = await trainStage({
    plan,
    stage,
    store,
    seen: {},
    trainer,
    validation: setsOf(),
    evalEvery: 4,
    onRecord: (record) => records.push(record),
    ...extra,
  });
  return { ...result, records };
};
const mixed = stageOf(
  segmentsOf([
    [6, { new: 0.75 }, { old: 0.25 }],
    [4, { new: 1 }],
  ]),
  {
    schedule: {
      kind: 'infinite',
      peakLr: 5e-3,
      constantLr: 2e-3,
      minLr: 2e-4,
      warmup: '10 %',
      cooldown: { shape: 'cosine', length: '20 %' },
      anneal: { length: '30 %' },
    },
  },
);

describe('trainStage', () => {
  it('has the rates of the curve, and measures every set on its own where it should', async () => {
    await using trainer = await open();
    const steps: [number, boolean][] = [];
    const { records, seen, losses, step } = await run(trainer, mixed, {
      seen: { old: 20 },
      onStep: (made, own) => {
        steps.push([made, own !== null]);
      },
    });
    expect(step).toBe(10);
    expect(seen).toEqual({ old: 20, new: 68 });
    const trained = records.filter(({ lr }) => lr !== undefined);
    expect(trained.map(({ lr }) => lr)).toEqual(
      Array.from({ length: 10 }, (_, made) => mixed.curve.at(made + 1)),
    );
    expect(mixed.constantStep).toBe(7);
    const measured = records.filter(({ validation }) => validation);
    expect(measured.map((record) => record.step)).toEqual([0, 4, 7, 8, 10]);
    expect(steps).toEqual(
      Array.from({ length: 11 }, (_, made) => [made, [0, 4, 7, 8, 10].includes(made)]),
    );
    expect(Object.keys(measured[0]!.validation!)).toEqual(['old', 'new', 'small']);
    expect(measured.at(-1)!.validation).toEqual(losses);
  });

  it('goes on from any step to the same bits, on one thread and on two', async () => {
    const seen = { old: 20 };
    await using whole = await open(1);
    const expected = await run(whole, mixed, { seen });
    for (const at of [1, 6, 7, 9]) {
      const controller = new AbortController();
      const checkpoint = join(folder, `at-${at}.ckpt`);
      await using first = await open(2);
      const begun = await run(first, mixed, {
        seen,
        signal: controller.signal,
        onStep: (step) => {
          if (step === at) controller.abort();
        },
      });
      expect(begun.step).toBe(at);
      await first.saveCheckpoint(checkpoint);
      await using second = await open(1);
      await second.loadCheckpoint(checkpoint);
      const rest = await run(second, mixed, { seen, fromStep: at });
      expect([...begun.records, ...rest.records]).toEqual(expected.records);
      expect(rest.seen).toEqual(expected.seen);
    }
  });

  it('learns the new data and forgets less with replay', async () => {
    const base = stageOf(segmentsOf([[14, { old: 1 }]]), {
      schedule: { kind: 'constant', peakLr: 2e-2 },
    });
    const outcome = async (replay: boolean) => {
      await using trainer = await open();
      const { seen, losses } = await run(trainer, base);
      const segments = segmentsOf([replay ? [14, { new: 0.7 }, { old: 0.3 }] : [14, { new: 1 }]]);
      const stage = stageOf(segments, { schedule: base.schedule });
      await trainer.resetOptimizer();
      return { before: losses!, after: (await run(trainer, stage, { seen })).losses! };
    };
    const [without, replayed] = [await outcome(false), await outcome(true)];
    expect(without.before).toEqual(replayed.before);
    expect(without.after['old']).toBeGreaterThan(without.before['old']!);
    expect(replayed.after['old']).toBeLessThan(without.after['old']!);
    expect(replayed.after['new']).toBeLessThan(replayed.before['new']!);
  });

  it('refuses a trainer of another batch', async () => {
    await using trainer = await open();
    const options = { plan: { ...plan, sequencesPerStep: 6 } };
    await expect(run(trainer, mixed, options)).rejects.toMatchObject({ code: 'OPTION_INVALID' });
  });
});
