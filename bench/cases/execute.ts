/**
 * Case `execute`: MB of text per second through the program executors.
 *
 * The same documents and programs go through every contender and every contender's outputs must have the same
 * hash. Each document has a program that edits it (ProX reports 3.7 calls per program on average), so nothing is
 * won by skipping. Timed is the whole job of an executor: read the text from UTF-8 bytes, run the
 * program, have the edited text as UTF-8 bytes again; reading files and JSON is not timed for anybody.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildBatch, bytesAt, type DocumentBatch } from '../../src/batch/document-batch.ts';
import { SlabPool } from '../../src/batch/slab-pool.ts';
import { type BatchExecution, ExecutionPool } from '../../src/program/pool.ts';
import type { Bench, BenchContext, BenchTable } from '../types.ts';
import { executeStrings } from './execute-strings.ts';
import { makeTexts, type ProgrammedText } from './execute-texts.ts';
import { median } from './median.ts';

const BATCH_BYTES = 4 * 2 ** 20;
const SIZES = { full: 128 * 2 ** 20, quick: 32 * 2 ** 20 };
const RUNS = { full: 9, quick: 3 };
const PYTHON_BYTES = 16 * 2 ** 20;

/** Seconds of every run, and CPU seconds over all threads. */
interface Timing {
  readonly seconds: readonly number[];
  readonly cpuSeconds: readonly number[];
  readonly megabytes: number;
  readonly hash: string;
}

interface LoadedBatch {
  readonly batch: DocumentBatch;
  readonly programs: readonly string[];
}

export const bench: Bench = {
  name: 'execute',
  async run(context: BenchContext): Promise<BenchTable> {
    const size = context.quick ? SIZES.quick : SIZES.full;
    const nRuns = context.quick ? RUNS.quick : RUNS.full;
    const texts = makeTexts(size, 1);
    const slabs = new SlabPool({ slabBytes: 64 * 2 ** 20, nSlabs: Math.ceil(size / 2 ** 26) + 4 });
    const batches = await loadBatches(slabs, texts);
    const timings = new Map<string, Timing>();
    for (const [name, nWorkers] of [
      ['gristmill, in-thread', 0],
      ['gristmill, 1 worker', 1],
      ['gristmill, 2 workers', 2],
    ] as const) {
      context.log(name);
      timings.set(name, await timePool(slabs, batches, nWorkers, nRuns));
    }
    context.log('JS strings');
    timings.set('JS strings, 1 thread', timeStrings(batches, nRuns));
    context.log('python3');
    const python = timePython(texts, context.quick ? 1 : 3);
    return table(timings, python, texts.length, size);
  },
};

async function loadBatches(
  slabs: SlabPool,
  texts: readonly ProgrammedText[],
): Promise<LoadedBatch[]> {
  const batches: LoadedBatch[] = [];
  let rows: ProgrammedText[] = [];
  let nBytes = 0;
  for (const [index, row] of texts.entries()) {
    rows.push(row);
    nBytes += row.text.length;
    if (nBytes < BATCH_BYTES && index + 1 < texts.length) continue;
    const batch = await buildBatch(slabs, { text: rows.map(({ text }) => Buffer.from(text)) });
    batches.push({ batch, programs: rows.map(({ program }) => program) });
    rows = [];
    nBytes = 0;
  }
  return batches;
}

async function timePool(
  slabs: SlabPool,
  batches: readonly LoadedBatch[],
  nWorkers: number,
  nRuns: number,
): Promise<Timing> {
  await using pool = new ExecutionPool({ slabs, nWorkers, bytesHere: 0 });
  const digests: Buffer[] = [];
  const runAll = async (visit?: (index: number, execution: BatchExecution) => void) => {
    // Two batches in flight keep the workers fed while results are taken over.
    const inFlight: Promise<void>[] = [];
    for (const [index, { batch, programs }] of batches.entries()) {
      if (inFlight.length >= 2) await inFlight.shift();
      inFlight.push(
        pool.execute(batch, programs).then((execution) => {
          visit?.(index, execution);
          execution.release();
        }),
      );
    }
    await Promise.all(inFlight);
  };
  await runAll((index, execution) => {
    const hash = createHash('sha256');
    const { text } = batches[index]!.batch;
    for (let doc = 0; doc < execution.nDocs; doc++) {
      hash.update(execution.textAt(doc) ?? bytesAt(text, doc)).update('\0');
    }
    digests[index] = hash.digest();
  });
  const seconds: number[] = [];
  const cpuSeconds: number[] = [];
  for (let run = 0; run < nRuns; run++) {
    const cpu = process.cpuUsage();
    const started = performance.now();
    await runAll();
    seconds.push((performance.now() - started) / 1000);
    cpuSeconds.push(cpuSince(cpu));
  }
  const hash = createHash('sha256').update(Buffer.concat(digests)).digest('hex');
  return { seconds, cpuSeconds, megabytes: megabytesOf(batches), hash };
}

