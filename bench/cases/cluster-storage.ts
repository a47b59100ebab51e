/**
 * Reading a corpus from an S3 server on the loopback beside reading it from the disk: part of the case `cluster`.
 *
 * The same Parquet file twice, all columns, every unit read to its end as a run reads it: text into slabs, the other columns
 * as they are carried. Contenders in turn, round by round. Both cores of a small machine serve and read at once, so CPU of the
 * reading process is told beside the wall. It is a process that does nothing else, with the flags of a run's worker: one that
 * has made the corpus before has a heap that is collected ten times as often.
 *
 * The server is whichever runs at AWS_ENDPOINT_URL_S3, over a folder of the same disk, with its keys in the environment; the
 * bucket is made there. Without one this part is left out.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SlabPool } from '../../src/batch/slab-pool.ts';
import { planCorpus } from '../../src/corpus/plan.ts';
import { stringColumn } from '../../src/corpus/schema.ts';
import { openSink } from '../../src/corpus/sink.ts';
import { openS3 } from '../../src/corpus/storage/s3.ts';
import { openUnit, prepareUnit } from '../../src/corpus/unit.ts';
import { CHILD_FLAGS } from '../../src/work/child.ts';
import type { Bench, BenchContext, BenchTable } from '../types.ts';
import { median } from './median.ts';

const ROUNDS = { full: 7, quick: 3 };
const DOCUMENTS = { full: 120_000, quick: 20_000 };
const BUCKET = `bench-${process.pid}`;
/** Of the reading process: what it reads, by name, as JSON. */
const INPUTS = 'GRISTMILL_BENCH_INPUTS';

export const bench: Bench = {
  name: 'cluster-storage',
  nodeFlags: CHILD_FLAGS,
  async run(context) {
    const inputs = process.env[INPUTS];
    const table = inputs ? readInTurn(JSON.parse(inputs), context) : storageTable(context);
    return [await table].flatMap((each) => each ?? []);
  },
};

/** The table; null, with a line in the log, where there is no server. */
export async function storageTable(context: BenchContext): Promise<BenchTable | null> {
  if (!process.env['AWS_ENDPOINT_URL_S3']) {
    context.log('no S3 server: AWS_ENDPOINT_URL_S3 names one on the loopback');
    return null;
  }
  const folder = mkdtempSync(join(tmpdir(), 'gristmill-bench-storage-'));
  try {
    const path = join(folder, 'corpus.parquet');
    await writeCorpus(path, context.quick ? DOCUMENTS.quick : DOCUMENTS.full);
    const { sdk, client } = await openS3();
    await client.send(new sdk.CreateBucketCommand({ Bucket: BUCKET }));
    const Body = readFileSync(path);
    await client.send(new sdk.PutObjectCommand({ Bucket: BUCKET, Key: 'corpus.parquet', Body }));
    const inputs = { 'local disk': path, 's3 on loopback': `s3://${BUCKET}/corpus.parquet` };
    const args = ['--child', 'cluster-storage', ...(context.quick ? ['--quick'] : [])];
    const reader = spawnSync(process.execPath, [...CHILD_FLAGS, process.argv[1]!, ...args], {
      ...{ stdio: ['ignore', 'pipe', 'inherit'], encoding: 'utf8' },
      env: { ...process.env, [INPUTS]: JSON.stringify(inputs) },
    });
    if (reader.status !== 0)
      throw new Error(`the reader failed (${reader.signal ?? reader.status})`);
    return JSON.parse(reader.stdout.slice(reader.stdout.indexOf('{'))) as BenchTable;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Reads the inputs to their ends, round by round. */
async function readInTurn(
  inputs: Readonly<Record<string, string>>,
  context: BenchContext,
): Promise<BenchTable> {
  const costs = new Map(Object.keys(inputs).map((name) => [name, [] as Cost[]]));
  for (let round = 0; round < (context.quick ? ROUNDS.quick : ROUNDS.full); round++) {
    for (const [name, input] of Object.entries(inputs)) {
      costs.get(name)!.push(await readAll(input));
      context.log(`round ${round + 1}: ${name}`);
    }
  }
  const path = inputs['local disk']!;
  const mb = statSync(path).size / 1e6;
  const local = median(costs.get('local disk')!.map(({ wall }) => wall));
  return {
    title: 'reading a corpus from a bucket beside the disk',
    columns: ['from', 'MB/s of file', 'MB/s of text', 'of local disk', 'CPU-s of the reader'],
    rows: [...costs].map(([name, all]) => {
      const wall = median(all.map((cost) => cost.wall));
      const text = median(all.map((cost) => cost.textBytes)) / 1e6;
      const cpu = median(all.map((cost) => cost.cpu));
      return [
        name,
        Math.round(mb / wall),
        Math.round(text / wall),
        Number((local / wall).toFixed(2)),
        Number(cpu.toFixed(2)),
      ];
    }),
    notes: [`${mb.toFixed(0)} MB of Parquet (zstd), medians; the server runs on the same cores`],
  };
}

interface Cost {
  readonly wall: number;
  readonly cpu: number;
  readonly textBytes: number;
}

async function readAll(input: string): Promise<Cost> {
  const plan = await planCorpus({ inputs: [input], failFast: true });
  const pool = new SlabPool({ slabBytes: 2 ** 25, nSlabs: 6 });
  const started = performance.now();
  const cpu = process.cpuUsage();
  let textBytes = 0;
  for (const [at, unit] of plan.units.entries()) {
    const next = plan.units[at + 1];
    if (next) await prepareUnit(plan, next);
    for await (const { batch, carry } of openUnit(plan, unit, pool)) {
      textBytes += batch.text.data.byteLength;
      await carry.select(null).plain();
      batch.release();
      carry.release();
    }
  }
  const { user, system } = process.cpuUsage(cpu);
  const wall = (performance.now() - started) / 1000;
  return { wall, cpu: (user + system) / 1e6, textBytes };
}

/** Made texts, of words that repeat as words do. */
async function writeCorpus(path: string, nDocuments: number): Promise<void> {
  const words = Array.from(
    { length: 5000 },
    (_, at) => `w${((at * 2654435761) % 2 ** 32).toString(36)}`,
  );
  let state = 1;
  const next = (bound: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) ** 2 * bound);
  };
  const sink = await openSink({
    format: 'parquet',
    path,
    columns: [stringColumn('text')],
    textColumn: 'text',
    extra: [{ name: 'id', type: 'string' }],
    rowGroupRows: 2000,
  });
  const encoder = new TextEncoder();
  for (let first = 0; first < nDocuments; first += 2000) {
    const texts = Array.from({ length: 2000 }, () =>
      encoder.encode(Array.from({ length: 350 }, () => words[next(words.length)]).join(' ')),
    );
    const ids = texts.map((_, row) => `document-${first + row}`);
    await sink.write({ text: texts, rows: null, carry: null, extra: { id: ids } });
  }
  await sink.close();
}
