/** `gristmill refine - --out -` as a program of another process uses it: batch by batch, with events and exit codes. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type RecordBatch, RecordBatchReader } from 'apache-arrow';
import { afterAll, describe, expect, it } from 'vitest';
import { batchMessage, END_OF_STREAM, schemaMessage } from '../../src/corpus/arrow-build.ts';
import { columnOfField } from '../../src/corpus/arrow-columns.ts';
import { encodeRows } from '../../src/corpus/arrow-encode.ts';
import type { ArrowSchema } from '../../src/corpus/arrow-schema.ts';
import { shapeOf } from '../../src/corpus/shape.ts';
import { openAnswerSink } from '../../src/corpus/sink.ts';
import type { PlainValue } from '../../src/corpus/types.ts';
import { distFile } from '../../src/paths.ts';
import { field } from '../corpus/arrow-support.ts';
import { testTexts } from '../support/corpus.ts';
import { run } from './support.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-stream-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const MODEL = ['--document-model', 'random:tiny', '--threads', '1', '--slots', '2'];
const SCHEMA: ArrowSchema = {
  fields: [
    field('text', { kind: 'largeUtf8' }, { nullable: false }),
    field('n', { kind: 'int', bits: 32, signed: true }, { metadata: [['unit', 'rows']] }),
  ],
  metadata: [['corpus', 'bees']],
};

/** A record batch of texts, numbered from `start`. */
function batchOf(texts: readonly string[], start = 0): Uint8Array {
  const columns: PlainValue[][] = [[...texts], texts.map((_, row) => start + row)];
  const values = SCHEMA.fields.map((one, at) => {
    return { field: one, shape: shapeOf(columnOfField(one)), values: columns[at]! };
  });
  return batchMessage(encodeRows(values, texts.length).batch);
}

interface Event {
  readonly event: string;
  readonly [field: string]: unknown;
}

/** A stream that is open, with its events on descriptor 3. */
function open(args: readonly string[] = MODEL) {
  const command = [distFile('cli/main.js'), 'refine', '-', '--out', '-', '--events-fd', '3'];
  const child = spawn(process.execPath, [...command, ...args], {
    stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
  });
  const events: Event[] = [];
  let [waiting, stderr] = ['', ''];
  child.stderr!.on('data', (chunk: Buffer) => {
    stderr += chunk;
  });
  child.stdio[3]!.on('data', (chunk: Buffer) => {
    const lines = `${waiting}${chunk}`.split('\n');
    waiting = lines.pop()!;
    for (const line of lines) events.push(JSON.parse(line) as Event);
  });
  child.stdin!.on('error', () => undefined);
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  let reader: RecordBatchReader | null = null;
  return {
    child,
    events,
    ended,
    stderr: () => stderr,
    send: (bytes: Uint8Array) => child.stdin!.write(bytes),
    async answer(): Promise<RecordBatch | null> {
      if (!reader) {
        const opened = await RecordBatchReader.from(child.stdout!);
        reader = (await opened.open()) as RecordBatchReader;
      }
      const { done, value } = await reader.next();
      return done ? null : (value as RecordBatch);
    },
  };
}

const numbersOf = (batch: RecordBatch | null): number[] => [...(batch!.getChild('n') ?? [])];

