import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { checkPlan } from '../../src/continual/plan/config.ts';
import { resolvePlan } from '../../src/continual/plan/resolve.ts';
import { SCHEDULE_TARGETS, type ScheduleTarget } from '../../src/interop/schedules/export.ts';
import { exportStage } from '../../src/interop/stage.ts';

/** An infinite schedule, a re-warmed cosine, WSD with two blends from the constant phase of the first. */
const plan = resolvePlan(
  checkPlan({
    seed: 7,
    batch: { nSeq: 512, nCtx: 2048 },
    datasets: { english: {}, german: { path: 'data/german' }, code: {} },
    stages: [
      {
        name: 'base',
        data: 'english',
        steps: 10_000,
        schedule: {
          kind: 'infinite',
          peakLr: 3e-4,
          constantLr: 1.65e-4,
          minLr: 3e-5,
          warmup: '1 %',
          cooldown: { shape: 'cosine', length: '59 %' },
          constant: '25 %',
          anneal: {},
        },
      },
      {
        name: 'rewarmed',
        data: 'german',
        steps: 20_000,
        replay: '5 %',
        schedule: { kind: 'cosine', peakLr: 3e-4, minLr: 3e-5, warmup: '1 %' },
      },
      {
        name: 'stable',
        data: [{ data: { code: 3, german: 1 }, until: { fraction: 0.6 } }, { data: 'code' }],
        steps: 5000,
        start: { stage: 'base', checkpoint: 'constant' },
        optimizer: 'keep',
        schedule: {
          kind: 'wsd',
          peakLr: 1.65e-4,
          minLr: 3e-5,
          decay: { shape: '1-sqrt', length: '20 %' },
        },
      },
    ],
  }),
);

const stageOf = (target: ScheduleTarget, stage: number) =>
  exportStage(target, { plan, stage, paths: { german: 'data/german' }, maxTableRows: 40 });

/** All stages in one text. */
function shown(target: ScheduleTarget): string {
  return plan.stages
    .flatMap(({ name }, stage) => {
      const { files, schedule, warnings } = stageOf(target, stage);
      return [
        `#### ${name}: ${schedule.form}${schedule.exact ? ', exact' : ''}\n`,
        ...warnings.map((warning) => `warning: ${warning}\n`),
        ...files.map((file) => `==== ${name}/${file.name}\n${file.text}`),
      ];
    })
    .join('\n');
}

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

const python = spawnSync('python3', ['--version']).status === 0;
if (!python) console.warn('skipped: exported Python is not compiled, as there is no python3');

