/**
 * Case `parquet`: MB of text per CPU second (all threads) from Parquet files into usable texts, and back.
 *
 * Every measurement runs in a child process of its own. Files are written by DuckDB (10 240 rows per row group), so
 * that no reader reads its own writer's pages. All readers must find the same number of texts and bytes. What
 * the others deliver is what a Node program gets from them: JS strings (hyparquet also bytes, where it can).
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { asyncBufferFromFile, parquetMetadataAsync, parquetRead } from 'hyparquet';
import { ParquetWriter } from 'hyparquet-writer';
import { fileWriter } from 'hyparquet-writer/src/node.js';
import { SlabPool } from '../../src/batch/slab-pool.ts';
import { planCorpus } from '../../src/corpus/plan.ts';
import { stringColumn } from '../../src/corpus/schema.ts';
import { openSink } from '../../src/corpus/sink.ts';
import { openUnit } from '../../src/corpus/unit.ts';
import { contender } from '../contenders.ts';
import type { Bench, BenchContext, BenchTable } from '../types.ts';
import { makeTexts } from './execute-texts.ts';

const CODECS = ['zstd', 'snappy', 'gzip', 'uncompressed'] as const;
const READERS = ['gristmill', 'hyparquet', 'hyparquet bytes', 'duckdb'] as const;
const WRITERS = ['gristmill', 'hyparquet-writer snappy', 'duckdb'] as const;
const BYTES = { full: 200e6, quick: 40e6 };
const RUNS = { full: 5, quick: 3 };

type Task = {
  readonly kind: 'read' | 'write';
  readonly name: string;
  readonly path: string;
  readonly runs: number;
};

interface Measured {
  /** CPU seconds of each run. */
  readonly cpu: readonly number[];
  readonly texts: number;
  readonly bytes: number;
  readonly maxRssMb: number;
}

interface Counts {
  texts: number;
  bytes: number;
}

