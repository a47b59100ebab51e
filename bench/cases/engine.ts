/**
 * Case `engine`: the refiner's two stages against llama.cpp's batched bench and node-llama-cpp on the same file.
 *
 * Documents are seeded word lines of 1,000 tokens; contenders take turns, so that a drift of the machine meets all of
 * them. GRISTMILL_BENCH_DEVICE=cuda:0 runs it on a GPU, GRISTMILL_BENCH_MODELS=20m,350m chooses the models.
 *
 * Every round is said on stderr as soon as it is measured, and kept in a file (kept-rounds.ts): the same command goes on where a
 * run was cut.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, tmpdir } from 'node:os';
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
import { buildBatchedBench, buildStamp, runBatchedBench } from './batched-bench.ts';
import {
  benchModel,
  documentsOf,
  framesOf,
  PROFILE,
  spread,
  total,
  viewsOf,
} from './engine-support.ts';
import { type KeptRounds, keptRounds } from './kept-rounds.ts';
import { median } from './median.ts';
import { openPeer, type Peer, type PeerSettings } from './node-llama-cpp.ts';

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
  const { preset, nDocs } = plan;
  const modelPath = await benchModel(preset);
  const sizes = defaultSizes(device);
  const { nThreads, nSlots, nUbatch } = sizes;
  const setting = { ...sizes, ...plan, device, cpu: cpus()[0]?.model, build: buildStamp() };
  const kept = keptRounds('engine', setting, context);
  const engine = await native().openEngine({ ...sizes, modelPath, device, nCtxSlot: 2048 });
  const rows = rowsThatAreSaid(context);
  const notes = [
    `${nDocs} documents of ${DOC_TOKENS} tokens, ${nThreads} threads of ${availableParallelism()}, ${nSlots} slots, ubatch ${nUbatch}, device ${device}`,
    `load ${loadavg()[0]!.toFixed(1)} at the start`,
  ];
  try {
    const texts = documentsOf(engine, nDocs, DOC_TOKENS);
    const shape = { ...plan, modelPath, device, nThreads, nSlots, nUbatch };
    const documentSeconds = await prefillRows(engine, texts, shape, kept, context, rows, notes);
    const chunkSeconds = await chunkRows(engine, texts, shape, kept, context, rows, notes);
    const alone = { documentSeconds, chunkSeconds };
    await engine.dispose();
    await runRow(texts, modelPath, device, alone, kept, context, rows);
  } finally {
    await engine.dispose();
  }
  kept.finish();
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

/** Prompt tokens per second: our document stage against the batched bench at the same shapes. */
async function prefillRows(
  engine: NativeEngine,
  texts: string[],
  shape: Shape,
  kept: KeptRounds,
  context: BenchContext,
  rows: Rows,
  notes: string[],
): Promise<number> {
  const missing = buildBatchedBench(context.log);
  if (missing) notes.push(`llama.cpp batched bench left out: ${missing}`);
  const ours: number[] = [];
  const theirs: number[] = [];
  const seconds: number[] = [];
  const request = {
    ...viewsOf(texts),
    docs: null,
    frame: framesOf(engine).document,
    answers: ANSWERS,
  };
  for (let round = 0; round < shape.rounds; round++) {
    const made = await kept.round('document stage', round, async () => {
      const begun = performance.now();
      const scored = await engine.scoreDocuments(request);
      return { tokens: total(scored.promptTokens), seconds: secondsSince(begun) };
    });
    seconds.push(made.seconds);
    ours.push(made.tokens / made.seconds);
    context.log(`prefill ${round + 1}, document stage: ${ours.at(-1)!.toFixed(0)} tokens/s`);
    if (missing) continue;
    const { modelPath: model, nSlots, nUbatch, nThreads, device } = shape;
    const nParallel = Math.min(nSlots, texts.length);
    const peer = { model, nPrompt: DOC_TOKENS, nParallel, nUbatch, nThreads, device };
    theirs.push(await kept.round('batched bench', round, () => runBatchedBench(peer)));
    context.log(`prefill ${round + 1}, batched bench: ${theirs.at(-1)!.toFixed(0)} tokens/s`);
  }
  rows.push([
    'document stage, prompt tokens/s',
    spread(ours),
    missing ? '' : median(ours) / median(theirs),
  ]);
  if (!missing) rows.push(['llama.cpp batched bench, prompt tokens/s', spread(theirs), 1]);
  return median(seconds);
}

interface Shape extends Plan {
  readonly modelPath: string;
  readonly device: string;
  readonly nThreads: number;
  readonly nSlots: number;
  readonly nUbatch: number;
}

/** What a round of the chunk stage gives. */
interface ChunkRound {
  readonly seconds: number;
  readonly nWindows: number;
  readonly sampled: number;
  /** Tokens of every program. */
  readonly lengths: readonly number[];
}

