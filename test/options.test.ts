/** Options from JavaScript: unknown names and wrong values are told by name, in every call. */
import { describe, expect, it } from 'vitest';
import { annotateChunks } from '../src/annotate/chunks/annotate-chunks.ts';
import { compareAnnotators } from '../src/annotate/evaluate/compare-annotators.ts';
import { evaluateRefiner } from '../src/annotate/evaluate/eval-refiner.ts';
import { openExpert } from '../src/annotate/expert/expert.ts';
import { annotateDocuments } from '../src/annotate/label/label-documents.ts';
import { runPlan } from '../src/continual/run/run.ts';
import { applyMixture } from '../src/mixture/apply/apply.ts';
import { collectRuns } from '../src/mixture/collect.ts';
import { countDomains } from '../src/mixture/count-domains.ts';
import { fitMixture } from '../src/mixture/fit.ts';
import { optimizeMixture } from '../src/mixture/optimize/optimize.ts';
import { trainProxies } from '../src/mixture/proxies/sweep.ts';
import { sampleMixtures } from '../src/mixture/sample/sample.ts';
import { convertModel } from '../src/model/convert/convert.ts';
import { pullModel } from '../src/model/pull.ts';
import { trainTokenizer } from '../src/model/tokenizer-training.ts';
import { nearestName } from '../src/nearest-name.ts';
import {
  checkOptions,
  either,
  flag,
  listOf,
  name,
  type OptionTable,
  whole,
} from '../src/options.ts';
import { refineCorpus } from '../src/refine/run.ts';
import { tokenizeDomains } from '../src/tokens/tokenize.ts';
import { evaluateLm } from '../src/train/eval-lm.ts';
import { trainModel } from '../src/train/train-run.ts';

const CALLS = {
  applyMixture,
  annotateChunks,
  annotateDocuments,
  compareAnnotators,
  convertModel,
  countDomains,
  evaluateLm,
  evaluateRefiner,
  fitMixture,
  optimizeMixture,
  pullModel,
  refineCorpus,
  runPlan: (options: unknown) => runPlan({} as never, options as never),
  sampleMixtures,
  tokenizeDomains,
  trainModel: (options: unknown) => trainModel({} as never, options as never),
  trainProxies,
  trainTokenizer,
} as unknown as Record<string, (options: unknown) => Promise<unknown>>;

describe('calls', () => {
  // Unknown options were passed over: `limt: 5` refined the whole corpus.
  it.each(Object.keys(CALLS))('%s refuses what is no option of it', async (call) => {
    for (const options of [{ sginal: 1 }, { [`${'x'.repeat(99)}`]: 1 }, 'text', null, [], 7]) {
      await expect(CALLS[call]!(options)).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    }
    await expect(CALLS[call]!({ sginal: 1 })).rejects.toThrow(
      `option sginal: expected an option of ${call} (did you mean signal?), received 1`,
    );
  });
});

/** Of each call a value that is none of the option, and whether something is missing. */
const WRONG: readonly (readonly [call: string, option: string, value: unknown])[] = [
  ['annotateChunks', 'inputs', 'in.jsonl'],
  ['annotateChunks', 'expert', 'http://127.0.0.1'],
  ['annotateChunks', 'onNotice', true],
  ['annotateDocuments', 'inputs', 'in.jsonl'],
  ['annotateDocuments', 'inputs', []],
  ['annotateDocuments', 'textColumn', 5],
  ['annotateDocuments', 'validation', '0.1'],
  ['annotateDocuments', 'replaceStatus', 'yes'],
  ['applyMixture', 'sources', {}],
  ['applyMixture', 'sources', []],
  ['applyMixture', 'quota', 100],
  ['applyMixture', 'format', 'csv'],
  ['applyMixture', 'seed', '5'],
  ['compareAnnotators', 'examples', 'chunks.parquet'],
  ['compareAnnotators', 'split', 'test'],
  ['convertModel', 'dir', 7],
  ['convertModel', 'onProgress', 'yes'],
  ['countDomains', 'inputs', 'in.jsonl'],
  ['countDomains', 'domainColumn', 5],
  ['evaluateLm', 'data', 'in.jsonl'],
  ['evaluateLm', 'nCtx', 0],
  ['evaluateLm', 'nSeq', 1.5],
  ['evaluateRefiner', 'examples', 5],
  ['evaluateRefiner', 'retention', 2],
  ['fitMixture', 'runs', 'runs.csv'],
  ['fitMixture', 'targets', 'web'],
  ['fitMixture', 'learningCurve', 1],
  ['optimizeMixture', 'domains', { web: 1 }],
  ['optimizeMixture', 'method', 'luck'],
  ['optimizeMixture', 'budgetTokens', '1B'],
  ['pullModel', 'repo', 5],
  ['pullModel', 'keepSource', 'no'],
  ['pullModel', 'token', 5],
  ['runPlan', 'out', 5],
  ['runPlan', 'onProgress', {}],
  ['sampleMixtures', 'domains', 'domains.json'],
  ['sampleMixtures', 'n', '5'],
  ['tokenizeDomains', 'sources', 'sources.json'],
  ['tokenizeDomains', 'tokenizer', 5],
  ['tokenizeDomains', 'heldOut', 'web'],
  ['trainModel', 'onPhase', 'log'],
  ['trainProxies', 'jobs', 0],
  ['trainProxies', 'settings', []],
  ['trainTokenizer', 'texts', 'a text'],
  ['trainTokenizer', 'vocabSize', '300'],
  ['trainTokenizer', 'path', ''],
];

