import { createHash } from 'node:crypto';
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkPlan, type PlanInput } from '../../../src/continual/plan/config.ts';
import { resolvePlan } from '../../../src/continual/plan/resolve.ts';
import type { Checkpoint } from '../../../src/continual/run/lineage.ts';
import { type RunPlanResult, runPlan, type StageProgress } from '../../../src/continual/run/run.ts';
import { openTokenStore } from '../../../src/tokens/token-store.ts';
import { openTrainer, trainShapeOf } from '../../../src/train/trainer.ts';
import { outputOf } from '../../cli/support.ts';
import { writeDatasets, writtenPlan } from './support.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-run-plan-'));
const path = (...names: string[]) => join(folder, ...names);
const read = (...names: string[]) => JSON.parse(readFileSync(path(...names), 'utf8'));
const run = (input: PlanInput, out: string, rest: Partial<Parameters<typeof runPlan>[1]> = {}) =>
  runPlan(checkPlan(input), { out: path(out), ...rest });
let result: RunPlanResult;
const progress: StageProgress[] = [];

beforeAll(async () => {
  writeDatasets(folder);
  result = await run(writtenPlan(folder), 'whole', {
    onProgress: (record) => progress.push(record),
  });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Step 9 is made with a finite loss and gives weights of no use. */
const DIVERGING = {
  kind: 'composite',
  parts: [
    { length: '8 steps', schedule: { kind: 'constant', peakLr: 1e-3 } },
    { schedule: { kind: 'constant', peakLr: 1e30 } },
  ],
} as const;

describe('datasets that are too few', () => {
  const small = (elm: string): PlanInput => ({
    model: { shape: { nEmbd: 32, nLayer: 1, nHead: 2 } },
    tokenizer: { train: { vocabSize: 270 } },
    batch: { nSeq: 4, nCtx: 16 },
    datasets: { ash: { inputs: [path('ash.jsonl')] }, elm: { inputs: [elm] } },
    stages: ['ash', 'elm'].map((data) => ({
      ...{ name: data, data, tokens: '1k' },
      schedule: { kind: 'constant', peakLr: 1e-3 },
    })),
  });
  const write = (name: string, texts: readonly string[]) => {
    appendFileSync(path(name), texts.map((text) => `${JSON.stringify({ text })}\n`).join(''));
    return path(name);
  };
  const words = (nWords: number) =>
    Array.from({ length: nWords }, (_, at) => ['oak', 'fir', 'stone', 'hill'][(at * at) % 4]).join(
      ' ',
    );

  it('are named before the tokenizer is trained', async () => {
    write(
      'ash.jsonl',
      Array.from({ length: 60 }, (_, doc) => `${words(40)} ${doc}`),
    );
    for (const [name, texts] of [
      ['none.jsonl', []],
      ['empty.jsonl', ['', '']],
    ] as const) {
      const elm = write(name, texts);
      await expect(run(small(elm), `${name}-run`)).rejects.toMatchObject({
        code: 'CONTINUAL_DATA_TOO_SMALL',
        message: expect.stringMatching(/stage elm: dataset elm has no document: .*jsonl/),
      });
      expect(existsSync(path(`${name}-run`, 'store'))).toBe(false);
    }
  });

  it('are said to be measured by nothing where one document is all', async () => {
    const { notes, stages } = await run(small(write('one.jsonl', [words(1400)])), 'one-run');
    expect(stages).toHaveLength(2);
    expect(notes.join('\n')).toMatch(/nothing was held out of elm, .* is not measured/);
  });
});

describe('runPlan', () => {
  it('keeps both checkpoints, their parents, what each has seen, and their hashes', () => {
    const { checkpoints } = read('whole', 'lineage.json') as { checkpoints: Checkpoint[] };
    expect(checkpoints.map(({ id, parent, step }) => [id, parent, step])).toEqual([
      ['base/constant', null, 15],
      ['base/annealed', null, 20],
      ['replayed/constant', 'base/constant', 6],
      ['replayed/annealed', 'base/constant', 12],
      ['without/annealed', 'base/annealed', 12],
    ]);
    const plan = resolvePlan(checkPlan(writtenPlan(folder)));
    for (const { name, seenTokens } of plan.stages) {
      const { seen } = checkpoints.find(({ id }) => id === `${name}/annealed`)!;
      const sums = Object.entries(seen).map(([dataset, { newTokens, replayedTokens }]) => [
        dataset,
        newTokens + replayedTokens,
      ]);
      expect(Object.fromEntries(sums)).toEqual(seenTokens);
    }
    // Of the base only its constant part is on the way: 15 steps of 8 sequences of 16 tokens.
    expect(checkpoints[3]!.seen['old']!.newTokens).toBe(15 * 8 * 16);
    for (const { file, sha256 } of checkpoints) {
      const bytes = readFileSync(path('whole', file));
      expect(createHash('sha256').update(bytes).digest('hex')).toBe(sha256);
    }
  });

  it('measures every set on its own: at the start what the parent gave, to the bit', () => {
    const [base, replayed, without] = result.stages;
    expect(Object.keys(base!.losses.annealed)).toEqual(['old', 'new', 'other']);
    expect(replayed!.losses.start).toEqual(base!.losses.constant);
    expect(without!.losses.start).toEqual(base!.losses.annealed);
    for (const [set, loss] of Object.entries(without!.losses.annealed)) {
      expect(without!.forgetting![set]).toBe(loss - base!.losses.annealed[set]!);
    }
    expect(without!.forgetting!['old']).toBeGreaterThan(replayed!.forgetting!['old']!);
    expect(base!.forgetting).toBeNull();
    expect(read('whole', 'summary.json')).toMatchObject({
      stages: result.stages,
      notes: result.notes,
    });
    expect(progress.filter(({ loss }) => loss !== undefined)).toHaveLength(44);
  });

  it('says which sequences were replayed: only seen ones, each once, as the store has them', () => {
    const manifest = read('whole', 'stages/01-replayed/replay.json');
    expect(manifest).toMatchObject({ share: 0.3, order: 'reshuffled', seed: 2, offset: 3 });
    using store = openTokenStore(path('whole', 'store'));
    expect(manifest.store).toBe(store.sha256);
    const [old] = manifest.sources;
    expect(old).toMatchObject({ dataset: 'old', nSeen: 120, nReplayed: old.sequences.length });
    expect(new Set(old.sequences).size).toBe(old.nReplayed);
    expect(result.stages[1]!.sources).toContainEqual({
      dataset: 'old',
      kind: 'replay',
      sequences: old.nReplayed,
      tokens: old.nTokens,
    });
    const hash = createHash('sha256').update(Buffer.from(Int32Array.from(old.sequences).buffer));
    expect(hash.digest('hex')).toBe(old.sha256);
    expect(existsSync(path('whole', 'stages/02-without/replay.json'))).toBe(false);
  });

  it('has figures and models, and nothing that is only there on the way', async () => {
    for (const stage of ['00-base', '01-replayed', '02-without']) {
      const figure = readFileSync(path('whole', 'stages', stage, 'loss.svg'), 'utf8');
      for (const set of ['old', 'new', 'other']) expect(figure).toContain(`>${set}</text>`);
      const png = readFileSync(path('whole', 'stages', stage, 'loss.png'));
      expect(png.subarray(1, 4).toString()).toBe('PNG');
      const shape = await trainShapeOf(path('whole', 'stages', stage, 'model.gguf'));
      expect(shape).toMatchObject({ nVocab: 280, nEmbd: 16 });
      expect(readdirSync(path('whole', 'stages', stage)).join()).not.toContain('step-');
    }
    expect(existsSync(path('whole', 'lock'))).toBe(false);
  });

  it('ends the same after every interruption, whatever the threads', async () => {
    for (let call = 0; ; call++) {
      const controller = new AbortController();
      let left = 5;
      const { interrupted } = await run(
        writtenPlan(folder, { nThreads: 1 + (call % 2), checkpointEvery: call }),
        'cut',
        {
          signal: controller.signal,
          onProgress: ({ loss }) => {
            if (loss !== undefined && --left === 0) controller.abort();
          },
        },
      );
      if (!interrupted) break;
      expect(existsSync(path('cut', 'summary.json'))).toBe(false);
      expect(call).toBeLessThan(20);
    }
    expect(outputOf(path('cut'))).toEqual(outputOf(path('whole')));
    // A finished run is reported again, not made again.
    let nTrained = 0;
    const again = await run(writtenPlan(folder), 'cut', { onProgress: () => nTrained++ });
    expect([again.stages, nTrained]).toEqual([result.stages, 0]);
  });

  // Finished stages with cut files were reported as finished.
  it('notices files of finished stages that were cut since', async () => {
    cpSync(path('whole'), path('damaged'), { recursive: true });
    const model = path('damaged', 'stages', '01-replayed', 'model.gguf');
    const bytes = readFileSync(model);
    const notices: string[] = [];
    let nTrained = 0;
    for (const damage of [() => truncateSync(model, bytes.byteLength - 1), () => rmSync(model)]) {
      damage();
      const again = await run(writtenPlan(folder), 'damaged', {
        onNotice: (line) => notices.push(line),
        onProgress: () => nTrained++,
      });
      expect(again.stages).toEqual(result.stages);
      expect(readFileSync(model).equals(bytes)).toBe(true);
    }
    expect(nTrained).toBe(0);
    expect(notices).toHaveLength(2);
    for (const line of notices) expect(line).toContain(model);
    const checkpoint = path('damaged', 'stages', '00-base', 'constant.ckpt');
    truncateSync(checkpoint, 1000);
    await expect(run(writtenPlan(folder), 'damaged')).rejects.toMatchObject({
      code: 'TRAIN_CHECKPOINT_INVALID',
      details: { path: checkpoint, reason: expect.stringMatching(/^it has 1000 bytes, \d+ were/) },
    });
  });

  it('refuses another plan and other data, naming what', async () => {
    await expect(run(writtenPlan(folder, { seed: 6 }), 'whole')).rejects.toMatchObject({
      code: 'CONTINUAL_RUN_CHANGED',
      details: { changes: 'plan.seed: 5 -> 6' },
    });
    const other = mkdtempSync(path('changed-'));
    writeDatasets(other);
    const small = writtenPlan(other, { stages: [writtenPlan(other).stages[2]!] });
    delete small.stages[0]!.start;
    const begun = new AbortController();
    const onTokenize = () => begun.abort();
    const options = { out: join(other, 'out'), onTokenize, signal: begun.signal };
    await expect(runPlan(checkPlan(small), options)).rejects.toMatchObject({ code: 'ABORTED' });
    appendFileSync(join(other, 'new.jsonl'), '{"text": "one more"}\n');
    // No stage has a checkpoint yet: nothing is in the way of other data.
    const again = { out: join(other, 'out') };
    expect(await runPlan(checkPlan(small), again)).toMatchObject({ interrupted: false });
    appendFileSync(join(other, 'new.jsonl'), '{"text": "two more"}\n');
    await expect(runPlan(checkPlan(small), again)).rejects.toMatchObject({
      code: 'CONTINUAL_RUN_CHANGED',
      details: { changes: expect.stringContaining('new.jsonl') },
    });
  });

  it('begins nothing on a device that is not there', async () => {
    // The store was made and the run written down first: it could not be made on the CPU then.
    await expect(
      run({ ...writtenPlan(folder), device: 'cuda:99' }, 'no-device'),
    ).rejects.toMatchObject({ code: 'ENGINE_DEVICE_MISSING', details: { device: 'cuda:99' } });
    expect(existsSync(path('no-device'))).toBe(false);
  });

  it('names the last good checkpoint when it diverges, and keeps it', async () => {
    const stage = {
      ...writtenPlan(folder).stages[0]!,
      schedule: DIVERGING,
    } as const;
    // The checkpoint of step 9 is no good one.
    for (const call of [1, 2]) {
      await expect(
        run(writtenPlan(folder, { stages: [stage] }), 'diverged'),
        `${call}`,
      ).rejects.toMatchObject({
        code: 'CONTINUAL_DIVERGED',
        details: {
          stage: 'base',
          step: 10,
          checkpoint: 'stages/00-base/step-6.ckpt',
          goodStep: 6,
        },
      });
    }
    await using trainer = await openTrainer({
      shape: { ...(await trainShapeOf(path('whole', 'stages/00-base/model.gguf'))) },
      nCtx: 16,
      nSeq: 4,
    });
    const { step } = await trainer.loadCheckpoint(path('diverged', 'stages/00-base/step-6.ckpt'));
    expect(step).toBe(6);
    expect(existsSync(path('diverged', 'stages/00-base/loss.png'))).toBe(true);
  });

  it('counts the steps of a stage that keeps the optimizer from its own start', async () => {
    const [base] = writtenPlan(folder).stages;
    const late = {
      ...base!,
      name: 'late',
      optimizer: 'keep',
      maxEpochs: 100,
      schedule: DIVERGING,
    } as const;
    await expect(
      run(writtenPlan(folder, { stages: [base!, late] }), 'diverged-late'),
    ).rejects.toMatchObject({
      code: 'CONTINUAL_DIVERGED',
      details: { stage: 'late', step: 10, checkpoint: 'stages/01-late/step-6.ckpt', goodStep: 6 },
    });
    expect(existsSync(path('diverged-late', 'stages/01-late/step-9.ckpt'))).toBe(false);
  });

  it('continues a model that was made elsewhere, whose data count as seen', async () => {
    const from = path('whole', 'stages/00-base/model.gguf');
    const { tokenizer: _, ...rest } = writtenPlan(folder);
    const written = {
      ...rest,
      model: { from },
      stages: [
        {
          name: 'given',
          data: 'old',
          tokens: 1600,
          done: true,
          schedule: { kind: 'constant', peakLr: 1e-3 },
        },
        {
          name: 'next',
          data: 'new',
          steps: 8,
          replay: 0.5,
          schedule: { kind: 'constant', peakLr: 1e-3 },
        },
      ],
    } satisfies PlanInput;
    const { stages } = await run(written, 'given');
    expect(stages.map(({ stage, parent }) => [stage, parent])).toEqual([
      ['next', 'given/annealed'],
    ]);
    const { checkpoints } = read('given', 'lineage.json') as { checkpoints: Checkpoint[] };
    expect(checkpoints[0]).toMatchObject({ id: 'given/annealed', file: from, losses: null });
    expect(checkpoints[1]!.seen['old']!.replayedTokens).toBe(8 * 4 * 16);
    const [old] = read('given', 'stages/01-next/replay.json').sources;
    expect(old.nSeen).toBe(checkpoints[0]!.seen['old']!.newTokens / 16);
    // Its loss at the start is that of the given model: the one of bf16 weights, near the base's own.
    const base = result.stages[0]!.losses.annealed['new']!;
    expect(Math.abs(stages[0]!.losses.start['new']! - base)).toBeLessThan(0.05);
  });

  it('says what running needs beyond a plan, and what the data do not suffice for', async () => {
    const { model: _, ...noModel } = writtenPlan(folder);
    const { tokenizer: __, ...noTokenizer } = writtenPlan(folder);
    for (const [input, reason] of [
      [noModel, /model: needed to run/],
      [noTokenizer, /tokenizer: needed/],
      [writtenPlan(folder, { datasets: { old: { tokens: 1e6 }, new: {} } }), /datasets.old.inputs/],
      [
        writtenPlan(folder, { validation: { sets: { old: { inputs: ['x'] } } } }),
        /validation.sets.old: there is a dataset/,
      ],
    ] as const) {
      await expect(run(input, 'none')).rejects.toThrow(reason);
    }
    const [base] = writtenPlan(folder).stages;
    const long = writtenPlan(folder, { stages: [{ ...base!, steps: 500 }] });
    await expect(run(long, 'long')).rejects.toMatchObject({ code: 'CONTINUAL_DATA_TOO_SMALL' });
    expect(existsSync(path('long', 'stages'))).toBe(false);
  });
});
