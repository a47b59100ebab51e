/** Execution over batches: pool and in-thread mode against execute(), output memory, spill, teardown. */
import { existsSync } from 'node:fs';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildBatch, type DocumentBatch } from '../../src/batch/document-batch.ts';
import { SlabPool } from '../../src/batch/slab-pool.ts';
import { distFile } from '../../src/paths.ts';
import { execute } from '../../src/program/execute.ts';
import type { ExecuteOptions } from '../../src/program/options.ts';
import { type BatchExecution, ExecutionPool } from '../../src/program/pool.ts';
import { STATUSES, type WindowProgram } from '../../src/program/types.ts';
import { programs, texts, windows } from './arbitraries.ts';

const WORKER = distFile('program/worker.cjs');
const encoder = new TextEncoder();

const slabs = new SlabPool({ slabBytes: 2 ** 20, nSlabs: 3 });
let pool: ExecutionPool;

beforeAll(() => {
  if (!existsSync(WORKER)) throw new Error(`${WORKER} is missing: run \`npm run build\``);
  pool = new ExecutionPool({ slabs, nWorkers: 2, bytesHere: 0 });
});

afterAll(() => pool.destroy());

function batchOf(documents: readonly string[], from = slabs): Promise<DocumentBatch> {
  return buildBatch(from, { text: documents.map((text) => encoder.encode(text)) });
}

/** The results as execute() gives them, one by one. */
function expectSame(
  execution: BatchExecution,
  documents: readonly string[],
  given: readonly (string | readonly WindowProgram[] | null)[],
  options: ExecuteOptions = {},
): void {
  for (const [doc, text] of documents.entries()) {
    const program = given[doc]!;
    const nothing = program === null || program.length === 0;
    const expected = execute(text, nothing && program !== '' ? [] : program!, options);
    const own = execution.textAt(doc);
    expect({
      text: own === null ? text : Buffer.from(own).toString('utf8'),
      status: STATUSES[execution.status[doc]!],
      reason: execution.reasonAt(doc),
      ops: execution.opsAt(doc),
    }).toEqual(expected);
    if (expected.text === text && text !== '') expect(own).toBeNull();
  }
}

const documentPrograms = fc.oneof(fc.constant(null), programs('prox'), windows('prox'));
const cases = fc.array(fc.tuple(texts, documentPrograms), { maxLength: 20 });

describe('agrees with execute()', () => {
  test.each([0, 2])('%i workers', async (nWorkers) => {
    const own = new ExecutionPool({ slabs, nWorkers, bytesHere: 0 });
    await fc.assert(
      fc.asyncProperty(cases, async (list) => {
        const documents = list.map(([text]) => text);
        const given = list.map(([, program]) => program);
        const batch = await batchOf(documents);
        const execution = await own.execute(batch, given);
        expectSame(execution, documents, given);
        execution.release();
        batch.release();
      }),
      { numRuns: 150 },
    );
    await own.destroy();
    expect(slabs.slabsInUse).toBeLessThanOrEqual(2);
  });

  test('compat, in a worker', async () => {
    const options = { executor: 'compat' } as const;
    const own = new ExecutionPool({ slabs, nWorkers: 1, execute: options, bytesHere: 0 });
    const words = 'one two three four five six seven eight nine ten eleven\nmenu';
    const documents = ['', words, 'short', words];
    const given = [
      'remove_lines(start=0, end=0)',
      'remove_lines(start=1, end=1)',
      'keep_chunk()',
      null,
    ];
    const batch = await batchOf(documents);
    const execution = await own.execute(batch, given);
    expectSame(execution, documents, given, options);
    execution.release();
    batch.release();
    await own.destroy();
  });
});

test('a large batch is cut over the workers and keeps its order', async () => {
  const large = new SlabPool({ slabBytes: 2 ** 23, nSlabs: 3 });
  const documents = Array.from(
    { length: 3000 },
    (_, doc) => `menu ${doc}\n${`text ${doc} é `.repeat(40)}\n`,
  );
  const given = documents.map((_, doc) =>
    doc % 3 === 0 ? null : `remove_lines(${doc % 2}, ${doc % 2})`,
  );
  const own = new ExecutionPool({ slabs: large, nWorkers: 2, bytesHere: 0 });
  const batch = await batchOf(documents, large);
  const execution = await own.execute(batch, given);
  expectSame(execution, documents, given);
  execution.release();
  batch.release();
  await own.destroy();
});

