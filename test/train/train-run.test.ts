import {
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openPageScorer } from '../../src/lines/page-scorer.ts';
import { inspectModel } from '../../src/model/inspect.ts';
import { trainTokenizer } from '../../src/model/tokenizer-training.ts';
import { native } from '../../src/native/index.ts';
import { PROFILES } from '../../src/refine/profiles.ts';
import { documentsOf, SequenceOrder } from '../../src/tokens/token-data.ts';
import { readTrainConfig, type TrainConfigInput } from '../../src/train/config.ts';
import { evaluateLm } from '../../src/train/eval-lm.ts';
import { newShape } from '../../src/train/model-shape.ts';
import { trainModel } from '../../src/train/train-run.ts';
import { openTrainer, trainShapeOf } from '../../src/train/trainer.ts';
import { testTexts } from '../support/corpus.ts';
import { goldRows } from './support.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-train-run-'));
const corpus = join(folder, 'corpus.jsonl');
const held = join(folder, 'held.jsonl');
const pairs = join(folder, 'pairs.jsonl');
const gold = join(folder, 'gold.jsonl');
const jsonl = (rows: readonly object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('');

beforeAll(() => {
  const texts = testTexts(60, 9);
  writeFileSync(corpus, jsonl([...texts.slice(0, 50).map((text) => ({ text })), { text: null }]));
  writeFileSync(held, jsonl(texts.slice(50).map((text) => ({ text }))));
  const rows = Array.from({ length: 40 }, (_, index) => ({
    prompt: `Is ${index} even?\n`,
    answer: index % 2 === 0 ? 'yes' : 'no',
  }));
  writeFileSync(gold, jsonl(goldRows(24, 3)));
  writeFileSync(pairs, jsonl([...rows, { prompt: 'x '.repeat(200), answer: 'too long' }]));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const pretrain = (out: string): TrainConfigInput => ({
  objective: 'pretrain',
  out: join(folder, out),
  model: { shape: { nEmbd: 32, nLayer: 1, nHead: 2 } },
  tokenizer: { train: { vocabSize: 400 } },
  data: { inputs: [corpus], maskDocuments: true },
  validation: { inputs: [held] },
  steps: 30,
  batch: { nSeq: 4, nCtx: 32, accumulate: 2 },
  schedule: { peakLr: 5e-3, warmupSteps: 3 },
  checkpointEvery: 10,
  evalEvery: 10,
  seed: 5,
  export: { type: 'f32', name: 'tiny <mill>' },
});
const fileOf = (out: string, name: string) => readFileSync(join(folder, out, name));

describe('trainModel', () => {
  it('trains tokenizer and model, and measures what it has learnt', async () => {
    const summary = await trainModel(pretrain('whole'));
    expect(summary).toMatchObject({ steps: 30, resumedAt: 0, interrupted: false });
    expect(summary.skipped).toEqual({ 'rows without a text': 1 });
    const records = fileOf('whole', 'losses.jsonl').toString().trim().split('\n');
    const parsed = records.map((line) => JSON.parse(line) as Record<string, number>);
    expect(parsed.filter(({ loss }) => loss !== undefined)).toHaveLength(30);
    const measured = parsed.filter(({ validationLoss }) => validationLoss !== undefined);
    expect(measured.map(({ step }) => step)).toEqual([10, 20, 30]);
    expect(parsed[0]!['loss']).toBeGreaterThan(5.5);
    expect(summary.validationLoss).toBeLessThan(parsed[0]!['loss']! - 0.5);
    expect(fileOf('whole', 'loss.svg').toString()).toContain('tiny &lt;mill&gt;');
    const model = await inspectModel(summary.model);
    expect(model).toMatchObject({ architecture: 'llama', nVocab: 400, runnable: true });
    // Again: nothing is left to do.
    expect(await trainModel(pretrain('whole'))).toMatchObject({ steps: 30, resumedAt: 30 });
  });

  it('follows any schedule that plans may have', async () => {
    const curve = {
      kind: 'infinite',
      peakLr: 4e-3,
      constantLr: 2e-3,
      minLr: 1e-3,
      warmup: '2 steps',
      cooldown: { shape: 'linear', length: '20 %' },
      anneal: { length: { steps: 2 } },
    } as const;
    const of = (out: string, changed: object) =>
      trainModel({ ...pretrain(out), ...changed } as TrainConfigInput);
    await of('curve', { steps: 10, schedule: { curve } });
    const rates = fileOf('curve', 'losses.jsonl')
      .toString()
      .trim()
      .split('\n')
      .flatMap((line) => (JSON.parse(line) as { lr?: number }).lr ?? []);
    const expected = [2e-3, 4e-3, 3e-3, 2e-3, 2e-3, 2e-3, 2e-3, 2e-3, 2e-3 * Math.SQRT1_2, 1e-3];
    expect(rates).toHaveLength(10);
    for (const [step, rate] of rates.entries()) expect(rate).toBeCloseTo(expected[step]!, 12);
    await expect(
      of('no-curve', { schedule: { curve: { ...curve, warmup: '90 %' } } }),
    ).rejects.toMatchObject({ code: 'SCHEDULE_INVALID' });
  });

  it('gives the same bytes when it is stopped and resumed', async () => {
    const controller = new AbortController();
    const stopped = await trainModel(pretrain('stopped'), {
      signal: controller.signal,
      onProgress: ({ step }) => {
        if (step === 13) controller.abort();
      },
    });
    expect(stopped).toMatchObject({ steps: 13, interrupted: true });
    expect(existsSync(stopped.model)).toBe(false);
    const finished = await trainModel({ ...pretrain('stopped'), nThreads: 1 });
    expect(finished).toMatchObject({ steps: 30, resumedAt: 13, interrupted: false });
    for (const name of ['losses.jsonl', 'model.gguf', 'loss.svg']) {
      expect(fileOf('stopped', name).equals(fileOf('whole', name)), name).toBe(true);
    }
  });

  // A finished run with a cut model was reported as finished.
  it('makes a model again that was cut since, and says so', async () => {
    const whole = fileOf('stopped', 'model.gguf');
    const told: string[] = [];
    for (const bytes of [whole.byteLength - 1, 100, 0]) {
      truncateSync(join(folder, 'stopped', 'model.gguf'), bytes);
      const onPhase = (line: string): number => told.push(line);
      await trainModel(pretrain('stopped'), { onPhase });
      expect(fileOf('stopped', 'model.gguf').equals(whole), String(bytes)).toBe(true);
    }
    const path = join(folder, 'stopped', 'model.gguf');
    expect(told).toHaveLength(3);
    for (const line of told) expect(line).toMatch(/model\.gguf.*made again from the checkpoint$/);
    expect(told[0]).toContain(path);
    const checkpoint = join(folder, 'stopped', 'checkpoint.bin');
    truncateSync(checkpoint, fileOf('stopped', 'checkpoint.bin').byteLength - 1);
    await expect(trainModel(pretrain('stopped'))).rejects.toMatchObject({
      code: 'TRAIN_CHECKPOINT_INVALID',
      details: { path: checkpoint },
    });
  });

  it('refuses a folder of another run and names what changed', async () => {
    const other = { ...pretrain('whole'), seed: 6 };
    await expect(trainModel(other)).rejects.toMatchObject({
      code: 'TRAIN_RUN_CHANGED',
      details: { changes: 'config.seed: 5 -> 6' },
    });
  });

  // A first start that failed held the folder for good, with the configuration that could not be.
  it('checks the schedule before anything is made, and a start that failed blocks no folder', async () => {
    const { steps: _, ...rest } = pretrain('late') as Extract<
      TrainConfigInput,
      { objective: 'pretrain' }
    >;
    const long = { ...rest, schedule: { peakLr: 1e-3, warmupSteps: 10 } };
    await expect(trainModel({ ...long, steps: 3 })).rejects.toMatchObject({
      code: 'TRAIN_CONFIG_INVALID',
      message: expect.stringContaining('schedule.warmupSteps: expected at most as many as steps'),
    });
    const curve = { kind: 'cosine', peakLr: 1e-3, warmup: '10 steps' } as const;
    await expect(trainModel({ ...rest, steps: 3, schedule: { curve } })).rejects.toMatchObject({
      code: 'SCHEDULE_INVALID',
    });
    expect(existsSync(join(folder, 'late'))).toBe(false);
    const tooLong = { ...long, schedule: { peakLr: 1e-3, warmupSteps: 10_000 } };
    await expect(trainModel({ ...tooLong, epochs: 0.05 })).rejects.toMatchObject({
      code: 'OPTION_INVALID',
      details: { option: 'warmupSteps' },
    });
    const fixed = { ...rest, steps: 2, schedule: { peakLr: 1e-3, warmupSteps: 1 } };
    expect(await trainModel(fixed)).toMatchObject({ steps: 2, resumedAt: 0, interrupted: false });
  });

  it('names a device that is not there', async () => {
    const elsewhere = { ...pretrain('device'), device: 'cuda:99' } as TrainConfigInput;
    await expect(trainModel(elsewhere)).rejects.toMatchObject({
      code: 'ENGINE_DEVICE_MISSING',
      details: { device: 'cuda:99' },
    });
    // A folder had been begun, and was in the way of the same run on the CPU.
    expect(existsSync(join(folder, 'device'))).toBe(false);
  });

  it('fine-tunes on answers only', async () => {
    const config: TrainConfigInput = {
      objective: 'sft',
      out: join(folder, 'sft'),
      model: { from: join(folder, 'whole', 'model.gguf') },
      data: { inputs: [pairs] },
      epochs: 12,
      batch: { nSeq: 4, nCtx: 32 },
      schedule: { kind: 'constant', peakLr: 3e-3 },
    };
    const summary = await trainModel(config);
    expect(summary.skipped).toEqual({ 'examples empty or beyond 32 tokens': 1 });
    expect(summary.steps).toBe(120);
    const first = JSON.parse(fileOf('sft', 'losses.jsonl').toString().split('\n')[0]!) as {
      loss: number;
    };
    expect(summary.loss).toBeLessThan(first.loss / 4);
  });

  it('says beside a fine-tuned model how it was asked, and the ops of its answers', async () => {
    const answers = join(folder, 'answers.jsonl');
    const profile = join(folder, 'asked.profile.json');
    const answer = 'normalize(source_str="a", target_str="")';
    writeFileSync(answers, `${JSON.stringify({ prompt: 'a', answer })}\n`);
    const asked = PROFILES['prox']!;
    const chunk = { ...asked.chunk!, ops: ['remove_lines'] };
    writeFileSync(profile, JSON.stringify({ ...asked, chunk }));
    await trainModel({
      objective: 'sft',
      out: join(folder, 'asked'),
      model: { from: join(folder, 'whole', 'model.gguf') },
      data: { inputs: [answers], profile },
      steps: 1,
      batch: { nSeq: 1, nCtx: 64 },
      schedule: { peakLr: 1e-3 },
    });
    expect(JSON.parse(fileOf('asked', 'model.profile.json').toString())).toEqual({
      ...asked,
      chunk: { ...chunk, ops: ['normalize'] },
    });
  });

  const scorer = (out: string): TrainConfigInput => ({
    objective: 'line-score',
    out: join(folder, out),
    data: { inputs: [gold] },
    folds: 2,
    training: { nEmbd: 16, nLayer: 1, nHead: 2, nFf: 32, hashBits: 8, stack: false, nEpochs: 4 },
    checkpointEvery: 2,
  });

  it('trains a line scorer: folds, thresholds, a model that scores', async () => {
    const phases: string[] = [];
    const summary = await trainModel(scorer('lines'), { onPhase: (line) => phases.push(line) });
    expect(phases).toEqual(['fold 1 of 2', 'fold 2 of 2', 'training on all pages']);
    expect(summary.validation!.whole.macroF1).toBeGreaterThan(0.6);
    expect(await inspectModel(summary.model)).toMatchObject({ kind: 'line-score' });
    const pageScorer = await openPageScorer({ modelPath: summary.model });
    try {
      expect(pageScorer.thresholds.length).toBeGreaterThan(0);
    } finally {
      pageScorer.dispose();
    }
  });

  it('gives the same line scorer when it is stopped and resumed', async () => {
    const controller = new AbortController();
    const stopped = await trainModel(scorer('halted'), {
      signal: controller.signal,
      onProgress: ({ step }) => {
        if (step === 3) controller.abort();
      },
    });
    expect(stopped).toMatchObject({ steps: 3, interrupted: true });
    const finished = await trainModel(scorer('halted'));
    expect(finished).toMatchObject({ resumedAt: 3, interrupted: false });
    for (const name of ['losses.jsonl', 'validation.json', 'model.gguf']) {
      expect(fileOf('halted', name).equals(fileOf('lines', name)), name).toBe(true);
    }
  });

  it('names what is wrong with a configuration', async () => {
    const file = join(folder, 'wrong.yaml');
    const bad: [string, RegExp][] = [
      ['objective: sleep', /objective/],
      ['objective: [', /wrong|flow|YAML|collection/i],
      [JSON.stringify({ ...pretrain('x'), steps: undefined }), /exactly one of steps and epochs/],
      [JSON.stringify({ ...pretrain('x'), epochs: 1 }), /exactly one of steps and epochs/],
      [JSON.stringify({ ...pretrain('x'), tokenizer: undefined }), /needs a tokenizer/],
      [JSON.stringify({ ...pretrain('x'), typo: 1 }), /typo/],
      [JSON.stringify({ ...pretrain('x'), batch: { nSeq: 0, nCtx: 8 } }), /nSeq/],
    ];
    for (const [text, reason] of bad) {
      writeFileSync(file, text);
      expect(() => readTrainConfig(file)).toThrow(
        expect.objectContaining({
          code: 'TRAIN_CONFIG_INVALID',
          details: { file, reason: expect.stringMatching(reason) },
        }),
      );
    }
    const rows = join(folder, 'rows.jsonl');
    writeFileSync(rows, '{"prompt":"a","answer":"b"}\n{"prompt":3}\n');
    const config: TrainConfigInput = {
      objective: 'sft',
      out: join(folder, 'rows'),
      model: { from: join(folder, 'whole', 'model.gguf') },
      data: { inputs: [rows] },
      steps: 1,
      batch: { nSeq: 1, nCtx: 16 },
      schedule: { peakLr: 1e-3 },
    };
    await expect(trainModel(config)).rejects.toMatchObject({
      code: 'TRAIN_GOLD_INVALID',
      details: { file: rows, line: 2 },
    });
  });
});

describe('a tokenizer that is not the model’s own', () => {
  // Trained to the end on tokens of another vocabulary, and refused at the export or never.
  it('is refused before anything is made, naming both files and what differs', async () => {
    const make = async (name: string, vocabSize: number, texts: readonly string[]) => {
      const tokenizer = join(folder, `${name}-tokenizer.gguf`);
      await trainTokenizer({ texts, vocabSize, path: tokenizer });
      const trainer = await openTrainer({
        shape: newShape({ nEmbd: 32, nLayer: 1, nHead: 2, tied: true }, vocabSize),
        nCtx: 16,
        nSeq: 1,
      });
      const model = join(folder, `${name}.gguf`);
      const request = {
        path: model,
        tokenizerPath: tokenizer,
        type: 'f32',
        name,
        nCtx: 64,
      } as const;
      await trainer.exportGguf(request);
      await trainer.dispose();
      return { tokenizer, model };
    };
    const one = await make('one', 270, testTexts(20, 1));
    const other = await make('other', 270, [
      'zyxw vutsr qponm lkjih fedcba zyxw vutsr qponm lkjih fedcba',
    ]);
    const more = await make('more', 280, testTexts(20, 1));
    const out = join(folder, 'foreign');
    const run = (model: string, tokenizer: string) =>
      trainModel({
        ...(pretrain('foreign') as Extract<TrainConfigInput, { objective: 'pretrain' }>),
        out,
        model: { from: model },
        tokenizer: { path: tokenizer },
      });
    for (const [model, tokenizer, difference] of [
      [one.model, other.tokenizer, /token \d+ is ".*" in the model, ".*" in the tokenizer/],
      [one.model, more.tokenizer, /270 tokens in the model, 280 in the tokenizer/],
      [more.model, one.model, /280 tokens in the model, 270 in the tokenizer/],
    ] as const) {
      await expect(run(model, tokenizer)).rejects.toMatchObject({
        code: 'TRAIN_MODEL_UNSUPPORTED',
        details: {
          path: model,
          reason: expect.stringMatching(new RegExp(`${tokenizer}.*${difference.source}`)),
        },
      });
      expect(existsSync(out)).toBe(false);
    }
    expect(await run(one.model, one.tokenizer)).toMatchObject({ interrupted: false });
  });
});

describe('evaluateLm', () => {
  it('predicts every token once, as a plain sum over documents says', async () => {
    const model = join(folder, 'whole', 'model.gguf');
    const found = await evaluateLm({ model, data: [held], nCtx: 16, nSeq: 3 });
    const tokenizer = await native().openTokenizer(model);
    await using trainer = await openTrainer({
      shape: await trainShapeOf(model),
      nCtx: 16,
      nSeq: 1,
    });
    await trainer.importGguf(model);
    const encoder = new TextEncoder();
    let sum = 0;
    let nTokens = 0;
    let nBytes = 0;
    for (const line of readFileSync(held, 'utf8').trim().split('\n')) {
      const data = encoder.encode((JSON.parse(line) as { text: string }).text);
      const { ids } = await tokenizer.encode({ data, offsets: Int32Array.of(0, data.length) });
      const tokens = [0, ...ids, 0];
      nBytes += data.length;
      for (let at = 0; at + 1 < tokens.length; at += 15) {
        const window = tokens.slice(at, at + 16);
        const nTargets = window.length - 1;
        const { losses } = await trainer.forward({
          tokens: Int32Array.from({ length: 16 }, (_, index) => window[index] ?? 0),
          positions: Int32Array.from({ length: nTargets }, (_, index) => index),
          labels: Int32Array.from(window.slice(1)),
        });
        sum += losses.reduce((all, loss) => all + loss, 0);
        nTokens += nTargets;
      }
    }
    tokenizer.dispose();
    expect(found).toMatchObject({ nDocs: 10, nTokens, nBytes });
    expect(found.lossPerToken).toBeCloseTo(sum / nTokens, 4);
    expect(found.bitsPerByte).toBeCloseTo(sum / nBytes / Math.LN2, 4);
  });
});

describe('SequenceOrder', () => {
  it('visits every sequence once an epoch, in another order each time', () => {
    const order = new SequenceOrder(10, 3);
    const positions = Array.from({ length: 6 }, (_, step) => order.at(step * 5, 5)).flat();
    for (const epoch of [0, 1, 2]) {
      const own = positions.slice(epoch * 10, epoch * 10 + 10);
      expect([...own].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }
    expect(positions.slice(0, 10)).not.toEqual(positions.slice(10, 20));
    // Any place can be asked for at any time, also across epochs.
    expect(new SequenceOrder(10, 3).at(17, 6)).toEqual(positions.slice(17, 23));
  });

  it('knows the documents of tokens', () => {
    const data = {
      tokens: new Int32Array(10),
      documentStarts: Int32Array.of(0, 3, 3, 7, 10),
      nBytes: 0,
      nSkipped: 0,
    };
    expect([...documentsOf(data, 0, 10)]).toEqual([0, 0, 0, 2, 2, 2, 2, 3, 3, 3]);
    expect([...documentsOf(data, 5, 8)]).toEqual([2, 2, 3]);
  });
});
