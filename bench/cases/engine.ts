/**
 * Case `engine`: the refiner's two stages against llama.cpp's batched bench and node-llama-cpp on the same file.
 *
 * Documents are seeded word lines of 1,000 tokens; contenders take turns, so that a drift of the machine meets all of
 * them. GRISTMILL_BENCH_DEVICE=cuda:0 runs it on a GPU, GRISTMILL_BENCH_MODELS=20m,350m chooses the models.
 *
 * Every round and row is said on stderr as soon as it is measured: a run that is cut short has lost nothing of it.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringColumn } from '../../src/corpus/schema.ts';
import { openSink } from '../../src/corpus/sink.ts';
import type { RandomModelPreset } from '../../src/model/random.ts';
import type { NativeEngine } from '../../src/native/engine.ts';
import { native } from '../../src/native/index.ts';
import { DIALECTS } from '../../src/program/dialects.ts';
import { defaultSizes } from '../../src/refine/devices.ts';
import { refineCorpus } from '../../src/refine/run.ts';
import type { Bench, BenchContext, BenchTable } from '../types.ts';
import { buildBatchedBench, runBatchedBench } from './batched-bench.ts';
import {
  benchModel,
  documentsOf,
  framesOf,
  PROFILE,
  spread,
  total,
  viewsOf,
} from './engine-support.ts';
import { median } from './median.ts';
import { openPeer } from './node-llama-cpp.ts';

const DOC_TOKENS = 1000;
const LINE_FORMAT = { prefix: '[', minDigits: 3, suffix: ']', firstLine: 0 } as const;
const ANSWERS = ['keep_doc()', 'drop_doc()'] as const;
const {
  maxNewTokens: MAX_NEW_TOKENS,
  windows: { max: WINDOW_TOKENS },
} = PROFILE.chunk!;

/** The rows of a table, in order. */
interface Rows {
  readonly all: (string | number)[][];
  push(row: (string | number)[]): void;
}

interface Plan {
  readonly preset: RandomModelPreset;
  readonly nDocs: number;
  readonly rounds: number;
}

export const bench: Bench = {
  name: 'engine',
  async run(context: BenchContext): Promise<BenchTable[]> {
    const device = process.env['GRISTMILL_BENCH_DEVICE'] ?? 'cpu';
    const gpu = device !== 'cpu';
    const wanted = (
      process.env['GRISTMILL_BENCH_MODELS'] ?? (context.quick ? '20m' : '20m,350m')
    ).split(',');
    const sizes: Record<string, Plan> = {
      '20m': { preset: '20m', nDocs: gpu ? 4096 : context.quick ? 16 : 48, rounds: 3 },
      '350m': { preset: '350m', nDocs: gpu ? 2048 : 16, rounds: gpu ? 3 : 1 },
    };
    const tables: BenchTable[] = [];
    for (const name of wanted) {
      const plan = sizes[name];
      if (!plan) throw new Error(`GRISTMILL_BENCH_MODELS: no model ${name}`);
      tables.push(await benchOne(plan, device, context));
    }
    return tables;
  },
};

async function benchOne(plan: Plan, device: string, context: BenchContext): Promise<BenchTable> {
  const { preset, nDocs, rounds } = plan;
  const modelPath = await benchModel(preset);
  const sizes = defaultSizes(device);
  const { nThreads, nSlots, nUbatch } = sizes;
  const engine = await native().openEngine({ ...sizes, modelPath, device, nCtxSlot: 2048 });
  const rows = rowsThatAreSaid(context);
  const notes = [
    `${nDocs} documents of ${DOC_TOKENS} tokens, ${nThreads} threads of ${availableParallelism()}, ${nSlots} slots, ubatch ${nUbatch}, device ${device}`,
    `load ${loadavg()[0]!.toFixed(1)} at the start`,
  ];
  try {
    const texts = documentsOf(engine, nDocs, DOC_TOKENS);
    await prefillRows(
      engine,
      texts,
      { ...plan, modelPath, device, nThreads, nSlots, nUbatch },
      context,
      rows,
      notes,
    );
    const alone = await chunkRows(engine, texts, rounds, context, rows, notes, {
      modelPath,
      nSlots,
      device,
      nThreads,
    });
    await engine.dispose();
    await runRow(texts, modelPath, device, alone, context, rows);
  } finally {
    await engine.dispose();
  }
  return {
    title: `engine, ${preset}`,
    columns: ['what', 'median (min..max)', 'ratio'],
    rows: rows.all,
    notes,
  };
}

