/**
 * The reader of JSON lines on made and damaged files, held against a naive one: every line is a row with its exact
 * values or a rejected row with its bytes, whatever the units, and nothing else ever happens.
 *
 * A short seeded run here; `npm run fuzz` runs half a million (GRISTMILL_FUZZ_RUNS, GRISTMILL_FUZZ_SEED; a run that was
 * cut off goes on behind GRISTMILL_FUZZ_SKIP files).
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { bytesAt } from '../../src/batch/document-batch.ts';
import { SlabPool } from '../../src/batch/slab-pool.ts';
import { inferColumns } from '../../src/corpus/jsonl-infer.ts';
import { openJsonlUnit } from '../../src/corpus/jsonl-read.ts';
import { decimalText, unscaled } from '../../src/corpus/plain.ts';
import { checkColumns } from '../../src/corpus/scan.ts';
import type { CorpusColumn, CorpusPlan, PlainValue, RejectMode } from '../../src/corpus/types.ts';
import { isGristmillError } from '../../src/errors.ts';
import { type NaiveRow, naiveRows, naiveValue, sameNumber } from './naive-json-lines.ts';
import { randomFile, randomOf } from './random-json-lines.ts';

const RUNS = Number(process.env['GRISTMILL_FUZZ_RUNS'] ?? 1500);
const SEED = Number(process.env['GRISTMILL_FUZZ_SEED'] ?? 1);
const SKIP = Number(process.env['GRISTMILL_FUZZ_SKIP'] ?? 0);
/** A file of a kilobyte that takes more of the processor hangs; the clock would also count a machine that waits. */
const MAX_CPU_MS = 5_000;
const MAX_RSS = 2 ** 30;

const folder = mkdtempSync(join(tmpdir(), 'gristmill-fuzz-jsonl-'));
const input = join(folder, 'in.jsonl');
const slabs = new SlabPool({ slabBytes: 1 << 20 });

afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface ReadRow {
  readonly text?: string | null;
  readonly values?: readonly PlainValue[];
  readonly reason?: string;
  readonly raw?: Buffer;
}

async function read(plan: CorpusPlan, reject: RejectMode, batchRows: number) {
  const rows = new Map<number, ReadRow>();
  let columns: readonly CorpusColumn[] = [];
  const take = (row: bigint, what: ReadRow): void => {
    if (rows.has(Number(row))) throw new Error(`row ${row} twice`);
    rows.set(Number(row), what);
  };
  for (const unit of plan.units) {
    for await (const input of openJsonlUnit(plan, unit, slabs, {
      reject,
      batchRows,
      batchBytes: 1 << 20,
    })) {
      const { batch, rowNumbers, rowStatus, rejected, carry } = input;
      columns = carry.columns;
      const values = reject === 'values' ? await carry.select(null).plain() : [];
      for (let doc = 0; doc < batch.nDocs; doc++) {
        const text = rowStatus[doc] === 1 ? null : Buffer.from(bytesAt(batch.text, doc)).toString();
        take(rowNumbers[doc]!, { text, values: values.map((column) => column[doc]) });
      }
      for (const { row, reason, raw } of rejected) take(row, { reason, raw: Buffer.from(raw) });
      batch.release();
      carry.release();
    }
  }
  return { rows, columns };
}

const WHOLE = (text: unknown): boolean => typeof text !== 'string' || !/\p{Surrogate}/u.test(text);

/** Whether a line is to be a row of typed columns that were inferred from all lines. */
function fitsColumns(row: NaiveRow, columns: readonly CorpusColumn[]): boolean {
  const byName = new Map(columns.map((column) => [column.name, column]));
  return row.fields!.every(([name, raw], at) => {
    const last = row.fields!.findLast(([other]) => other === name)!;
    if (last[1] !== raw) return false;
    if (name === 'text') return true;
    const column = byName.get(name);
    if (!column) return raw === 'null' || (at < row.fields!.length && last !== row.fields![at]);
    return column.type !== 'string' || WHOLE(JSON.parse(raw));
  });
}

function isExact(column: CorpusColumn, value: PlainValue, raw: string | undefined): boolean {
  if (raw === undefined) return value === null;
  if (column.type === 'json') return value === raw;
  if (raw === 'null') return value === null;
  if (column.type === 'string') return value === JSON.parse(raw);
  if (column.type === 'boolean') return value === (raw === 'true');
  if (typeof value === 'number') {
    return (
      Object.is(value, Number(raw)) &&
      Number.isFinite(value) &&
      (sameNumber(exactText(value), raw) ||
        sameNumber(`${Object.is(value, -0) ? '-0' : value}`, raw))
    );
  }
  if (column.type === 'uint64')
    return sameNumber(BigInt.asUintN(64, value as bigint).toString(), raw);
  if (typeof value === 'bigint') return sameNumber(value.toString(), raw);
  return sameNumber(decimalText(unscaled(value), column.elements[0]!.scale ?? 0), raw);
}

/** All digits of a double. */
function exactText(value: number): string {
  let power = 0;
  let scaled = Math.abs(value);
  while (!Number.isInteger(scaled)) {
    scaled *= 2;
    power++;
  }
  const sign = value < 0 || Object.is(value, -0) ? '-' : '';
  return `${sign}${BigInt(scaled) * 5n ** BigInt(power)}e-${power}`;
}