describe('a stream', () => {
  it('answers each record batch by one, before it asks for another', async () => {
    const all = testTexts(200, 3);
    const plain = await run(
      ['refine', '-', '--out', '-', '--keep-dropped', ...MODEL, '--doc-threshold', '0.45'],
      { stdin: Buffer.concat([schemaMessage(SCHEMA), batchOf(all), END_OF_STREAM]) },
    );
    expect(plain.code).toBe(0);
    const whole = [...RecordBatchReader.from(plain.stdout)];
    expect(whole.map(({ numRows }) => numRows)).toEqual([200]);
    const statusOf = whole[0]!.getChild('gristmill_status')!;
    const wanted = (start: number, end: number) =>
      Array.from({ length: end - start }, (_, row) => start + row).filter(
        (row) => statusOf.get(row) !== 'dropped',
      );

    const stream = open([...MODEL, '--doc-threshold', '0.45']);
    stream.send(schemaMessage(SCHEMA));
    let start = 0;
    // Larger than what goes to the engine at once, of no rows, and small ones.
    for (const [sequence, nRows] of [3, 150, 0, 47].entries()) {
      stream.send(batchOf(all.slice(start, start + nRows), start));
      const answer = (await stream.answer())!;
      expect(answer.metadata.get('gristmill.sequence')).toBe(String(sequence));
      expect(numbersOf(answer)).toEqual(wanted(start, start + nRows));
      start += nRows;
    }
    stream.child.stdin!.end(END_OF_STREAM);
    expect([await stream.answer(), await stream.ended]).toEqual([null, 0]);
    // Random weights are said first of all.
    expect(stream.events[0]).toMatchObject({ event: 'notice', message: expect.any(String) });
    const [, begin, ...rest] = stream.events;
    expect(begin).toMatchObject({ event: 'begin', protocol: 1, answers: true, textColumn: 'text' });
    const end = rest.pop();
    expect(end).toMatchObject({ event: 'end', exitCode: 0, summary: { rowsIn: 200 } });
    expect(rest.map(({ event, sequence }) => [event, sequence])).toEqual([
      ['batch', 0],
      ['batch', 1],
      ['batch', 2],
      ['batch', 3],
    ]);
    const sums = rest.map(({ kept, edited, dropped, failed }) =>
      [kept, edited, dropped, failed].map(Number).reduce((sum, value) => sum + value, 0),
    );
    expect(sums).toEqual([3, 150, 0, 47]);
    expect(rest.map(({ rowsIn }) => rowsIn)).toEqual(sums);
  });

  it('answers with no rows where all were dropped', async () => {
    const stream = open([...MODEL, '--doc-threshold', '1']);
    stream.send(schemaMessage(SCHEMA));
    stream.send(batchOf(['Bees.', 'Hives.']));
    expect((await stream.answer())!.numRows).toBe(0);
    stream.child.stdin!.end(END_OF_STREAM);
    expect(await stream.ended).toBe(0);
    expect(stream.events.at(-2)).toMatchObject({ sequence: 0, rowsIn: 2, dropped: 2 });
  });

  it('leaves dropped rows in where that is asked for, with or without their texts', async () => {
    const stdin = Buffer.concat([
      schemaMessage(SCHEMA),
      batchOf(['Bees.', 'Hives.']),
      END_OF_STREAM,
    ]);
    const args = ['refine', '-', '--out', '-', '--keep-dropped', ...MODEL, '--doc-threshold', '1'];
    for (const [more, texts] of [
      [[], [null, null]],
      [['--dropped-text'], ['Bees.', 'Hives.']],
    ] as const) {
      const { code, stdout } = await run([...args, ...more], { stdin });
      const reader = RecordBatchReader.from(stdout);
      const [batch] = [...reader];
      expect([code, [...batch!.getChild('text')!]]).toEqual([0, texts]);
      expect([...batch!.getChild('gristmill_status')!]).toEqual(['dropped', 'dropped']);
      // A text that may be null is one, whatever the input's field says.
      expect(batch!.schema.fields[0]!.nullable).toBe(true);
    }
    const refused = await run([
      'refine',
      'x.parquet',
      '--out',
      join(folder, 'o'),
      '--keep-dropped',
    ]);
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('--keep-dropped')]);
  });

  it('tells by its exit code what it ended of', async () => {
    const bad = await run(['refine', '-', '--out', '-', ...MODEL], { stdin: 'no Arrow at all' });
    expect([bad.code, bad.stderr]).toEqual([4, expect.stringContaining('CORPUS_')]);
    const usage = await run(['refine', '-', '--out', '-', '--events-fd', '77']);
    expect([usage.code, usage.stderr]).toEqual([2, expect.stringContaining('--events-fd')]);
    // A folder has the codes that it always had.
    const there = await run(['refine', join(folder, 'none.parquet'), '--out', join(folder, 'o')]);
    expect(there.code).toBe(1);

    const cut = open();
    cut.send(schemaMessage(SCHEMA));
    cut.send(batchOf(['Bees.']).subarray(0, -8));
    cut.child.stdin!.end();
    expect([await cut.ended, cut.events.slice(-2)]).toEqual([
      4,
      [
        { event: 'error', code: 'CORPUS_FILE_INVALID', message: expect.stringContaining('left') },
        { event: 'end', exitCode: 4 },
      ],
    ]);

    const killed = open();
    killed.send(schemaMessage(SCHEMA));
    killed.send(batchOf(['Bees.']));
    await killed.answer();
    process.kill((await workerOf(killed.child))!, 'SIGKILL');
    expect([await killed.ended, killed.events.slice(-2)]).toEqual([
      5,
      [
        { event: 'error', code: 'RUN_STREAM_CUT', message: expect.stringContaining('SIGKILL') },
        { event: 'end', exitCode: 5 },
      ],
    ]);

    const interrupted = open();
    interrupted.send(schemaMessage(SCHEMA));
    interrupted.send(batchOf(['Bees.']));
    await interrupted.answer();
    interrupted.child.kill('SIGTERM');
    expect([await interrupted.ended, interrupted.events.at(-1)]).toMatchObject([
      130,
      { event: 'end', exitCode: 130 },
    ]);

    const closed = open();
    closed.send(schemaMessage(SCHEMA));
    closed.send(batchOf(['Bees.']));
    await closed.answer();
    closed.child.stdout!.destroy();
    for (let tries = 0; tries < 600 && closed.child.exitCode === null; tries++) {
      closed.send(batchOf(['Bees.']));
      await sleep(50);
    }
    expect([await closed.ended, closed.events.slice(-2), closed.stderr()]).toEqual([
      141,
      [
        { event: 'error', code: 'OUTPUT_CLOSED', message: expect.any(String) },
        { event: 'end', exitCode: 141 },
      ],
      expect.not.stringContaining('EPIPE'),
    ]);
  });

  // Was: the plan has read the schema, so that the next worker began to read in the middle of the stream, as if it were damaged.
  it('ends with a worker that dies before its models are there', async () => {
    const stream = open();
    const worker = await workerOf(stream.child);
    process.kill(worker!, 'SIGSTOP');
    stream.send(schemaMessage(SCHEMA));
    process.kill(worker!, 'SIGKILL');
    expect([await stream.ended, stream.events.at(-2)]).toMatchObject([
      5,
      { event: 'error', code: 'RUN_STREAM_CUT' },
    ]);
  });

  it('goes on where nobody reads its events', async () => {
    const stream = open();
    stream.child.stdio[3]!.destroy();
    stream.send(schemaMessage(SCHEMA));
    for (let sequence = 0; sequence < 3; sequence++) {
      stream.send(batchOf(['Bees.']));
      await stream.answer();
    }
    stream.child.stdin!.end(END_OF_STREAM);
    expect(await stream.ended).toBe(0);
  });

  it('marks the parts of an answer that no batch of its types holds', async () => {
    const path = join(folder, 'answers.arrow');
    // Indices of 8 bits: 128 texts are all that a batch refers to.
    const dictionary = { id: '0', bits: 8, signed: true, ordered: false } as const;
    const column = columnOfField(field('text', { kind: 'utf8' }, { dictionary }));
    const sink = await openAnswerSink({ path, columns: [column], textColumn: 'text' });
    const texts = Array.from({ length: 300 }, (_, row) => Buffer.from(`text ${row}`));
    await sink.write({ text: texts, rows: null, carry: null, extra: {} });
    await sink.answer([['gristmill.sequence', '7']]);
    await sink.answer([['gristmill.sequence', '8']]);
    await sink.close();
    const batches = [...RecordBatchReader.from(readFileSync(path))];
    const found = batches.map(({ metadata, numRows }) => [
      metadata.get('gristmill.sequence'),
      metadata.get('gristmill.more') ?? null,
      numRows,
    ]);
    expect(found).toEqual([
      ['7', 'true', 75],
      ['7', 'true', 75],
      ['7', 'true', 75],
      ['7', null, 75],
      ['8', null, 0],
    ]);
  });
});

/** The worker of a command, once there is one. */
async function workerOf({ pid }: ChildProcess): Promise<number | null> {
  for (let tries = 0; tries < 3_000; tries++) {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
    if (children !== '') return Number(children.split(' ')[0]);
    await sleep(10);
  }
  return null;
}