/** Windows per second with and without the grammar, and by node-llama-cpp, in turn; returns the engine's seconds. */
async function chunkRows(
  engine: NativeEngine,
  texts: string[],
  shape: Shape,
  kept: KeptRounds,
  context: BenchContext,
  rows: Rows,
  notes: string[],
): Promise<number> {
  const views = viewsOf(texts);
  const frame = framesOf(engine).chunk;
  const request = { lineFormat: LINE_FORMAT, frame, maxNewTokens: MAX_NEW_TOKENS };
  const rule = { unit: 'tokens', max: WINDOW_TOKENS, countBos: true } as const;
  const plan = { ...views, docs: null, lineFormat: LINE_FORMAT, windows: rule };
  const { grammar } = DIALECTS.prox;
  const generate = async (constrained: boolean): Promise<ChunkRound> => {
    const begun = performance.now();
    const windows = await engine.planWindows(plan);
    const before = engine.stats();
    const made = { ...views, ...request, windows, grammar: constrained ? grammar : null };
    const programs = await engine.generatePrograms(made);
    return {
      seconds: secondsSince(begun),
      nWindows: windows.doc.length,
      sampled: engine.stats().sampledTokens - before.sampledTokens,
      lengths: [...programs.newTokens],
    };
  };
  const peer = new LazyPeer({ ...shape, nSequences: shape.nSlots, nCtx: 2048 }, context.log);
  const numbered = texts.map((text) => {
    const lines = text.split('\n').map((line, n) => `[${String(n).padStart(3, '0')}]${line}`);
    return `${frame.prefix}${lines.join('\n')}${frame.suffix}`;
  });
  const rounds: ChunkRound[] = [];
  const free: number[] = [];
  const peers: number[] = [];
  try {
    for (let round = 0; round < shape.rounds; round++) {
      const told = `chunk stage ${round + 1}`;
      const made = await kept.round('under the grammar', round, () => generate(true));
      rounds.push(made);
      context.log(
        `${told}: ${(made.nWindows / made.seconds).toFixed(2)} windows/s under the grammar`,
      );
      const freely = await kept.round('freely', round, () => generate(false));
      free.push(freely.nWindows / freely.seconds);
      context.log(`${told}: ${free.at(-1)!.toFixed(2)} windows/s freely`);
      const seconds = await kept.round('node-llama-cpp', round, () =>
        peer.seconds(numbered, made.lengths.slice(0, numbered.length)),
      );
      if (seconds === null) continue;
      peers.push(numbered.length / seconds);
      context.log(`${told}: ${peers.at(-1)!.toFixed(2)} windows/s by node-llama-cpp`);
    }
  } finally {
    await peer.dispose();
  }
  const constrained = rounds.map(({ nWindows, seconds }) => nWindows / seconds);
  const { nWindows, sampled, lengths } = rounds.at(-1)!;
  const written = lengths.reduce((sum, length) => sum + length, 0);
  rows.push(['chunk stage under the grammar, windows/s', spread(constrained), 1]);
  rows.push([
    'chunk stage decoded freely, windows/s',
    spread(free),
    median(free) / median(constrained),
  ]);
  rows.push([
    'decode steps of those programs without the grammar, per step with it',
    String(written),
    written / sampled,
  ]);
  if (peers.length === 0) notes.push('node-llama-cpp left out: it cannot be installed here');
  else {
    rows.push([
      'node-llama-cpp, as many tokens per window, windows/s',
      spread(peers),
      median(peers) / median(constrained),
    ]);
  }
  notes.push(
    `${nWindows} windows, ${(written / nWindows).toFixed(1)} tokens a program, at most ${MAX_NEW_TOKENS}`,
  );
  return median(rounds.map(({ seconds }) => seconds));
}

/** The peer, opened when a round needs it. */
class LazyPeer {
  readonly #settings: PeerSettings;
  readonly #log: (line: string) => void;
  #opened: Peer | null | undefined;

  constructor(settings: PeerSettings, log: (line: string) => void) {
    this.#settings = settings;
    this.#log = log;
  }

  /** Null where it cannot be had. */
  async seconds(prompts: readonly string[], nTokens: readonly number[]): Promise<number | null> {
    this.#opened ??= await openPeer(this.#settings, this.#log);
    if (this.#opened === null) return null;
    const begun = performance.now();
    await this.#opened.generate(prompts, nTokens);
    return secondsSince(begun);
  }

  async dispose(): Promise<void> {
    await this.#opened?.dispose();
  }
}

function secondsSince(begun: number): number {
  return (performance.now() - begun) / 1000;
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
  kept: KeptRounds,
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
      const whole = await kept.round(`run, ${name}`, 0, () => secondsOf(all));
      const seconds =
        whole - (await kept.round(`run of a quarter, ${name}`, 0, () => secondsOf(quarter)));
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
