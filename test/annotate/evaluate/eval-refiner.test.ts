/** Refiners measured end to end, with the package's own models. */
import { describe, expect, it } from 'vitest';
import { evaluateRefiner } from '../../../src/annotate/evaluate/eval-refiner.ts';
import { openPredictor } from '../../../src/annotate/evaluate/window-predictor.ts';
import type { WindowExample } from '../../../src/annotate/types.ts';
import { GristmillError } from '../../../src/errors.ts';
import { defaultModelFile } from '../../../src/paths.ts';
import { DIALECTS } from '../../../src/program/dialects.ts';
import { MAX_LINE_START, WINDOW_EXECUTE_DEFAULTS } from '../../../src/program/window-execution.ts';
import { chunkStage } from '../../../src/refine/chunk-stage.ts';
import { longestChunkPrompt } from '../../../src/refine/core.ts';
import { openLocalEngine } from '../../../src/refine/engine.ts';
import { loadProfile } from '../../../src/refine/find-profile.ts';
import { openRefiner } from '../../../src/refine/refiner.ts';
import { syntheticPages } from '../../train/support.ts';

const PAGES = syntheticPages(6, 5).map(({ text }) => text);

function example(
  text: string,
  program: string,
  change: Partial<WindowExample> = {},
): WindowExample {
  return {
    id: 'page',
    domain: '',
    language: 'en',
    split: 'validation',
    text,
    lineStart: 0,
    lineEnd: text.split('\n').length,
    dialect: 'prox',
    program,
    refined: '',
    way: 'programs',
    expert: 'test',
    requests: '',
    ...change,
  };
}

async function code(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'none',
    (error: unknown) => (error instanceof GristmillError ? error.code : String(error)),
  );
}

