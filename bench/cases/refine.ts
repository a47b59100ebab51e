/**
 * Case `refine`: what a default refine costs, as an operator starts it: the command on a file, all processes counted.
 *
 * Contenders in turn, round by round, so that what else the machine does falls on all: this package on one thread and on
 * two, the package of an earlier commit (GRISTMILL_BASELINE: a folder where that commit is built), and datatrove's chain of
 * C4, Gopher and FineWeb filters on one thread (PYTHON with `pip install datatrove[processing]`). Their verdicts differ;
 * what is compared is the cost of filtering a megabyte. Then what cores are worth to this package on a corpus beside which
 * its start is small, and single figures: tiny documents, a long page, the event loop of an embedding program, the start of
 * the command.
 *
 * Text: $GRISTMILL_DATA/web-raw (default ../shared/data beside the package); without it the example corpus, repeated.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { stringColumn } from '../../src/corpus/schema.ts';
import { openSink } from '../../src/corpus/sink.ts';
import { packageRoot } from '../../src/paths.ts';
import type { Bench, BenchContext, BenchTable } from '../types.ts';
import { median } from './median.ts';
import { costOf, type ProcessCost } from './process-cost.ts';
import { pages } from './web-pages.ts';

const ROUNDS = { full: 5, quick: 2 };
const BYTES = { full: 20e6, quick: 5e6 };
const LONG_MB = { full: 100, quick: 10 };
/** Of the corpus on which cores are counted. */
const CORES_BYTES = 150e6;
const GROUP_ROWS = 2000;
const MAIN = 'dist/cli/main.js';