function timeStrings(batches: readonly LoadedBatch[], nRuns: number): Timing {
  const seconds: number[] = [];
  const cpuSeconds: number[] = [];
  const output = Buffer.alloc(BATCH_BYTES * 2);
  const digests: Buffer[] = [];
  for (let run = -1; run < nRuns; run++) {
    const cpu = process.cpuUsage();
    const started = performance.now();
    for (const { batch, programs } of batches) {
      const { data, offsets } = batch.text;
      const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
      const hash = createHash('sha256');
      let at = 0;
      for (let doc = 0; doc < batch.nDocs; doc++) {
        const text = bytes.toString('utf8', offsets[doc], offsets[doc + 1]);
        const end = at + output.write(executeStrings(text, programs[doc]!), at, 'utf8');
        if (run < 0) hash.update(output.subarray(at, end)).update('\0');
        at = end;
      }
      if (run < 0) digests.push(hash.digest());
    }
    if (run < 0) continue;
    seconds.push((performance.now() - started) / 1000);
    cpuSeconds.push(cpuSince(cpu));
  }
  const hash = createHash('sha256').update(Buffer.concat(digests)).digest('hex');
  return { seconds, cpuSeconds, megabytes: megabytesOf(batches), hash };
}

/** Runs python3 over the first documents; null where there is no python3. */
function timePython(texts: readonly ProgrammedText[], nRuns: number): Timing | null {
  const folder = mkdtempSync(join(tmpdir(), 'gristmill-bench-'));
  try {
    const file = join(folder, 'cases.jsonl');
    let nBytes = 0;
    const part = texts.filter(({ text }) => {
      nBytes += text.length;
      return nBytes <= PYTHON_BYTES;
    });
    writeFileSync(file, part.map((one) => JSON.stringify(one)).join('\n'));
    const script = join(process.env['GRISTMILL_BENCH_FOLDER']!, 'python', 'execute_oracle.py');
    const child = spawnSync('python3', [script, file, String(nRuns)], { encoding: 'utf8' });
    if (child.error) return null;
    if (child.status !== 0) throw new Error(`execute_oracle.py: ${child.stderr}`);
    const { seconds, cpuSeconds, bytes, sha256 } = JSON.parse(child.stdout) as {
      seconds: number[];
      cpuSeconds: number[];
      bytes: number;
      sha256: string;
    };
    const expected = createHash('sha256');
    for (const { text, program } of part)
      expected.update(executeStrings(text, program)).update('\0');
    if (expected.digest('hex') !== sha256) throw new Error('python3 gave other texts');
    return { seconds, cpuSeconds, megabytes: bytes / 1e6, hash: '' };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function table(
  timings: ReadonlyMap<string, Timing>,
  python: Timing | null,
  nDocs: number,
  size: number,
): BenchTable {
  const hashes = new Set([...timings.values()].map(({ hash }) => hash));
  if (hashes.size !== 1) throw new Error('the contenders gave different texts');
  const all = [...timings, ...(python ? [['python3, 1 process', python] as const] : [])];
  const rate = ({ megabytes, seconds }: Timing): number => megabytes / median(seconds);
  const strings = rate(timings.get('JS strings, 1 thread')!);
  const rows = all.map(([name, timing]) => [
    name,
    rate(timing),
    `${figure(timing.megabytes / Math.max(...timing.seconds))}..${figure(timing.megabytes / Math.min(...timing.seconds))}`,
    timing.megabytes / median(timing.cpuSeconds),
    `${(rate(timing) / strings).toFixed(2)} ×`,
  ]);
  const two = timings.get('gristmill, 2 workers')!;
  const one = timings.get('gristmill, 1 worker')!;
  return {
    title: 'execute: programs run over texts',
    columns: ['contender', 'MB/s', 'worst..best', 'MB per CPU-second', 'against JS strings'],
    rows,
    notes: [
      `2 workers / 1 worker: ${(rate(two) / rate(one)).toFixed(2)} ×`,
      `${nDocs} documents, ${(size / 1e6).toFixed(0)} MB, every one edited; outputs of all contenders are equal`,
      `${cpus().length} cores (${cpus()[0]?.model ?? '?'}), load ${loadavg()[0]!.toFixed(1)}, node ${process.version}`,
      python ? 'python3 ran on the first 16 MiB' : 'python3 was not found',
    ],
  };
}

function megabytesOf(batches: readonly LoadedBatch[]): number {
  return batches.reduce((sum, { batch }) => sum + batch.text.offsets[batch.nDocs]!, 0) / 1e6;
}

function cpuSince(start: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1e6;
}

function figure(value: number): string {
  return value.toFixed(0);
}
