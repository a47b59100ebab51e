/**
 * Case `shim`: what the Python package costs, as engines use it (Ray Data, Daft, Spark), beside a default refine of the same file.
 *
 *     refined in Python − copied in Python = refining there, Arrow IPC in and out      ≤ 1.05 × the command on the file
 *
 * The copy is the same program without the refiner: start of Python, import of pyarrow, Parquet in and out. What is left is the
 * command's own process, what it reads and writes of Arrow IPC, and the Python side of both. The command on the file reads
 * and writes Parquet instead, which is part of what it is for. Contenders in turn, all processes counted.
 *
 * PYTHON is an interpreter with pyarrow. Text: web-raw as in case `refine`, with an id, an address and a number beside each page.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringColumn } from '../../src/corpus/schema.ts';
import { openSink } from '../../src/corpus/sink.ts';
import { packageRoot } from '../../src/paths.ts';
import type { Bench, BenchContext, BenchTable } from '../types.ts';
import { median } from './median.ts';
import { costOf, type ProcessCost } from './process-cost.ts';
import { pages } from './web-pages.ts';

const ROUNDS = { full: 5, quick: 2 };
const BYTES = { full: 20e6, quick: 5e6 };
const MAIN = join(packageRoot, 'dist/cli/main.js');
const ONE_THREAD = ['--threads', '1', '--workers', '1', '--json'];

export const bench: Bench = { name: 'shim', run: shimCost };

/** See the file's header. */
export async function shimCost(context: BenchContext): Promise<BenchTable> {
  const size = context.quick ? 'quick' : 'full';
  const folder = mkdtempSync(join(tmpdir(), 'gristmill-bench-shim-'));
  const python = process.env['PYTHON'] ?? 'python3';
  const script = join(process.env['GRISTMILL_BENCH_FOLDER']!, 'python', 'shim.py');
  const env = {
    ...process.env,
    PYTHONPATH: join(packageRoot, 'python/src'),
    GRISTMILL_COMMAND: `'${process.execPath}' '${MAIN}'`,
  };
  try {
    const texts = await pages(BYTES[size], context);
    const file = join(folder, 'pages.parquet');
    await writePages(file, texts);
    const inPython = (...more: readonly string[]) =>
      costOf([python, script, file, join(folder, 'out.parquet'), ...more], { env });
    let nRuns = 0;
    const contenders: Readonly<Record<string, () => Promise<ProcessCost>>> = {
      'gristmill refine': () => {
        const out = join(folder, `out-${nRuns++}`);
        return costOf([process.execPath, MAIN, 'refine', file, '--out', out, ...ONE_THREAD]);
      },
      'refined in Python': () => inPython('--refine'),
      'copied in Python': () => inPython(),
    };
    const cpu = new Map<string, number[]>();
    for (let round = 0; round < ROUNDS[size]; round++) {
      for (const [name, run] of Object.entries(contenders)) {
        const { cpuSeconds, wallSeconds } = await run();
        cpu.set(name, [...(cpu.get(name) ?? []), cpuSeconds]);
        context.log(
          `round ${round + 1}, ${name}: ${cpuSeconds.toFixed(2)} CPU s, ${wallSeconds.toFixed(2)} s`,
        );
      }
    }
    const of = (name: string): number => median(cpu.get(name)!);
    const whole = of('gristmill refine');
    const within = of('refined in Python') - of('copied in Python');
    const megabytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0) / 1e6;
    return {
      title: 'The Python package beside the command',
      columns: ['contender', 'CPU s', 'against the command'],
      rows: [
        ...[...cpu.keys()].map((name) => [name, of(name), of(name) / whole]),
        ['refining in Python, without the copy', within, within / whole],
      ],
      notes: [
        `${texts.length.toLocaleString('en')} pages, ${megabytes.toFixed(1)} MB of text in Parquet with three more columns, batches of 2,048 rows; one thread; CPU-seconds of all processes, starts included; median of ${ROUNDS[size]} rounds in turn. Aim: at most 1.05.`,
      ],
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function writePages(path: string, texts: readonly string[]): Promise<void> {
  const sink = await openSink({
    format: 'parquet',
    path,
    columns: [stringColumn('text')],
    textColumn: 'text',
    extra: [
      { name: 'id', type: 'string' },
      { name: 'url', type: 'string' },
      { name: 'n', type: 'double' },
    ],
  });
  await sink.write({
    text: texts.map((text) => Buffer.from(text)),
    rows: null,
    carry: null,
    extra: {
      id: texts.map((_, row) => `page-${row}`),
      url: texts.map((_, row) => `https://example.org/pages/${row}?of=${texts.length}`),
      n: texts.map((_, row) => row),
    },
  });
  await sink.close();
}