export const bench: Bench = {
  name: 'refine',
  async run(context: BenchContext): Promise<BenchTable[]> {
    const folder = mkdtempSync(join(tmpdir(), 'gristmill-bench-refine-'));
    try {
      return [
        await contenders(folder, context),
        await cores(folder, context),
        await singles(folder, context),
      ];
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

function writeRows(path: string, texts: readonly string[]): string {
  writeFileSync(path, texts.map((text) => `${JSON.stringify({ text })}\n`).join(''));
  return path;
}

let runs = 0;
/** A default refine of a file. */
function refine(
  folder: string,
  file: string,
  {
    root = packageRoot,
    threads = 1,
    boundTo = null,
  }: {
    readonly root?: string;
    readonly threads?: number;
    /** Core to which the whole process tree is bound. */
    readonly boundTo?: number | null;
  } = {},
): Promise<ProcessCost> {
  const out = join(folder, `out-${runs++}`);
  const size = ['--threads', String(threads), '--workers', String(threads)];
  return costOf([
    ...(boundTo === null ? [] : ['taskset', '-c', String(boundTo)]),
    process.execPath,
    join(root, MAIN),
    'refine',
    file,
    '--out',
    out,
    ...size,
    '--json',
  ]);
}

async function contenders(folder: string, context: BenchContext): Promise<BenchTable> {
  const texts = await pages(BYTES[context.quick ? 'quick' : 'full'], context);
  const megabytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0) / 1e6;
  const file = writeRows(join(folder, 'pages.jsonl'), texts);
  const before = process.env['GRISTMILL_BASELINE'];
  const script = join(process.env['GRISTMILL_BENCH_FOLDER']!, 'python', 'datatrove_filters.py');
  const python = process.env['PYTHON'] ?? 'python3';
  const all = new Map<string, () => Promise<ProcessCost>>([
    ['gristmill, 1 thread', () => refine(folder, file)],
    ['gristmill, 2 threads', () => refine(folder, file, { threads: 2 })],
    ...(before === undefined
      ? []
      : ([['gristmill before', () => refine(folder, file, { root: before })]] as const)),
    [
      'datatrove, C4 + Gopher + FineWeb',
      () => costOf([python, script, file, join(folder, `trove-${runs++}`)]),
    ],
  ]);
  const rounds = ROUNDS[context.quick ? 'quick' : 'full'];
  const notes = [
    `${texts.length.toLocaleString('en')} pages, ${megabytes.toFixed(1)} MB of text in JSON lines; CPU-seconds of the whole process tree, start included; median of ${rounds} rounds in turn.`,
  ];
  const costs = await inTurn(all, rounds, context, (name, error) => {
    notes.push(`${name}: not measured (${lastLine((error as Error).message)}).`);
  });
  if (before === undefined) notes.push('No earlier commit: set GRISTMILL_BASELINE.');
  const first = rowOf(costs.get('gristmill, 1 thread')!).cpu;
  return {
    title: 'A default refine: cost of a megabyte',
    columns: [
      'contender',
      'CPU s',
      'MB per CPU-second',
      'CPU against 1 thread',
      'wall s',
      'peak MB',
      'main thread of the worker',
    ],
    rows: [...costs].map(([name, own]) => {
      const { cpu, wall, peakMb, mainThread } = rowOf(own);
      return [name, cpu, megabytes / cpu, cpu / first, wall, peakMb, mainThread];
    }),
    notes,
  };
}

/**
 * Measures contenders round by round, each in its turn.
 *
 * @param onFailure told of one that fails, which is then left out; without it the failure ends the case
 */
async function inTurn(
  contenders: ReadonlyMap<string, () => Promise<ProcessCost>>,
  nRounds: number,
  context: BenchContext,
  onFailure?: (name: string, error: unknown) => void,
): Promise<Map<string, ProcessCost[]>> {
  const costs = new Map<string, ProcessCost[]>();
  const left = new Map(contenders);
  for (let round = 0; round < nRounds; round++) {
    for (const [name, run] of left) {
      try {
        const cost = await run();
        costs.set(name, [...(costs.get(name) ?? []), cost]);
        context.log(
          `round ${round + 1}, ${name}: ${cost.cpuSeconds.toFixed(2)} CPU s, ${cost.wallSeconds.toFixed(2)} s`,
        );
      } catch (error) {
        if (!onFailure) throw error;
        left.delete(name);
        onFailure(name, error);
      }
    }
  }
  return costs;
}

/** Medians of a contender's rounds, as its row has them. */
function rowOf(own: readonly ProcessCost[]) {
  return {
    cpu: medianOf(own, ({ cpuSeconds }) => cpuSeconds),
    wall: medianOf(own, ({ wallSeconds }) => wallSeconds),
    peakMb: medianOf(own, ({ peakBytes }) => peakBytes) / 2 ** 20,
    mainThread: `${(100 * medianOf(own, ({ mainShare }) => mainShare)).toFixed(1)} %`,
  };
}

/**
 * What cores are worth. `--threads 1` already has reading, executing and writing beside its one thread of scoring, so it is
 * also run bound to one core: that is what another core is added to.
 */
async function cores(folder: string, context: BenchContext): Promise<BenchTable> {
  const size = context.quick ? 'quick' : 'full';
  const texts = await pages(CORES_BYTES, context);
  const megabytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0) / 1e6;
  const file = await writeParquet(join(folder, 'cores.parquet'), texts);
  const nCores = availableParallelism();
  const all: readonly (readonly [string, () => Promise<ProcessCost>])[] = [
    ['1 thread, bound to one core', () => refine(folder, file, { boundTo: 0 })],
    ['1 thread', () => refine(folder, file)],
    ['2 threads', () => refine(folder, file, { threads: 2 })],
    ...(nCores > 2
      ? ([[`${nCores} threads`, () => refine(folder, file, { threads: nCores })]] as const)
      : []),
  ];
  const costs = await inTurn(new Map(all), ROUNDS[size], context);
  const onOneCore = rowOf(costs.get(all[0]![0])!).wall;
  return {
    title: 'A default refine: cores',
    columns: [
      'run',
      'CPU s',
      'MB per CPU-second',
      'wall s',
      'against one core',
      'peak MB',
      'main thread of the worker',
    ],
    rows: [...costs].map(([name, own]) => {
      const { cpu, wall, peakMb, mainThread } = rowOf(own);
      return [name, cpu, megabytes / cpu, wall, onOneCore / wall, peakMb, mainThread];
    }),
    notes: [
      `${megabytes.toFixed(0)} MB of text in Parquet; median of ${ROUNDS[size]} rounds in turn; a machine of ${nCores} cores.`,
    ],
  };
}

/** A page a row, in row groups as crawls are published. */
async function writeParquet(path: string, texts: readonly string[]): Promise<string> {
  const sink = await openSink({
    format: 'parquet',
    path,
    columns: [stringColumn('text')],
    textColumn: 'text',
    rowGroupRows: GROUP_ROWS,
  });
  const encoder = new TextEncoder();
  for (let first = 0; first < texts.length; first += GROUP_ROWS) {
    const group = texts.slice(first, first + GROUP_ROWS).map((text) => encoder.encode(text));
    await sink.write({ text: group, rows: null, carry: null, extra: {} });
  }
  await sink.close();
  return path;
}

async function singles(folder: string, context: BenchContext): Promise<BenchTable> {
  const rounds = ROUNDS[context.quick ? 'quick' : 'full'];
  const rows: (string | number)[][] = [];
  const times = async (run: () => Promise<ProcessCost>): Promise<ProcessCost[]> => {
    const found: ProcessCost[] = [];
    for (let round = 0; round < rounds; round++) found.push(await run());
    return found;
  };
  const cpuOf = (own: readonly ProcessCost[]): number =>
    medianOf(own, ({ cpuSeconds }) => cpuSeconds);

  context.log('start of the command');
  const node = cpuOf(await times(() => costOf([process.execPath, '-e', ''])));
  const version = cpuOf(
    await times(() => costOf([process.execPath, join(packageRoot, MAIN), '--version'])),
  );
  rows.push(['--version, CPU s', version, `node itself ${node.toFixed(2)}`]);
  const one = writeRows(join(folder, 'one.jsonl'), ['A single row of text, short and clean.']);
  const oneRow = cpuOf(await times(() => refine(folder, one)));
  rows.push(['refine of one row, CPU s', oneRow, '']);

  context.log('tiny documents');
  const N_TINY = 10_000;
  const tiny = writeRows(
    join(folder, 'tiny.jsonl'),
    Array.from({ length: N_TINY }, (_, row) => `Twenty bytes ${String(row).padStart(7, '0')}`),
  );
  const perTiny = (cpuOf(await times(() => refine(folder, tiny))) - oneRow) / N_TINY;
  rows.push(['a document of 20 bytes, µs of CPU', 1e6 * perTiny, `${N_TINY} of them`]);

  context.log('a long page');
  const longMb = LONG_MB[context.quick ? 'quick' : 'full'];
  const text = (await pages(1e6, context)).join('\n');
  const short = Buffer.from(text).subarray(0, 1e6).toString('utf8');
  const shortFile = writeRows(join(folder, 'short.jsonl'), Array(10).fill(short));
  const longFile = writeRows(join(folder, 'long.jsonl'), [
    Array.from({ length: longMb }, () => short).join('\n'),
  ]);
  const perShort = (cpuOf(await times(() => refine(folder, shortFile))) - oneRow) / 10;
  try {
    const long = await refine(folder, longFile);
    const perLong = (long.cpuSeconds - oneRow) / longMb;
    rows.push([
      `a page of ${longMb} MB, CPU s a MB`,
      perLong,
      `${(perLong / perShort).toFixed(2)} × a page of 1 MB; peak ${Math.round(long.peakBytes / 2 ** 20)} MB`,
    ]);
  } catch (error) {
    rows.push([`a page of ${longMb} MB`, Number.NaN, lastLine((error as Error).message)]);
  }

  context.log('event loop of an embedding program');
  const pagesFile = writeRows(
    join(folder, 'embedded.jsonl'),
    await pages(BYTES[context.quick ? 'quick' : 'full'] / 4, context),
  );
  const block = await costOf([process.execPath, '--input-type=module', '-e', EMBEDDED], {
    env: {
      ...process.env,
      GRISTMILL_URL: pathToFileURL(join(packageRoot, 'dist', 'index.js')).href,
      PAGES: pagesFile,
    },
  });
  rows.push([
    'longest block of the event loop, ms',
    Number(block.stdout),
    'openRefiner().refine()',
  ]);
  return {
    title: 'A default refine: starts, extremes, embedding',
    columns: ['what', 'figure', ''],
    rows,
    notes: [`Medians of ${rounds} runs; the long page once.`],
  };
}

/** What an embedding program does: it refines many pages at once while its event loop is watched. */
const EMBEDDED = `
import { readFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
const { openRefiner } = await import(process.env.GRISTMILL_URL);
const pages = readFileSync(process.env.PAGES, 'utf8').split('\\n').filter(Boolean).map((line) => JSON.parse(line).text);
const refiner = await openRefiner();
await refiner.refine(pages.slice(0, 3));
const delay = monitorEventLoopDelay({ resolution: 1 });
delay.enable();
await refiner.refine(pages);
delay.disable();
await refiner.dispose();
process.stdout.write(String(delay.max / 1e6));
`;

function medianOf(own: readonly ProcessCost[], of: (cost: ProcessCost) => number): number {
  return median(own.map(of));
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? '';
}