function rowsThatAreSaid({ log }: BenchContext): Rows {
  const all: (string | number)[][] = [];
  return {
    all,
    push: (row) => {
      all.push(row);
      log(row.map((cell) => (typeof cell === 'number' ? cell.toPrecision(3) : cell)).join(' | '));
    },
  };
}

interface PrefillShape extends Plan {
  readonly modelPath: string;
  readonly device: string;
  readonly nThreads: number;
  readonly nSlots: number;
  readonly nUbatch: number;
}

/** Prompt tokens per second: our document stage against the batched bench at the same shapes. */
async function prefillRows(
  engine: NativeEngine,
  texts: string[],
  shape: PrefillShape,
  context: BenchContext,
  rows: Rows,
  notes: string[],
): Promise<void> {
  const missing = buildBatchedBench(context.log);
  if (missing) notes.push(`llama.cpp batched bench left out: ${missing}`);
  const ours: number[] = [];
  const theirs: number[] = [];
  const views = viewsOf(texts);
  for (let round = 0; round < shape.rounds; round++) {
    context.log(`prefill, round ${round + 1}`);
    const begun = performance.now();
    const scored = await engine.scoreDocuments({
      ...views,
      docs: null,
      frame: framesOf(engine).document,
      answers: ANSWERS,
    });
    ours.push((total(scored.promptTokens) / (performance.now() - begun)) * 1000);
    context.log(`  document stage: ${ours.at(-1)!.toFixed(0)} tokens/s`);
    if (missing) continue;
    const { modelPath: model, nSlots, nUbatch, nThreads, device } = shape;
    const nParallel = Math.min(nSlots, texts.length);
    theirs.push(
      runBatchedBench({ model, nPrompt: DOC_TOKENS, nParallel, nUbatch, nThreads, device }),
    );
    context.log(`  llama.cpp batched bench: ${theirs.at(-1)!.toFixed(0)} tokens/s`);
  }
  rows.push([
    'document stage, prompt tokens/s',
    spread(ours),
    missing ? '' : median(ours) / median(theirs),
  ]);
  if (!missing) rows.push(['llama.cpp batched bench, prompt tokens/s', spread(theirs), 1]);
}

interface ChunkShape {
  readonly modelPath: string;
  readonly nSlots: number;
  readonly device: string;
  readonly nThreads: number;
}