test('an output that does not fit its region comes back as a spill', async () => {
  // The published executor has no bound on growth; the region is as large as the inputs.
  const options = { executor: 'compat' } as const;
  const own = new ExecutionPool({ slabs, nWorkers: 1, execute: options, bytesHere: 0 });
  const text = 'one two three four five six seven eight nine ten eleven é';
  const documents = [`${text}\nmenu`, text, text];
  const grow = 'normalize(source_str="e", target_str="EEEEEEEEEE é")';
  const given = ['remove_lines(start=1, end=1)', grow, grow];
  const batch = await batchOf(documents);
  const execution = await own.execute(batch, given);
  expectSame(execution, documents, given, options);
  const lengths = documents.map((_, doc) => execution.textAt(doc)!.length);
  expect(Math.min(lengths[1]!, lengths[2]!)).toBeGreaterThan(text.length * 1.5);
  // A region holds 64-byte units: only a buffer of its own can hold more than the inputs.
  expect(execution.textAt(2)!.buffer).not.toBe(execution.textAt(0)!.buffer);
  execution.release();
  batch.release();
  await own.destroy();
});

test('batches run side by side', async () => {
  const documents = Array.from({ length: 50 }, (_, doc) => `menu\nbody of ${doc}`);
  const given = documents.map(() => 'remove_lines(0, 0)');
  const runs = Array.from({ length: 8 }, async () => {
    const batch = await batchOf(documents);
    const execution = await pool.execute(batch, given);
    expectSame(execution, documents, given);
    execution.release();
    batch.release();
  });
  await Promise.all(runs);
});

test('threads are started by what is worth them', async () => {
  const documents = ['menu\nbody', `menu\n${'text '.repeat(20)}`];
  const given = documents.map(() => 'remove_lines(0, 0)');
  const own = new ExecutionPool({ slabs, nWorkers: 1, bytesHere: 300 });
  const counts: number[] = [];
  for (let run = 0; run < 4; run++) {
    const batch = await batchOf(documents);
    const execution = await own.execute(batch, given);
    expectSame(execution, documents, given);
    execution.release();
    batch.release();
    counts.push(own.nThreads);
  }
  // 114 bytes a batch: two of them are within the bytes.
  expect(counts).toEqual([0, 0, 1, 1]);
  await own.destroy();
  // One that is worth cutting goes to a thread at once.
  const large = new SlabPool({ slabBytes: 2 ** 20, nSlabs: 2 });
  const other = new ExecutionPool({ slabs: large, nWorkers: 1 });
  const batch = await batchOf(['x'.repeat(2 ** 18 + 1)], large);
  (await other.execute(batch, [null])).release();
  expect(other.nThreads).toBe(1);
  await other.destroy();
});

test('nothing is reserved where nothing can change', async () => {
  const documents = ['a b c', 'd e f'];
  const batch = await batchOf(documents);
  const execution = await pool.execute(batch, [null, 'keep_chunk()']);
  expectSame(execution, documents, [null, 'keep_chunk()']);
  execution.release();
  batch.release();
});

test('misuse is refused with a code', async () => {
  const batch = await batchOf(['a']);
  await expect(pool.execute(batch, [])).rejects.toMatchObject({ code: 'OPTION_INVALID' });
  expect(() => new ExecutionPool({ slabs, nWorkers: -1 })).toThrow(
    expect.objectContaining({ code: 'OPTION_INVALID' }),
  );
  expect(() => new ExecutionPool({ slabs, bytesHere: 0.5 })).toThrow(/bytesHere/);
  const aborted = pool.execute(batch, ['drop_doc()'], AbortSignal.abort());
  await expect(aborted).rejects.toMatchObject({ code: 'ABORTED' });
  const closed = new ExecutionPool({ slabs, nWorkers: 1 });
  await closed.destroy();
  await closed.destroy();
  await expect(closed.execute(batch, [null])).rejects.toMatchObject({ code: 'DISPOSED' });
  batch.release();
});

// Batches that are cut where they are scored hold room before their turn comes to be written. One whose last pages were the
// executor's waited for more of it, and all slabs were held by batches behind it: a run of 65 MB stood still.
describe('room that is held ahead', () => {
  test('is there at once, and keeps nobody from being executed', async () => {
    const small = new SlabPool({ slabBytes: 2 ** 16, nSlabs: 3 });
    await using own = new ExecutionPool({ slabs: small, nWorkers: 0 });
    const text = `${'a line of words\n'.repeat(2000)}end`;
    const batch = await batchOf([text], small);
    const rooms = Array.from({ length: 5 }, () => own.reserve(2 ** 15));
    for (const { bytes } of rooms) bytes.fill(1);
    const given = ['remove_lines(start=0, end=0)'];
    // Whoever holds no room waits its turn.
    const waiting = own.execute(batch, given, AbortSignal.timeout(200));
    await expect(waiting).rejects.toMatchObject({ code: 'ABORTED' });
    const execution = await own.execute(batch, given, undefined, true);
    expectSame(execution, [text], given);
    expect(rooms.every(({ bytes }) => bytes.every((byte) => byte === 1))).toBe(true);
    execution.release();
    for (const { release } of rooms) release();
    const after = await own.execute(batch, given, AbortSignal.timeout(5000));
    after.release();
    batch.release();
  });
});