describe('evaluateRefiner', () => {
  it('shows windows with the prompts, numbers and bounds of the chunk stage', async () => {
    const modelPath = defaultModelFile('programs');
    const profile = loadProfile(undefined, modelPath);
    const grammar = DIALECTS.prox.makeGrammar(profile.chunk!);
    const maxPromptTokens = longestChunkPrompt(profile);
    const engine = await openLocalEngine({
      modelPath,
      device: 'cpu',
      nThreads: 1,
      nSlots: 4,
      nUbatch: 512,
      nCtxSlot: maxPromptTokens + profile.chunk!.maxNewTokens,
    });
    const write = chunkStage({ engine, profile, grammar, firstLine: 0, maxPromptTokens });
    // Long enough for several windows.
    const page = `${PAGES.join('\n')}\n${PAGES.join('\n')}`;
    const data = new TextEncoder().encode(page);
    const offsets = Int32Array.of(0, data.length);
    const column = { data, offsets, validity: null } as never;
    const { programs, promptTokens } = await write(column, Int32Array.of(0));
    await engine.dispose();
    const windows = programs[0]!;
    expect(windows.length).toBeGreaterThan(2);
    expect(windows.some(({ program }) => program.includes('remove_lines'))).toBe(true);

    const predictor = await openPredictor({ refiner: 'programs', threads: 1, slots: 4 });
    const lines = page.split('\n');
    const predictions = await predictor.predict(
      windows.map(({ lineStart, lineEnd }) => ({
        text: lines.slice(lineStart, lineEnd).join('\n'),
        lineStart,
      })),
    );
    await predictor.dispose();
    expect(predictions.flatMap((prediction) => prediction.programs)).toEqual(windows);
    expect(predictions.reduce((sum, prediction) => sum + prediction.promptTokens, 0)).toBe(
      promptTokens,
    );
  });

  it.each(['programs', 'default'])(
    'finds what a run with %s does to be its own label',
    async (name) => {
      const execute = WINDOW_EXECUTE_DEFAULTS;
      const refiner = await openRefiner({
        chunkModel: name,
        stages: ['chunk'],
        threads: 1,
        execute,
      });
      const texts = PAGES.map((text) => text.split('\n').slice(0, 12).join('\n'));
      const refined = await refiner.refine(texts);
      await refiner.dispose();
      const examples = texts.map((text, at) =>
        example(text, refined[at]!.program!, { refined: refined[at]!.text }),
      );
      const progress: number[] = [];
      const result = await evaluateRefiner({
        refiner: name,
        examples,
        threads: 1,
        onProgress: (nWindows) => progress.push(nWindows),
      });
      expect(result).toMatchObject({
        refiner: name,
        kind: name === 'programs' ? 'language' : 'line-score',
        dialect: 'prox',
        constrained: name === 'programs' ? true : null,
        split: 'validation',
        random: null,
        nWindows: texts.length,
        exactMatchRate: 1,
        lines: { f1: 1 },
        failures: {},
        newWords: { added: 0 },
        labels: { nNotReproduced: 0 },
        execute: { executor: 'strict', minKeptRatio: 0 },
      });
      const nBytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
      expect(result.nBytes).toBe(nBytes);
      expect(result.promptTokens.perMB).toBeCloseTo((result.promptTokens.total / nBytes) * 1e6, 6);
      expect(result.newTokens.total > 0).toBe(name === 'programs');
      expect(result.secondsPerMB).toBeGreaterThan(0);
      expect(progress.at(-1)).toBe(texts.length);
      expect(JSON.parse(JSON.stringify(result))).toEqual(result);
    },
  );

  it('counts windows that do not fit as failed and unchanged, and takes an empty one', async () => {
    const long = Array.from({ length: 200 }, (_, line) => `a line of words, number ${line}`).join(
      '\n',
    );
    const at = { lineStart: 3, lineEnd: 203 };
    const result = await evaluateRefiner({
      refiner: 'programs',
      examples: [
        example(long, 'remove_lines(start=3, end=3)', at),
        example('', 'keep_chunk()', { lineStart: 9, lineEnd: 10 }),
      ],
      threads: 1,
    });
    expect(result.failures).toEqual({ does_not_fit: 1 });
    expect(result).toMatchObject({ failureRatio: 0.5, unchangedRate: 1, unchangedMissed: 0.5 });
    expect(result.nBytes).toBe(Buffer.byteLength(long));
  });

  it('measures random weights under the grammar and without, which shows failures', async () => {
    const examples = PAGES.slice(0, 3).map((text) => example(text, 'keep_chunk()'));
    const options = { refiner: 'random', examples, threads: 1, slots: 4 };
    const free = await evaluateRefiner({ ...options, constrained: false });
    expect(free).toMatchObject({ random: 'random', constrained: false, failureRatio: 1 });
    expect(free.paperFailureRatio).toBeGreaterThan(0);
    const bound = await evaluateRefiner(options);
    expect(bound.newWords.added).toBe(0);
    expect(bound.failures['malformed'] ?? 0).toBe(0);
  }, 120_000);

  it('chooses by split and limit', async () => {
    const examples = ['train', 'validation', 'validation'].map((split, at) =>
      example(`line ${at}`, 'keep_chunk()', { split: split as WindowExample['split'] }),
    );
    const count = async (options: object): Promise<number> =>
      (await evaluateRefiner({ refiner: 'default', threads: 1, examples, ...options })).nWindows;
    expect(await count({})).toBe(2);
    expect(await count({ split: 'train' })).toBe(1);
    expect(await count({ split: 'all' })).toBe(3);
    expect(await count({ split: 'all', limit: 2 })).toBe(2);
  });

  it('refuses what it cannot measure, and stops when told to', async () => {
    const examples = [example('a', 'keep_chunk()')];
    const failing = (options: object): Promise<string> =>
      code(evaluateRefiner({ refiner: 'default', threads: 1, examples, ...options }));
    expect(await failing({ split: 'train' })).toBe('TRAIN_DATA_TOO_SMALL');
    expect(await failing({ limit: 0 })).toBe('OPTION_INVALID');
    expect(await failing({ refiner: '/nowhere.gguf' })).toBe('ENGINE_MODEL_MISSING');
    expect(await failing({ refiner: defaultModelFile('document') })).toBe('OPTION_INVALID');
    expect(await failing({ refiner: 'programs', retention: 0.9 })).toBe('OPTION_INVALID');
    expect(await failing({ execute: { maxErrors: -1 } })).toBe('OPTION_INVALID');
    expect(await failing({ signal: AbortSignal.abort() })).toBe('ABORTED');
    const far = { lineStart: MAX_LINE_START + 1, lineEnd: MAX_LINE_START + 2 };
    expect(await failing({ examples: [example('a', 'keep_chunk()', far)] })).toBe('OPTION_INVALID');
    const controller = new AbortController();
    const many = Array.from({ length: 400 }, (_, at) => example(PAGES[at % 6]!, 'keep_chunk()'));
    const running = failing({ refiner: 'programs', examples: many, signal: controller.signal });
    setTimeout(() => controller.abort(), 300);
    expect(await running).toBe('ABORTED');
  });
});