/** Windows per second with and without the grammar, and by node-llama-cpp; returns the engine's seconds. */
async function chunkRows(
  engine: NativeEngine,
  texts: string[],
  rounds: number,
  context: BenchContext,
  rows: Rows,
  notes: string[],
  shape: ChunkShape,
): Promise<{ documentSeconds: number; chunkSeconds: number }> {
  const views = viewsOf(texts);
  const frame = framesOf(engine).chunk;
  const request = { lineFormat: LINE_FORMAT, frame, maxNewTokens: MAX_NEW_TOKENS };
  const plan = {
    ...views,
    docs: null,
    windows: { unit: 'tokens', max: WINDOW_TOKENS, countBos: true } as const,
  };
  const { grammar } = DIALECTS.prox;
  const rates: Record<'constrained' | 'free', number[]> = { constrained: [], free: [] };
  const seconds = { document: [] as number[], chunk: [] as number[] };
  let sampled = 0;
  let written = 0;
  let nWindows = 0;
  let lengths: Int32Array = new Int32Array();
  for (let round = 0; round < rounds; round++) {
    context.log(`chunk stage, round ${round + 1}`);
    let begun = performance.now();
    await engine.scoreDocuments({
      ...views,
      docs: null,
      frame: framesOf(engine).document,
      answers: ANSWERS,
    });
    seconds.document.push((performance.now() - begun) / 1000);
    begun = performance.now();
    const windows = await engine.planWindows({ ...plan, lineFormat: LINE_FORMAT });
    const before = engine.stats();
    const programs = await engine.generatePrograms({ ...views, ...request, windows, grammar });
    const after = engine.stats();
    const took = (performance.now() - begun) / 1000;
    seconds.chunk.push(took);
    nWindows = windows.doc.length;
    rates.constrained.push(nWindows / took);
    sampled = after.sampledTokens - before.sampledTokens;
    written = total(programs.newTokens);
    lengths = programs.newTokens;
    begun = performance.now();
    await engine.generatePrograms({ ...views, ...request, windows, grammar: null });
    rates.free.push(nWindows / ((performance.now() - begun) / 1000));
    const [constrained, free] = [rates.constrained.at(-1)!, rates.free.at(-1)!];
    context.log(
      `  ${constrained.toFixed(2)} windows/s under the grammar, ${free.toFixed(2)} freely`,
    );
  }
  rows.push(['chunk stage under the grammar, windows/s', spread(rates.constrained), 1]);
  rows.push([
    'chunk stage decoded freely, windows/s',
    spread(rates.free),
    median(rates.free) / median(rates.constrained),
  ]);
  rows.push([
    'decode steps of those programs without the grammar, per step with it',
    String(written),
    written / sampled,
  ]);

  context.log('node-llama-cpp');
  const peer = await openPeer({ ...shape, nSequences: shape.nSlots, nCtx: 2048 }, context.log);
  if (peer === null) notes.push('node-llama-cpp left out: it cannot be installed here');
  else {
    try {
      const prompts = texts.map(
        (text) =>
          `${frame.prefix}${text
            .split('\n')
            .map((line, n) => `[${String(n).padStart(3, '0')}]${line}`)
            .join('\n')}${frame.suffix}`,
      );
      const begun = performance.now();
      await peer.generate(prompts, Array.from(lengths.subarray(0, prompts.length)));
      const rate = prompts.length / ((performance.now() - begun) / 1000);
      rows.push([
        'node-llama-cpp, as many tokens per window, windows/s',
        spread([rate]),
        rate / median(rates.constrained),
      ]);
    } finally {
      await peer.dispose();
    }
  }
  notes.push(
    `${nWindows} windows, ${(written / nWindows).toFixed(1)} tokens a program, at most ${MAX_NEW_TOKENS}`,
  );
  return { documentSeconds: median(seconds.document), chunkSeconds: median(seconds.chunk) };
}

/**
 * The whole command over a Parquet file of the same documents, against the engine's own seconds. What is paid once per
 * run, however long (the model's loading, the threads' start), drops out: a run of all documents less one of a quarter.
 */
async function runRow(
  texts: string[],
  modelPath: string,
  device: string,
  alone: { documentSeconds: number; chunkSeconds: number },
  context: BenchContext,
  rows: Rows,
): Promise<void> {
  context.log('whole run');
  const folder = mkdtempSync(join(tmpdir(), 'gristmill-bench-'));
  const nQuarter = texts.length >> 2;
  const nDocs = texts.length - nQuarter;
  const profile = join(folder, 'profile.json');
  writeFileSync(profile, JSON.stringify(PROFILE));
  try {
    const all = await writeCorpus(join(folder, 'all.parquet'), texts);
    const quarter = await writeCorpus(join(folder, 'quarter.parquet'), texts.slice(0, nQuarter));
    const stages = [
      ['document stage', { documentModel: modelPath, documentThreshold: 0 }, alone.documentSeconds],
      ['chunk stage', { chunkModel: modelPath }, alone.chunkSeconds],
    ] as const;
    let outIndex = 0;
    for (const [name, models, engineSeconds] of stages) {
      const secondsOf = async (path: string): Promise<number> => {
        const out = join(folder, `out-${outIndex++}`);
        return (await refineCorpus({ ...models, profile, inputs: [path], out, device })).seconds;
      };
      const seconds = (await secondsOf(all)) - (await secondsOf(quarter));
      const share = (engineSeconds * (nDocs / texts.length)) / seconds;
      rows.push([
        `whole run, ${name}, docs/s (ratio: to the engine alone)`,
        spread([nDocs / seconds]),
        share,
      ]);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function writeCorpus(path: string, texts: readonly string[]): Promise<string> {
  const columns = [stringColumn('text')];
  const sink = await openSink({ format: 'parquet', path, columns, textColumn: 'text' });
  const text = texts.map((value) => Buffer.from(value));
  await sink.write({ text, rows: null, carry: null, extra: {} });
  await sink.close();
  return path;
}