export const bench: Bench = {
  name: 'parquet',
  async run(context) {
    const task = process.env['GRISTMILL_BENCH_TASK'];
    if (task !== undefined) return measure(JSON.parse(task) as Task, context);
    const folder = mkdtempSync(join(tmpdir(), 'gristmill-bench-'));
    try {
      return await compare(folder, context);
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
};

async function compare(folder: string, context: BenchContext): Promise<BenchTable[]> {
  await contender('hyparquet-compressors', context.log);
  await generate(folder, context);
  const runs = context.quick ? RUNS.quick : RUNS.full;
  const rows: (string | number)[][] = [];
  let plain = 0;
  for (const name of READERS) {
    const figures: number[] = [];
    let rss = 0;
    for (const codec of CODECS) {
      const measured = child(
        { kind: 'read', name, path: join(folder, `${codec}.parquet`), runs },
        context,
      );
      figures.push(rate(measured));
      rss = Math.max(rss, measured?.maxRssMb ?? Number.NaN);
    }
    if (name === 'hyparquet') plain = figures[0]!;
    rows.push([name, ...figures, rss]);
  }
  const ratio = Number(rows[0]![1]) / plain;
  const written = WRITERS.map((name): (string | number)[] => {
    const path = join(folder, 'uncompressed.parquet');
    const measured = child({ kind: 'write', name, path, runs }, context);
    const output = `${path}.${name.replace(' ', '-')}`;
    const size = existsSync(output) ? statSync(output).size / 1e6 : Number.NaN;
    return [name, rate(measured), size, measured?.maxRssMb ?? Number.NaN];
  });
  const notes = [
    `${(context.quick ? BYTES.quick : BYTES.full) / 1e6} MB of text; median of ${runs} runs after one warm-up, each reader in a child process`,
    'hyparquet with the decompressors of hyparquet-compressors (zstd in JavaScript)',
  ];
  return [
    {
      title: 'Parquet: text column read, MB of text per CPU second',
      columns: ['reader', ...CODECS, 'max RSS, MB'],
      rows,
      notes: [...notes, `zstd, gristmill against hyparquet: ${ratio.toFixed(1)} ×`],
    },
    {
      title: 'Parquet: text column written, MB of text per CPU second',
      columns: ['writer', 'MB per CPU second', 'file, MB', 'max RSS, MB'],
      rows: written,
      notes: [
        ...notes.slice(0, 1),
        'gristmill and duckdb write zstd level 3; hyparquet-writer brings only a Snappy compressor',
        'reading the uncompressed input is counted for every writer',
      ],
    },
  ];
}

function rate(measured: Measured | null): number {
  if (!measured) return Number.NaN;
  const sorted = [...measured.cpu].sort((left, right) => left - right);
  return measured.bytes / 1e6 / sorted[sorted.length >> 1]!;
}

function child(task: Task, context: BenchContext): Measured | null {
  context.log(`${task.kind} ${task.name} ${task.path.split('/').at(-1)}`);
  const { status, stdout } = spawnSync(process.execPath, [process.argv[1]!, '--child', 'parquet'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
    env: { ...process.env, GRISTMILL_BENCH_TASK: JSON.stringify(task) },
  });
  const line = stdout.split('\n').find((l) => l.startsWith('\u0001table:'));
  if (status !== 0 || !line) return null;
  const table = JSON.parse(line.slice('\u0001table:'.length)) as BenchTable;
  return JSON.parse(table.notes[0]!) as Measured;
}

/** The texts in every codec. */
async function generate(folder: string, context: BenchContext): Promise<void> {
  context.log('generating');
  const total = context.quick ? BYTES.quick : BYTES.full;
  const source = join(folder, 'source.parquet');
  const sink = await openSink({
    format: 'parquet',
    path: source,
    columns: [stringColumn('text')],
    textColumn: 'text',
    zstdLevel: 1,
  });
  const texts = makeTexts(Math.min(total, 32e6), 7).map(({ text }) => Buffer.from(text));
  for (let bytes = 0, part = 0; bytes < total; part++) {
    const text = texts.map((t) => Buffer.concat([t, Buffer.from(` (${part})`)]));
    await sink.write({ text, rows: null, carry: null, extra: {} });
    bytes += text.reduce((sum, t) => sum + t.byteLength, 0);
  }
  await sink.close();
  const duck = await (await DuckDBInstance.create(':memory:', { threads: '1' })).connect();
  for (const codec of CODECS) {
    const options = `FORMAT parquet, COMPRESSION ${codec}, ROW_GROUP_SIZE 10240`;
    await duck.run(`COPY (FROM '${source}') TO '${join(folder, `${codec}.parquet`)}' (${options})`);
  }
  duck.closeSync();
}

async function measure(task: Task, context: BenchContext): Promise<BenchTable> {
  const cpu: number[] = [];
  let counts: Counts = { texts: 0, bytes: 0 };
  for (let run = 0; run <= task.runs; run++) {
    const before = process.cpuUsage();
    counts = task.kind === 'read' ? await read(task, context) : await write(task);
    const { user, system } = process.cpuUsage(before);
    if (run > 0) cpu.push((user + system) / 1e6);
  }
  const measured: Measured = { cpu, ...counts, maxRssMb: process.resourceUsage().maxRSS / 1024 };
  return { title: task.name, columns: [], rows: [], notes: [JSON.stringify(measured)] };
}

function read({ name, path }: Task, context: BenchContext): Promise<Counts> {
  if (name === 'gristmill') return readGristmill(path);
  if (name === 'duckdb') return readDuck(path);
  return readHyparquet(path, name === 'hyparquet bytes', context);
}

/** One pool for all runs, as in a run over many files. */
const pool = new SlabPool();

async function readGristmill(path: string): Promise<Counts> {
  const counts: Counts = { texts: 0, bytes: 0 };
  const plan = await planCorpus({ inputs: [path], idColumn: null });
  for (const unit of plan.units) {
    for await (const { batch, carry } of openUnit(plan, unit, pool)) {
      counts.texts += batch.nDocs;
      counts.bytes += batch.text.offsets[batch.nDocs]!;
      batch.release();
      carry.release();
    }
  }
  return counts;
}

async function readHyparquet(
  path: string,
  asBytes: boolean,
  context: BenchContext,
): Promise<Counts> {
  const counts: Counts = { texts: 0, bytes: 0 };
  const loaded = await contender('hyparquet-compressors', context.log);
  const file = await asyncBufferFromFile(path);
  const metadata = await parquetMetadataAsync(file);
  let rowStart = 0;
  for (const group of metadata.row_groups) {
    const rowEnd = rowStart + Number(group.num_rows);
    await parquetRead({
      file,
      metadata,
      columns: ['text'],
      rowStart,
      rowEnd,
      compressors: (loaded?.['compressors'] ?? {}) as NonNullable<
        Parameters<typeof parquetRead>[0]['compressors']
      >,
      ...(asBytes && { utf8: false, parsers: { stringFromBytes: (bytes: Uint8Array) => bytes } }),
      onChunk({ columnData }) {
        for (const value of columnData as (string | Uint8Array)[]) {
          counts.texts++;
          counts.bytes += asBytes
            ? (value as Uint8Array).byteLength
            : Buffer.byteLength(value as string);
        }
      },
    });
    rowStart = rowEnd;
  }
  return counts;
}

async function readDuck(path: string): Promise<Counts> {
  const counts: Counts = { texts: 0, bytes: 0 };
  const duck = await (await DuckDBInstance.create(':memory:', { threads: '1' })).connect();
  const result = await duck.stream(`SELECT text FROM '${path}'`);
  for (
    let chunk = await result.fetchChunk();
    chunk && chunk.rowCount > 0;
    chunk = await result.fetchChunk()
  ) {
    for (const value of chunk.getColumnValues(0)) {
      counts.texts++;
      counts.bytes += Buffer.byteLength(value as string);
    }
  }
  duck.closeSync();
  return counts;
}

async function write({ name, path }: Task): Promise<Counts> {
  const output = `${path}.${name.replace(' ', '-')}`;
  if (name === 'duckdb') {
    const duck = await (await DuckDBInstance.create(':memory:', { threads: '1' })).connect();
    const options = 'FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 10240';
    await duck.run(`COPY (FROM '${path}') TO '${output}' (${options})`);
    const sums = await duck.runAndReadAll(
      `SELECT count(*)::DOUBLE, sum(strlen(text))::DOUBLE FROM '${path}'`,
    );
    const [texts, bytes] = sums.getRows()[0] as [number, number];
    duck.closeSync();
    return { texts, bytes };
  }
  const plan = await planCorpus({ inputs: [path], idColumn: null });
  const counts: Counts = { texts: 0, bytes: 0 };
  const sink =
    name === 'gristmill'
      ? await openSink({
          format: 'parquet',
          path: output,
          columns: plan.columns,
          textColumn: 'text',
        })
      : null;
  const writer = sink
    ? null
    : new ParquetWriter({
        writer: fileWriter(output),
        schema: [{ name: 'root', num_children: 1 }, ...stringColumn('text').elements],
      });
  let strings: string[] = [];
  for (const unit of plan.units) {
    for await (const { batch, carry } of openUnit(plan, unit, pool)) {
      counts.texts += batch.nDocs;
      counts.bytes += batch.text.offsets[batch.nDocs]!;
      if (sink) await sink.write({ text: batch.text, rows: null, carry, extra: {} });
      else {
        const { data, offsets } = batch.text;
        const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
        for (let row = 0; row < batch.nDocs; row++)
          strings.push(bytes.toString('utf8', offsets[row], offsets[row + 1]));
        if (strings.length >= 10_000) {
          await writer!.write({
            columnData: [{ name: 'text', data: strings }],
            rowGroupSize: strings.length,
          });
          strings = [];
        }
      }
      batch.release();
      carry.release();
    }
  }
  if (sink) await sink.close();
  else {
    if (strings.length > 0)
      await writer!.write({
        columnData: [{ name: 'text', data: strings }],
        rowGroupSize: strings.length,
      });
    await writer!.finish();
  }
  return counts;
}
