/**
 * Case `engine-host`, second table: the host beside a GPU that is simulated, at the shapes that count.
 *
 * A backend stands in the place of CUDA's (test/native/gpu-stand-in): it computes nothing, and lets the time pass that each step
 * would take by the roofline. What the wall clock shows beyond that time is the host: scheduling, batches, cells of the cache,
 * masks, uploads, the automaton, the reading of logits. Every row is a process of its own, on a package of its own.
 *
 * The figures are a prediction for a card, to be held against the first run on one: kernels do not reach the roofline, and
 * nothing here knows of a card's clocks. GRISTMILL_BENCH_MODELS=20m|350m chooses the model.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { EngineStats } from '../../src/native/engine.ts';
import { native } from '../../src/native/index.ts';
import { packageRoot } from '../../src/paths.ts';
import { DIALECTS } from '../../src/program/dialects.ts';
import { defaultSizes, promptSlots } from '../../src/refine/devices.ts';
import { type StandIn, standIn, whyNoStandIn } from '../../test/support/gpu-stand-in.ts';
import type { BenchContext, BenchTable } from '../types.ts';
import { benchModel, documentsOf, framesOf, PROFILE, total, viewsOf } from './engine-support.ts';

/** Nanoseconds of the host for handing a node of a graph to a card. */
const LAUNCH_NS = 1200;
/** Cards by what they reach: an H200 as measured dense, and what kernels of llama.cpp may reach of it. */
const CARDS = [
  { name: 'H200 at its roofline', tflops: 790, tbps: 4.3 },
  { name: 'H200, 500 TFLOP/s reached', tflops: 500, tbps: 3.5 },
] as const;
const DOC_TOKENS = 1000;
const LINE_FORMAT = { ...PROFILE.chunk!.line, firstLine: 0 } as const;
const RESULT = 'host-device:';

/** Set in the processes that are measured: what to run. */
const TASK = 'GRISTMILL_BENCH_HOST_TASK';

interface Task {
  readonly modelPath: string;
  readonly stage: 'document' | 'chunk';
  readonly nDocs: number;
}

interface Measured {
  readonly seconds: number;
  readonly nTokens: number;
  readonly nSteps: number;
}

/** In a process that is measured, measures and ends it. */
export async function measureIfAsked(): Promise<void> {
  const asked = process.env[TASK];
  if (asked === undefined) return;
  const measured = await measure(JSON.parse(asked) as Task);
  process.stdout.write(`${RESULT}${JSON.stringify(measured)}\n`);
}

/** Whether this process is one that is measured. */
export const isMeasured = process.env[TASK] !== undefined;

async function measure({ modelPath, stage, nDocs }: Task): Promise<Measured> {
  const sizes = defaultSizes('cuda:0');
  const nSlots = stage === 'document' ? promptSlots(sizes) : sizes.nSlots;
  const engine = await native().openEngine({
    ...sizes,
    nSlots,
    modelPath,
    device: 'cuda:0',
    nCtxSlot: 2048,
  });
  try {
    const views = viewsOf(documentsOf(engine, nDocs, DOC_TOKENS));
    const frames = framesOf(engine);
    const run = async (part: { data: Uint8Array; offsets: Int32Array }): Promise<number> => {
      if (stage === 'document') {
        const answers = ['keep_doc()', 'drop_doc()'] as const;
        const request = { ...part, docs: null, frame: frames.document, answers };
        return total((await engine.scoreDocuments(request)).promptTokens);
      }
      const rule = { unit: 'tokens', max: 1500, countBos: true } as const;
      const windows = await engine.planWindows({
        ...part,
        docs: null,
        lineFormat: LINE_FORMAT,
        windows: rule,
      });
      const { grammar } = DIALECTS.prox;
      const written = await engine.generatePrograms({
        ...{ ...part, windows, frame: frames.chunk, lineFormat: LINE_FORMAT, grammar },
        maxNewTokens: PROFILE.chunk!.maxNewTokens,
      });
      return total(written.promptTokens) + total(written.newTokens);
    };
    // The first call compiles the automaton; its steps are the same, and so is the time that they take on the card.
    await run(views);
    const before: EngineStats = engine.stats();
    const begun = performance.now();
    const nTokens = await run(views);
    const seconds = (performance.now() - begun) / 1000;
    return { seconds, nTokens, nSteps: engine.stats().decodeCalls - before.decodeCalls };
  } finally {
    await engine.dispose();
  }
}