describe('exportStage', () => {
  it.each(SCHEDULE_TARGETS)('%s: as the golden file has it', (target) => {
    const golden = fileURLToPath(new URL(`./golden/stages/${target}.txt`, import.meta.url));
    if (process.env['UPDATE_GOLDEN']) writeFileSync(golden, shown(target));
    expect(shown(target)).toBe(readFileSync(golden, 'utf8'));
  });

  it('the first stage starts from nothing, later ones from a checkpoint', () => {
    for (const target of SCHEDULE_TARGETS) {
      const names = (stage: number) => stageOf(target, stage).files.map(({ name }) => name);
      const starts = (name: string) => /^(continue|model_args)\./.test(name);
      expect(names(0).filter(starts)).toEqual([]);
      expect(names(1).filter(starts).length).toBeGreaterThan(0);
      expect(new Set(names(2)).size).toBe(names(2).length);
    }
  });

  it('a kept optimizer goes on counting where count and state are one', () => {
    // The constant phase of the base ends at 85 % of its 10,000 steps; the base itself started at 0.
    const { files, schedule } = stageOf('gpt-neox', 2);
    expect(schedule).toMatchObject({ form: 'table' });
    const text = (name: string) => files.find((file) => file.name === name)!.text;
    expect(text('gpt_neox_lr_table.py')).toContain('FIRST_STEP = 8500');
    expect(parse(text('continue.yml'))).toEqual({
      load: 'checkpoints/base/constant',
      finetune: false,
      override_lr_scheduler: true,
    });
    expect(parse(text('schedule.yml'))).toEqual({
      'train-iters': 13_500,
      train_batch_size: 512,
      seq_length: 2048,
    });
    // nanotron keeps the state and starts its schedule anew.
    expect(stageOf('nanotron', 2).schedule).toMatchObject({ form: 'native', exact: true });
  });

  it('blends: shares of replay, and more than one of them', () => {
    const file = (target: ScheduleTarget, stage: number, name: string) =>
      stageOf(target, stage).files.find((each) => each.name === name)?.text;
    const neox = parse(file('gpt-neox', 1, 'blend.yml')!) as Record<string, unknown>;
    expect(neox['train-data-paths']).toEqual(['data/german', 'english']);
    expect(neox['train-data-weights']).toEqual([0.95, 0.05]);
    expect(file('gpt-neox', 2, 'blend-1.yml')).toContain('0.750000, 0.250000');
    expect(file('gpt-neox', 2, 'blend-2.yml')).toContain('[1.000000]');
    const nanotron = parse(file('nanotron', 2, 'blend.yaml')!) as {
      data_stages: { start_training_step: number }[];
    };
    expect(nanotron.data_stages.map((stage) => stage.start_training_step)).toEqual([1, 3001]);
    const warnings = (target: ScheduleTarget, stage: number) =>
      stageOf(target, stage).warnings.join('\n');
    expect(warnings('megatron', 2)).toContain('behind step 3000');
    expect(warnings('nanotron', 2)).not.toContain('behind step 3000');
    expect(warnings('megatron', 1)).toContain('replay of english points at the whole dataset');
    const marked = exportStage('megatron', {
      plan,
      stage: 1,
      replayPaths: { english: 'seen/english' },
    });
    expect(marked.warnings.join()).not.toContain('replay of');
    expect(marked.files.find(({ name }) => name === 'blend.txt')!.text).toBe(
      '0.950000 german\n0.050000 seen/english\n',
    );
    expect(warnings('axolotl', 1)).toContain('no weights');
  });

  const small = resolvePlan(
    checkPlan({
      batch: { nSeq: 8, nCtx: 64 },
      datasets: { ash: { tokens: 12_800 }, elm: { tokens: 1_000_000 }, 'ash-replay': {} },
      stages: [
        {
          name: 'base',
          data: { ash: 1, elm: 1 },
          tokens: 51_200,
          maxEpochs: 4,
          schedule: { kind: 'cosine', peakLr: 1e-3 },
        },
        {
          name: 'again',
          data: 'ash-replay',
          replay: { share: 0.5, from: { ash: 1 } },
          steps: 2,
          schedule: { kind: 'cosine', peakLr: 1e-3 },
        },
      ],
    }),
  );
  const datasetTokens = { ash: 12_800, elm: 1_000_000 };
  const smallFile = (target: ScheduleTarget, name: string, stage = 0) =>
    exportStage(target, { plan: small, stage, datasetTokens }).files.find(
      (file) => file.name === name,
    )!.text;

  it('a source that is passed over more than once may be', () => {
    // OLMo-core refused the mixture, and the rows of the Trainer ended with the smallest source.
    const olmo = parse(smallFile('olmo-core', 'blend.yaml')) as {
      sources: { max_repetition_ratio: number }[];
    };
    expect(olmo.sources.map((source) => source.max_repetition_ratio)).toEqual([4, 4]);
    expect(smallFile('olmo-core', 'source_mixture.py')).toContain(
      `REQUESTED_TOKENS = ${51_200 + 512}`,
    );
    expect(smallFile('hf', 'blend.py')).toContain('("ash", "ash", 400),\n    ("elm", "elm", 400),');
    expect(smallFile('mosaicml-streaming', 'blend.py')).toContain('choose=n_samples');
    expect(smallFile('litgpt', 'blend.py')).toContain('iterate_over_all=False');
    const { run } = exportStage('hf', { plan: small, stage: 0, datasetTokens });
    expect(run).toEqual({
      triedWith: 'transformers 5.24.0, datasets 5.2.0',
      steps: 100,
      sequencesPerStep: 8,
      sequenceLength: 64,
      tokensPerStep: 512,
      tokens: 51_200,
      sources: [
        { name: 'ash', weight: 0.5, sequences: 400, epochs: 2 },
        { name: 'elm', weight: 0.5, sequences: 400, epochs: 0.0256 },
      ],
    });
  });

  it('names of what is replayed are those of no dataset', () => {
    const [own, seen] = (
      parse(smallFile('olmo-core', 'blend.yaml', 1)) as { sources: { source_name: string }[] }
    ).sources;
    expect([own!.source_name, seen!.source_name]).toEqual(['ash-replay', 'ash-replay-replay']);
  });

  it.each([
    ['gpt-neox', 'schedule.yml', '"train_batch_size": 8', '"seq_length": 64'],
    ['megatron', 'schedule.args', '--global-batch-size 8\n', '--seq-length 64\n'],
    ['torchtitan', 'torchtitan_lr_table.py', 'global_batch_size=8,', 'seq_len=64,'],
    ['nanotron', 'schedule.yaml', 'A step is 8 sequences', 'sequence_length: 64'],
    ['axolotl', 'schedule.yml', 'A step is 8 sequences', 'sequence_len: 64'],
    ['hf', 'blend.py', 'x devices must be 8', 'sequences of 64 tokens'],
    ['olmo-core', 'schedule.py', 'GLOBAL_BATCH_TOKENS = 512', 'SEQUENCE_LENGTH = 64'],
    ['litgpt', 'schedule.yaml', 'global_batch_size: 8', 'max_seq_length: 64'],
    ['mosaicml-streaming', 'blend.py', 'x devices must be 8', 'sequences of 64 tokens'],
  ] as const)('%s is told batch and length', (target, name, batch, length) => {
    expect(smallFile(target, name)).toContain(batch);
    expect(smallFile(target, name)).toContain(length);
  });

  it('names the checkpoint that another stage needs', () => {
    expect(stageOf('hf', 0).warnings.join('\n')).toContain(
      'keep the checkpoint of base behind step 8500',
    );
    expect(() => stageOf('hf', 3)).toThrow(/0\.\.2/);
  });

  it.skipIf(!python)('exported Python compiles, and its tables give the curve', () => {
    const root = mkdtempSync(join(tmpdir(), 'gristmill-export-'));
    folders.push(root);
    const cases = SCHEDULE_TARGETS.flatMap((target) =>
      plan.stages.map(({ name, curve, nSteps }, stage) => {
        const folder = join(root, `${target}-${name}`);
        mkdirSync(folder);
        const { files } = exportStage(target, { plan, stage });
        for (const file of files) writeFileSync(join(folder, file.name), file.text);
        const steps = [1, 2, 99, 100, 101, Math.floor(nSteps / 3), nSteps - 1, nSteps];
        return { folder, steps, curve };
      }),
    );
    const { stdout, stderr } = spawnSync('python3', ['-c', PYTHON], {
      input: JSON.stringify(cases.map(({ folder, steps }) => ({ folder, steps }))),
      encoding: 'utf8',
    });
    expect(stderr).toBe('');
    const answers = JSON.parse(stdout) as { rates: number[] | null; nModules: number }[];
    expect(answers.filter(({ rates }) => rates).length).toBeGreaterThan(12);
    expect(answers.reduce((sum, { nModules }) => sum + nModules, 0)).toBeGreaterThan(50);
    for (const [at, { rates }] of answers.entries()) {
      const { steps, curve } = cases[at]!;
      for (const [index, rate] of (rates ?? []).entries()) {
        expect(Math.abs(rate / curve.at(steps[index]!) - 1)).toBeLessThan(1e-6);
      }
    }
  });
});

/** Compiles every module of every folder; asks the table of those that have one. */
const PYTHON = `
import json, pathlib, runpy, sys
answers = []
for case in json.load(sys.stdin):
    modules = sorted(pathlib.Path(case["folder"]).glob("*.py"))
    for module in modules:
        compile(module.read_text("utf8"), str(module), "exec")
    table = [module for module in modules if module.name == "lr_table.py"]
    rate = table and runpy.run_path(str(table[0]))["rate"]
    rates = [rate(step) for step in case["steps"]] if rate else None
    answers.append({"rates": rates, "nModules": len(modules)})
print(json.dumps(answers))
`;
