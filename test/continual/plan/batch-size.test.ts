/** Batch sizes that change within a stage: counted, drawn, run, resumed and exported. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { checkPlan } from '../../../src/continual/plan/config.ts';
import { countsUpTo } from '../../../src/continual/plan/counts.ts';
import { planReport, scheduleCsv } from '../../../src/continual/plan/report.ts';
import { resolvePlan } from '../../../src/continual/plan/resolve.ts';
import { planTimeline } from '../../../src/continual/plan/timeline.ts';
import { runPlan } from '../../../src/continual/run/run.ts';
import { SCHEDULE_TARGETS } from '../../../src/interop/schedules/export.ts';
import { exportStage } from '../../../src/interop/stage.ts';
import { writeDatasets, writtenPlan } from '../run/support.ts';
import { errorOf, planOf, type StageInput, stagesOf } from './support.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-batch-size-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const flat = { kind: 'constant', peakLr: 3e-4 } as const;
const batchSize = { kind: 'drop-stable-rampup', drop: '25 %', stable: '50 %' } as const;
// 4 sequences of 16 tokens a micro-batch, 4 of them a step.
const batch = { nSeq: 4, nCtx: 16, accumulate: 4 };
const stage = (more: Partial<StageInput> = {}): StageInput => ({
  ...{ name: 'one', data: { a: 3, b: 1 }, tokens: 100 * 16, schedule: flat, batchSize },
  ...more,
});
const one = (more: Partial<StageInput> = {}) => planOf({ batch, ...stagesOf(stage(more)) });

describe('the batch sizes of a stage', () => {
  it('count its steps, sequences and tokens, and those of each source', () => {
    const { stages, totals } = one();
    const [{ nSteps, nSequences, nTokens, batches, segments }] = stages as [(typeof stages)[0]];
    // The ramp behind 50 sequences passes 1.5 micro-batches at 58.3 and 2.5 at 75; 100 end before 3.5.
    expect(batches!.map((run) => [run.firstStep, run.sequencesPerStep])).toEqual([
      [0, 4],
      [15, 8],
      [17, 12],
    ]);
    expect(batches!.at(-1)!.endStep).toBe(nSteps);
    const sum = batches!.reduce(
      (all, run) => all + (run.endStep - run.firstStep) * run.sequencesPerStep,
      0,
    );
    expect({ nSequences, nTokens }).toEqual({ nSequences: sum, nTokens: sum * 16 });
    expect(totals.tokens).toBe(nTokens);
    const bySource = segments[0]!.sources.map((source) => source.nSequences);
    expect(bySource.reduce((all, own) => all + own, 0)).toBe(nSequences);
    // Shares hold behind any step, to less than one sequence.
    for (let step = 1; step <= nSteps; step++) {
      const [a, b] = countsUpTo(stages[0]!, step).map((source) => source.nSequences);
      expect(Math.abs(a! - (3 * (a! + b!)) / 4)).toBeLessThan(1);
    }
  });

  it('are in the table of rates, the report and the picture', async () => {
    const plan = one();
    const rows = [...scheduleCsv(plan)].join('').trim().split('\n').slice(1);
    expect(rows[0]).toMatch(/^one,1,64,/);
    expect(rows[15]).toMatch(/^one,16,1088,/);
    expect(rows.at(-1)!.split(',')[2]).toBe(String(plan.stages[0]!.nTokens));
    expect(planReport(plan).stages[0]!.batches).toHaveLength(3);
    expect(await planTimeline(plan)).toContain('<svg');
  });

  it('refuse steps, stages that are done, power; a note where the rate falls at once', () => {
    const refused = (more: Partial<StageInput>) => errorOf(() => one(more));
    expect(refused({ tokens: undefined, steps: 5 })).toMatch(/batchSize: give the stage tokens/);
    expect(refused({ tokens: 20 })).toMatch(/20 are less than a step of its first batch size/);
    const power = { kind: 'power', peakLr: 1, a: 1 } as const;
    expect(refused({ schedule: power })).toMatch(/the schedule power counts tokens/);
    const steps = { ...batchSize, stable: '4 steps' } as const;
    expect(refused({ batchSize: steps })).toMatch(/SCHEDULE_INVALID.*given in steps/);
    const noteOf = (schedule: StageInput['schedule']) =>
      one({ schedule }).notes.filter((note) => /batch is small/.test(note));
    expect(noteOf(flat)).toEqual([]);
    expect(noteOf({ kind: 'linear', peakLr: 3e-4 })).toHaveLength(1);
  });

  it('are exported where a trainer can read them, and said elsewhere', () => {
    const plan = one();
    const runs = plan.stages[0]!.batches!;
    for (const target of SCHEDULE_TARGETS) {
      const { files, warnings, run } = exportStage(target, { plan, stage: 0 });
      const own = new Map(files.map(({ name, text }) => [name, text]));
      expect(JSON.parse(own.get('batch-sizes.json')!).runs).toHaveLength(3);
      expect(run.tokens).toBe(plan.stages[0]!.nTokens);
      if (target === 'megatron') {
        expect(own.get('batch-size.args')).toBe(
          `--step-batch-size-schedule "${runs
            .map((each) => `${each.firstSequence * 16}:${each.sequencesPerStep}`)
            .join(' ')}"\n--train-samples ${plan.stages[0]!.nSequences}\n`,
        );
      } else {
        // 8 to 12 is no whole factor for OLMo-core.
        expect(warnings.join('\n')).toMatch(/batch size changes \(4 from step 1, 8 from step 16, /);
      }
    }
    const doubling = one({ batchSize: { ...batchSize, drop: '50 %', rampup: '1 %' } });
    const olmo = exportStage('olmo-core', { plan: doubling, stage: 0 });
    expect(olmo.files.find(({ name }) => name === 'batch_sizes.py')!.text).toMatch(
      /batch_sizes=\[128, 256\],\n {4}schedule=\[Duration\.tokens\(0\), Duration\.tokens\(896\)\]/,
    );
    expect(olmo.warnings.join()).toMatch(/root of the ratio/);
  });

  it('shift thresholds of Megatron-LM behind what it has counted', () => {
    const plan = planOf({
      batch,
      ...stagesOf(
        { name: 'base', data: 'a', steps: 10, schedule: flat },
        stage({ optimizer: 'keep' }),
      ),
    });
    const { files } = exportStage('megatron', { plan, stage: 1 });
    const text = files.find(({ name }) => name === 'batch-size.args')!.text;
    // 10 steps of 256 tokens, and 60 sequences.
    expect(text).toMatch(/^--step-batch-size-schedule "0:4 3520:8 /);
    expect(text).toContain(`--train-samples ${160 + plan.stages[1]!.nSequences}`);
  });

  it('are what a run learns, interrupted or not', async () => {
    writeDatasets(folder);
    const written = writtenPlan(folder, {
      stages: [
        { name: 'base', data: 'old', tokens: 64 * 16, schedule: flat, batchSize },
        { name: 'next', data: 'new', tokens: 48 * 16, replay: 0.25, schedule: flat, batchSize },
      ],
    });
    const config = checkPlan({ ...written, batch });
    const out = (name: string) => join(folder, name);
    const whole = await runPlan(config, { out: out('whole') });
    const plan = resolvePlan(config);
    expect(whole.stages.map(({ steps, tokens }) => [steps, tokens])).toEqual(
      plan.stages.map(({ nSteps, nTokens }) => [nSteps, nTokens]),
    );
    for (const [at, { checkpoints }] of whole.stages.entries()) {
      const { seen } = checkpoints.find(({ kind }) => kind === 'annealed')!;
      const expected = plan.stages[at]!.seenTokens;
      const total = Object.values(seen).reduce(
        (sum: number, own) => sum + own.newTokens + own.replayedTokens,
        0,
      );
      expect(total).toBe(Object.values(expected).reduce((sum, own) => sum + own, 0));
    }
    const controller = new AbortController();
    let nSteps = 0;
    await runPlan(config, {
      out: out('cut'),
      signal: controller.signal,
      onProgress: ({ loss }) => {
        if (loss !== undefined && ++nSteps === 5) controller.abort();
      },
    });
    expect((await runPlan(config, { out: out('cut') })).stages).toHaveLength(2);
    for (const file of [
      'stages/00-base/losses.jsonl',
      'stages/01-next/losses.jsonl',
      'lineage.json',
    ]) {
      expect(readFileSync(join(out('cut'), file), 'utf8')).toBe(
        readFileSync(join(out('whole'), file), 'utf8'),
      );
    }
  }, 60_000);
});