describe('values', () => {
  it.each(WRONG)('%s: %s is not %j', async (call, option, value) => {
    await expect(CALLS[call]!({ [option]: value })).rejects.toMatchObject({
      code: 'OPTION_INVALID',
      details: { option },
    });
    await expect(CALLS[call]!({ signal: {} })).rejects.toMatchObject({
      details: { option: 'signal', expected: 'an AbortSignal' },
    });
  });

  it('what is left out and needed is named', async () => {
    const needed = Object.keys(CALLS).filter((call) => call !== 'trainModel');
    for (const call of needed) {
      await expect(CALLS[call]!({})).rejects.toMatchObject({
        code: 'OPTION_INVALID',
        details: { received: 'nothing' },
      });
    }
  });

  it('of experts and collected runs', async () => {
    const open = (options: unknown) => openExpert(options as never);
    for (const [options, option] of [
      [{ url: 'http://127.0.0.1:1', model: 'm', maxTokes: 5 }, 'maxTokes'],
      [{ url: 'http://127.0.0.1:1', model: 'm', slots: 5 }, 'slots'],
      [{ url: 5, model: 'm' }, 'url'],
      [{ url: 'http://127.0.0.1:1' }, 'model'],
      [{ gguf: 'x.gguf', url: 'http://127.0.0.1:1' }, 'url'],
      [{ gguf: '' }, 'gguf'],
      [null, 'of openExpert'],
    ] as const) {
      await expect(open(options)).rejects.toMatchObject({
        code: 'OPTION_INVALID',
        details: { option },
      });
    }
    const collect = (options: unknown) => collectRuns(options as never);
    for (const [options, option] of [
      [{ inputs: ['a.csv'], reduce: 'max' }, 'reduce'],
      [{ inputs: ['a.csv'], indexColum: 'run' }, 'indexColum'],
      [{ inputs: 'a.csv' }, 'inputs'],
      [{ inputs: ['a.csv'], indexColumn: 5 }, 'indexColumn'],
      [{}, 'inputs'],
    ] as const) {
      await expect(collect(options)).rejects.toMatchObject({ details: { option } });
    }
  });
});

describe('refineCorpus', () => {
  it.each([
    [{ inputs: ['in'] }, 'out: expected a folder, or -, received nothing'],
    [{ out: 'out' }, 'inputs: expected a path, or an array of at least one, received nothing'],
    [{ inputs: [], out: 'out' }, 'inputs: expected a path, or an array of at least one'],
    [{ inputs: ['in', 3], out: 'out' }, 'inputs: expected a path'],
    [{ inputs: 'in', out: 'out', limit: '5' }, 'limit: expected a whole number of at least 0'],
    [{ inputs: 'in', out: 'out', zstdLevel: 20 }, 'zstdLevel: expected a whole number in 1..19'],
    [{ inputs: 'in', out: 'out', format: 'csv' }, 'format: expected one of parquet, jsonl.zst'],
    [{ inputs: 'in', out: 'out', onProgress: 3 }, 'onProgress: expected a function'],
    [{ inputs: 'in', out: 'out', signal: {} }, 'signal: expected an AbortSignal'],
    [{ inputs: 'in', out: 'out', execute: { maxOps: 0 } }, 'execute.maxOps: expected a whole'],
  ])('%j', async (options, message) => {
    await expect(refineCorpus(options as never)).rejects.toMatchObject({
      code: 'OPTION_INVALID',
      message: expect.stringContaining(`option ${message}`),
    });
  });

  it('takes one input as a string', async () => {
    const run = refineCorpus({ inputs: 'nowhere/rows.jsonl', out: 'out' });
    await expect(run).rejects.toThrow(/nowhere\/rows\.jsonl/);
  });
});

describe('checkOptions', () => {
  interface Some {
    readonly path?: string | readonly string[];
    readonly deep?: boolean;
    readonly limit?: number;
  }
  const table: OptionTable<Some> = {
    path: either(name, listOf(name, 1)),
    deep: flag,
    limit: whole(0, 9),
  };
  const check = (options: unknown): void => checkOptions<Some>('call', options, table, ['path']);

  it('takes what fits, undefined as left out, and nothing else', () => {
    expect(() => check({ path: 'a', deep: undefined, limit: 0 })).not.toThrow();
    expect(() => check({ path: ['a'], limit: 9 })).not.toThrow();
    const values = [null, '', [], [''], 0, 1n, Symbol('s'), () => 1, new Map(), Number.NaN];
    for (const path of values) expect(() => check({ path })).toThrow('option path: expected');
    const cyclic: Record<string, unknown> = {};
    cyclic['self'] = cyclic;
    expect(() => check({ path: cyclic })).toThrow('received an object');
    expect(() => check({ path: undefined })).toThrow('received nothing');
    expect(() => check({ path: 'a', __proto__: { limit: 'x' } })).not.toThrow();
    expect(() => check({ path: 'a', constructor: 1 })).toThrow('an option of call');
  });

  it('tells an unknown name before a wrong value', () => {
    expect(() => check({ limit: 'x', patth: 1 })).toThrow('did you mean path?');
    expect(() => check({ wholly_other: 1 })).toThrow('an option of call: path, deep, limit');
  });
});

describe('nearestName', () => {
  it('finds slips of the hand, and nothing where none is near', () => {
    const names = ['limit', 'signal', 'documentThreshold', 'lineThreshold', 'out'];
    expect(nearestName('limt', names)).toBe('limit');
    expect(nearestName('LIMIT', names)).toBe('limit');
    expect(nearestName('document_threshold', names)).toBe('documentThreshold');
    expect(nearestName('line-treshold', names)).toBe('lineThreshold');
    expect(nearestName('sgi', names)).toBe(null);
    expect(nearestName('tuo', names)).toBe(null);
    expect(nearestName('x'.repeat(10_000), names)).toBe(null);
    expect(nearestName('', names)).toBe(null);
  });
});
