/**
 * Case `engine-host`: what the host does beside the GPU, measured without one.
 *
 * The model is so small (one layer of 32) that nearly all the time is bookkeeping: batches, KV cells, masks, slots, the
 * token automaton. Reported are nanoseconds per token and how many ubatches a decode took against the ideal. A GPU that
 * needs less than this per token waits for the host. The second table has what free decoding does with rows of logits, the third the
 * shapes that count, beside a device that lets time pass (engine-host-device.ts).
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { RANDOM_MODEL_PRESETS, writeRandomModel } from '../../src/model/random.ts';
import type { EngineStats } from '../../src/native/engine.ts';
import { native } from '../../src/native/index.ts';
import { DIALECTS } from '../../src/program/dialects.ts';
import type { Bench, BenchContext, BenchTable } from '../types.ts';
import { deviceTable, isMeasured, measureIfAsked } from './engine-host-device.ts';
import { documentsOf, framesOf, PROFILE, total, viewsOf } from './engine-support.ts';

const LINE_FORMAT = { ...PROFILE.chunk!.line, firstLine: 0 } as const;

export const bench: Bench = {
  name: 'engine-host',
  async run(context: BenchContext): Promise<BenchTable[]> {
    if (isMeasured) {
      await measureIfAsked();
      return [];
    }
    const folder = mkdtempSync(join(tmpdir(), 'gristmill-bench-'));
    const modelPath = join(folder, 'smallest.gguf');
    const shape = {
      ...RANDOM_MODEL_PRESETS.tiny,
      nLayer: 1,
      nEmbd: 32,
      nHead: 1,
      nHeadKv: 1,
      nFf: 32,
    };
    const rows: (string | number)[][] = [];
    const freeRows: (string | number)[][] = [];
    try {
      await writeRandomModel({ ...shape, path: modelPath, seed: 1 });
      for (const nSlots of context.quick ? [32] : [32, 64, 256]) {
        context.log(`${nSlots} slots`);
        rows.push(...(await measure(modelPath, nSlots)));
      }
      for (const vocabSize of context.quick ? [32_000] : [32_000, 151_936]) {
        await writeRandomModel({ ...shape, vocabSize, path: modelPath, seed: 1 });
        for (const nThreads of [1, 2]) {
          context.log(`rows of ${vocabSize}, ${nThreads} threads`);
          freeRows.push(await measureFree(modelPath, vocabSize, nThreads));
        }
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
    const own: BenchTable = {
      title: 'engine-host',
      columns: [
        'slots',
        'stage',
        'ns per token, all',
        'ns per token, ours',
        'ubatches / ideal',
        'padding %',
        'idle-slot tokens %',
      ],
      rows,
      notes: [
        'one thread; "all" includes llama.cpp’s KV bookkeeping and mask and the smallest model’s arithmetic, "ours" is scheduling and the automaton',
        `load ${loadavg()[0]!.toFixed(1)} at the start`,
      ],
    };
    const free: BenchTable = {
      title: 'engine-host, free decoding',
      columns: ['values of a row', 'threads', 'ns per row, ours', 'ns per row, all'],
      rows: freeRows,
      notes: [
        `${FREE_SLOTS} slots, answers of ${FREE_TOKENS} tokens to short prompts; "ours" is what is done with the logits of a step and what makes the next one ready, "all" has the smallest model’s arithmetic too; the lowest of ${FREE_ROUNDS}`,
      ],
    };
    const beside = await deviceTable(context);
    return beside ? [own, free, beside] : [own, free];
  },
};

const FREE_SLOTS = 256;
const FREE_TOKENS = 8;
const FREE_ROUNDS = 3;

async function measureFree(
  modelPath: string,
  vocabSize: number,
  nThreads: number,
): Promise<(string | number)[]> {
  const sizes = { nThreads, nSlots: FREE_SLOTS, nCtxSlot: 2048, nUbatch: 4096 };
  const engine = await native().openEngine({ ...sizes, modelPath, device: 'cpu' });
  try {
    const views = viewsOf(documentsOf(engine, FREE_SLOTS, 8));
    const { chunk: frame } = framesOf(engine);
    let [ours, all] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
    for (let round = 0; round < FREE_ROUNDS; round++) {
      const before = engine.stats();
      await engine.generateText({ ...views, docs: null, frame, maxNewTokens: FREE_TOKENS });
      const after = engine.stats();
      const of = (key: keyof EngineStats): number => after[key] - before[key];
      ours = Math.min(ours, of('hostNs') / of('decodeSteps'));
      const ns = of('prefillNs') + of('decodeNs') + of('hostNs');
      all = Math.min(all, ns / of('decodeSteps'));
    }
    return [vocabSize, nThreads, ours, all];
  } finally {
    await engine.dispose();
  }
}

async function measure(modelPath: string, nSlots: number): Promise<(string | number)[][]> {
  const options = { modelPath, device: 'cpu', nThreads: 1, nSlots, nCtxSlot: 2048, nUbatch: 4096 };
  const engine = await native().openEngine(options);
  try {
    const views = viewsOf(documentsOf(engine, nSlots * 2, 1000));
    const frames = framesOf(engine);
    const zero = engine.stats();
    const answers = ['keep_doc()', 'drop_doc()'] as const;
    const scored = await engine.scoreDocuments({
      ...views,
      docs: null,
      frame: frames.document,
      answers,
    });
    const afterDocuments = engine.stats();
    const windows = await engine.planWindows({
      ...views,
      docs: null,
      lineFormat: LINE_FORMAT,
      windows: { unit: 'tokens', max: 1000, countBos: true },
    });
    const { grammar } = DIALECTS.prox;
    const maxNewTokens = PROFILE.chunk!.maxNewTokens;
    const request = { ...views, windows, frame: frames.chunk, lineFormat: LINE_FORMAT, grammar };
    const beforePrograms = engine.stats();
    const written = await engine.generatePrograms({ ...request, maxNewTokens });
    const afterPrograms = engine.stats();
    const rows: (string | number)[][] = [];
    const add = (stage: string, nTokens: number, before: EngineStats, after: EngineStats): void => {
      const of = (key: keyof EngineStats): number => after[key] - before[key];
      const fed = nTokens + of('padTokens') + of('dummyTokens');
      rows.push([
        nSlots,
        stage,
        (of('prefillNs') + of('decodeNs') + of('hostNs')) / nTokens,
        of('hostNs') / nTokens,
        of('ubatches') / Math.max(1, of('idealUbatches')),
        (100 * of('padTokens')) / fed,
        (100 * of('dummyTokens')) / fed,
      ]);
    };
    add('document', total(scored.promptTokens), zero, afterDocuments);
    const nTokens = total(written.promptTokens) + total(written.newTokens);
    add('chunk', nTokens, beforePrograms, afterPrograms);
    return rows;
  } finally {
    await engine.dispose();
  }
}