/** The table; null where no stand-in can be made. */
export async function deviceTable(context: BenchContext): Promise<BenchTable | null> {
  if (whyNoStandIn !== null) {
    context.log(`no simulated device: ${whyNoStandIn}`);
    return null;
  }
  const preset = process.env['GRISTMILL_BENCH_MODELS'] === '20m' || context.quick ? '20m' : '350m';
  const modelPath = await benchModel(preset);
  const nDocs = context.quick ? 64 : 512;
  const load = loadavg()[0]!.toFixed(1);
  const gpu = standIn();
  const rows: (string | number)[][] = [];
  try {
    const script = ownBundle(gpu);
    for (const stage of ['document', 'chunk'] as const) {
      const task: Task = { modelPath, stage, nDocs };
      const host = ofMedian(context, gpu, script, task, 0, 0);
      for (const { name, tflops, tbps } of CARDS) {
        const beside = ofMedian(context, gpu, script, task, tflops, tbps);
        const { seconds, deviceSeconds } = beside;
        rows.push([
          stage,
          name,
          (host.hostSeconds / host.nTokens) * 1e9,
          (host.hostSeconds / host.nSteps) * 1e6,
          (deviceSeconds / beside.nTokens) * 1e9,
          nDocs / deviceSeconds,
          nDocs / seconds,
          100 * (1 - deviceSeconds / seconds),
        ]);
        context.log(
          rows
            .at(-1)!
            .map((cell) => (typeof cell === 'number' ? cell.toPrecision(4) : cell))
            .join(' | '),
        );
      }
    }
  } finally {
    gpu.dispose();
  }
  const { nSlots, nUbatch } = defaultSizes('cuda:0');
  return {
    title: `engine-host, ${preset} beside a simulated GPU`,
    columns: [
      ...[
        'stage',
        'card',
        'host’s CPU, ns per token',
        'host’s CPU, µs per step',
        'card, ns per token',
      ],
      ...['card alone, docs/s', 'predicted, docs/s', 'host’s share %'],
    ],
    rows,
    notes: [
      `${nDocs} documents of ${DOC_TOKENS} tokens; chunk stage ${nSlots} slots, document stage ${promptSlots({ nUbatch })}, ubatch ${nUbatch}; ${LAUNCH_NS} ns of the host a node; median of ${ROUNDS}`,
      `nothing is computed: every logit is 0, and the grammar’s first token is taken; the host’s CPU time is that of the thread that hands steps over, whatever else the machine does, predictions are by the clock and need it idle; load ${load} at the start`,
    ],
  };
}

const ROUNDS = 3;

function ofMedian(
  { log }: BenchContext,
  gpu: StandIn,
  script: string,
  task: Task,
  tflops: number,
  tbps: number,
): Measured & { readonly deviceSeconds: number; readonly hostSeconds: number } {
  const settings = `compute=0,mib=131072,launch=${LAUNCH_NS},tflops=${tflops},tbps=${tbps}`;
  const made = Array.from({ length: ROUNDS }, () => {
    process.env[TASK] = JSON.stringify(task);
    const { status, stdout, stderr, counts } = gpu.run(settings, [
      script,
      '--child',
      'engine-host',
    ]);
    delete process.env[TASK];
    const line = stdout.split('\n').find((one) => one.startsWith(RESULT));
    if (status !== 0 || line === undefined) throw new Error(`the measured process: ${stderr}`);
    const measured = JSON.parse(line.slice(RESULT.length)) as Measured;
    log(`${task.stage}, ${tflops} TFLOP/s: ${measured.seconds.toFixed(3)} s`);
    return {
      ...measured,
      deviceSeconds: (counts.at(-1)?.deviceNs ?? 0) / 1e9 / 2,
      hostSeconds: (counts.at(-1)?.hostNs ?? 0) / 1e9 / 2,
    };
  });
  return made.sort((a, b) => a.seconds - b.seconds)[ROUNDS >> 1]!;
}

/** This bench, as it runs in the package with the stand-in. */
function ownBundle(gpu: StandIn): string {
  const folder = join(gpu.folder, 'build', 'bench');
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'run.mjs');
  const bundle = readFileSync(fileURLToPath(import.meta.url), 'utf8');
  writeFileSync(file, bundle.replaceAll(join(packageRoot, 'dist'), join(gpu.folder, 'dist')));
  return file;
}