/** Whether a plan may be refused for what the lines are. */
function mayRefuse(rows: readonly NaiveRow[], error: unknown): boolean {
  const objects = rows.filter(({ fields }) => fields !== null);
  const texts = objects.map((row) => naiveValue(row, 'text'));
  const first = rows[0]?.bytes ?? Buffer.alloc(0);
  if (isGristmillError(error, 'CORPUS_COLUMN_MISSING'))
    return !objects.some(({ fields }) => fields!.some(([name]) => name === 'text'));
  if (isGristmillError(error, 'CORPUS_COLUMN_TYPE')) {
    return (
      !objects.some(({ fields }) =>
        fields!.some(([name, raw]) => name === 'text' && raw.startsWith('"')),
      ) &&
      objects.length > 0 &&
      texts.length > 0
    );
  }
  if (!isGristmillError(error, 'CORPUS_FILE_INVALID')) return false;
  return (
    objects.length === 0 ||
    (objects.length === 1 && first.toString().trim().startsWith('[')) ||
    first[0] === 0 ||
    first[1] === 0 ||
    first[0]! >= 0xfe ||
    first[0] === 0x1f ||
    first[0] === 0x42
  );
}

/** A plan without the looks at the disk that `planCorpus` takes: it is the readers that are tried here. */
async function planOf(unitBytes: number, bytes: number, seed: number): Promise<CorpusPlan> {
  const bounds = { maxLineBytes: 2 ** 20, zstdWindowLog: 27, textColumn: 'text' };
  const format = 'jsonl';
  const columns = await inferColumns(input, format, { ...bounds, inferLines: 'all' });
  const fingerprint = `seed ${seed}`;
  const file = {
    path: input,
    format,
    bytes,
    rows: null,
    fingerprint,
    schema: 0,
    partition: [],
  } as const;
  await checkColumns({ file, columns, rowGroups: [] }, 'text', null);
  const none = { fileIndex: 0, rowGroupStart: null, rowGroupEnd: null, nRows: null, bytes: 0 };
  const units = Array.from({ length: Math.ceil(bytes / unitBytes) }, (_, index) => {
    const byteStart = index * unitBytes;
    const byteEnd = Math.min(bytes, byteStart + unitBytes);
    return { ...none, id: String(index), index, byteStart, byteEnd };
  });
  const leftOut = { outputs: [], results: [], otherFormats: {}, bookkeeping: 0, repeated: 0 };
  const all = { columns, schemas: [{ family: 'jsonl' as const, columns }], partitions: [] };
  return { ...bounds, ...all, files: [file], units, idColumn: null, failedFiles: [], leftOut };
}

async function attempt(seed: number): Promise<void> {
  const random = randomOf(seed);
  const file = randomFile(random);
  writeFileSync(input, file);
  const unitBytes = Math.ceil(file.byteLength / (1 + Math.floor(random() ** 3 * 12))) || 1;
  const reject: RejectMode = random() < 0.5 ? 'lines' : 'values';
  const expected = naiveRows(file);
  let plan: CorpusPlan;
  try {
    plan = await planOf(unitBytes, file.byteLength, seed);
  } catch (error) {
    if (mayRefuse(expected, error)) return;
    throw error;
  }
  const { rows, columns } = await read(plan, reject, 1 + Math.floor(random() * 4));
  if (rows.size !== expected.length) throw new Error(`${rows.size} rows of ${expected.length}`);
  for (const [index, wanted] of expected.entries()) {
    const found = rows.get(index)!;
    const text = wanted.fields === null ? undefined : (naiveValue(wanted, 'text') ?? null);
    const isRow =
      wanted.fields !== null &&
      (text === null || typeof text === 'string') &&
      WHOLE(text) &&
      (reject === 'lines' || fitsColumns(wanted, columns));
    if (isRow !== (found.reason === undefined)) throw new Error(`row ${index}: ${found.reason}`);
    if (!isRow) {
      if (!found.raw!.equals(wanted.bytes)) throw new Error(`row ${index}: other bytes`);
      continue;
    }
    if (found.text !== text) throw new Error(`row ${index}: other text`);
    for (const [at, value] of (found.values ?? []).entries()) {
      const raw = wanted.fields!.findLast(([name]) => name === columns[at]!.name)?.[1];
      if (!isExact(columns[at]!, value, raw)) {
        throw new Error(
          `row ${index}, ${columns[at]!.name} (${columns[at]!.type}): ${value} for ${raw}`,
        );
      }
    }
  }
}

describe('the reader of JSON lines on damaged files', () => {
  it(
    `${RUNS} files from seed ${SEED}`,
    async () => {
      for (let run = SKIP; run < RUNS; run++) {
        const started = process.cpuUsage();
        const seed = SEED * 1_000_003 + run;
        try {
          await attempt(seed);
        } catch (error) {
          throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
        }
        const { user, system } = process.cpuUsage(started);
        expect((user + system) / 1000, `seed ${seed}`).toBeLessThan(MAX_CPU_MS);
        if (run % 1000 === 999) {
          expect(process.memoryUsage().rss).toBeLessThan(MAX_RSS);
          if (RUNS > 10_000 && run % 50_000 === 49_999) process.stderr.write(`${run + 1} files\n`);
        }
      }
    },
    Math.max(120_000, RUNS * 20),
  );
});
