/**
 * A run in its worker: the same output as one in this process, whatever its engines do to it. Engines had processes of their
 * own before, and every text was copied into them.
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { inWorker, refineCorpus } from '../../src/refine/run.ts';
import type { RefineCorpusOptions } from '../../src/refine/run-options.ts';
import { outputOf } from '../cli/support.ts';
import { readRows } from '../support/rows.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-run-worker-'));
const crashing = fileURLToPath(new URL('fixtures/crashing-worker.mjs', import.meta.url));
const N_ROWS = 36;
const at = (name: string): string => join(folder, name);
afterAll(() => rmSync(folder, { recursive: true, force: true }));
afterEach(() => {
  for (const name of Object.keys(process.env)) {
    if (name.startsWith('GRISTMILL_TEST_')) delete process.env[name];
  }
});

const text = (row: number): string =>
  `Home | About\nParagraph ${row} about bees and the keeping of them.\n(c) 2024\n`.repeat(2);

function writeRows(name: string, marks: Readonly<Record<number, string>> = {}): string {
  const rows = Array.from({ length: N_ROWS }, (_, row) =>
    JSON.stringify({ id: `${row}`, text: `${text(row)}${marks[row] ?? ''}` }),
  );
  writeFileSync(at(name), `${rows.join('\n')}\n`);
  return at(name);
}

const optionsFor = (input: string, out: string): RefineCorpusOptions => ({
  inputs: input,
  out: at(out),
  idColumn: 'id',
  documentModel: 'random:tiny',
  documentThreshold: 0.3,
  threads: 1,
  workers: 1,
  slots: 4,
  unitRows: 12,
});

/** Everything of a summary but what differs from run to run. */
function counted(summary: Awaited<ReturnType<typeof refineCorpus>>) {
  const {
    seconds: _,
    docsPerSecond: _docs,
    tokensPerSecond: _tokens,
    out: _out,
    ...rest
  } = summary;
  return rest;
}

let plain: string;
beforeAll(() => {
  plain = writeRows('plain.jsonl');
});

describe('refineCorpus', () => {
  it('does in its worker what it does in this process, byte for byte, and tells the same', async () => {
    const ran = async (out: string, isolate: boolean) => {
      const notices: string[] = [];
      const rows: number[] = [];
      const documents: unknown[] = [];
      const summary = await refineCorpus({
        ...optionsFor(plain, out),
        isolate,
        onNotice: (line) => notices.push(line),
        onProgress: (progress) => rows.push(progress.rows),
        onDocument: ({ before, after, ...row }) =>
          documents.push({ ...row, before: before(), after: after() }),
        documentLimit: 7,
      });
      return { summary: counted(summary), notices, rows, documents };
    };
    const here = await ran('here', false);
    const there = await ran('there', true);
    expect(there).toEqual(here);
    expect(there.summary.rowsIn).toBe(N_ROWS);
    const statuses = there.documents.map((document) => (document as { status: string }).status);
    for (const status of new Set(statuses)) {
      expect(statuses.filter((other) => other === status).length).toBeLessThanOrEqual(7);
    }
    expect(outputOf(at('there'))).toEqual(outputOf(at('here')));
  });

  it.each(['ABORT', 'KILL'])(
    'sets a document aside that is the end of its engine twice: %s',
    async (how) => {
      const input = writeRows('deadly.jsonl', { 17: `\n${how}-THE-ENGINE` });
      const notices: string[] = [];
      const out = `aside-${how}`;
      const summary = await inWorker(
        { ...optionsFor(input, out), onNotice: (line) => notices.push(line) },
        crashing,
      );
      expect(summary).toMatchObject({ rowsIn: N_ROWS, failed: 1, unitsResumed: 0, errors: [] });
      expect(summary.reasons['engine_crashed']).toBe(1);
      const deaths = notices.filter((line) => line.includes('was started again'));
      expect(deaths.length).toBeGreaterThanOrEqual(4);
      expect(deaths.length).toBeLessThanOrEqual(10);
      if (how === 'ABORT') expect(deaths[0]).toContain('GGML_ASSERT(rows > 0) failed');
      // What was said at the start is not said again by the workers that follow.
      expect(notices.filter((line) => line === 'loading models')).toHaveLength(1);
      // All others are as they are in a run without that document's mark, in the same order.
      const whole = await refineCorpus({ ...optionsFor(plain, `whole-${how}`), isolate: false });
      const [hurt, sound] = [readRows(at(out)), readRows(at(`whole-${how}`))];
      const others = (rows: typeof hurt) => rows.filter(({ id }) => id !== '17');
      expect(others(hurt)).toEqual(others(sound));
      expect(hurt.find(({ id }) => id === '17')).toMatchObject({
        gristmill_status: 'failed',
        gristmill_reason: 'engine_crashed',
        text: `${text(17)}\n${how}-THE-ENGINE`,
      });
      expect(whole.rowsIn).toBe(N_ROWS);
    },
  );

  it('sets a document aside of whose windows one is the end of its engine', async () => {
    const input = writeRows('deadly-window.jsonl', { 4: '\nABORT-THE-ENGINE' });
    const {
      documentModel: _,
      documentThreshold: _threshold,
      ...options
    } = optionsFor(input, 'window');
    const summary = await inWorker(
      { ...options, chunkModel: 'random:tiny', unitRows: 6, limit: 10 },
      crashing,
    );
    expect(summary).toMatchObject({ rowsIn: 10, errors: [], interrupted: false });
    // Programs of random weights are refused as they come.
    const crashed = readRows(at('window')).filter(
      (row) => row['gristmill_reason'] === 'engine_crashed',
    );
    expect(crashed).toMatchObject([{ id: '4', gristmill_status: 'failed' }]);
  });

  it('starts a worker that hangs again, and ends as one that did not', async () => {
    const input = writeRows('hanging.jsonl', { 20: '\nHANG-THE-ENGINE' });
    process.env['GRISTMILL_TEST_HANG_ONCE'] = at('hung');
    const notices: string[] = [];
    const summary = await inWorker(
      { ...optionsFor(input, 'hanging'), watchdog: 3, onNotice: (line) => notices.push(line) },
      crashing,
    );
    expect(existsSync(at('hung'))).toBe(true);
    expect(notices.filter((line) => /killed after \d+ s without progress/.test(line))).toHaveLength(
      1,
    );
    delete process.env['GRISTMILL_TEST_HANG_ONCE'];
    const sound = await refineCorpus({ ...optionsFor(input, 'not-hanging'), isolate: false });
    expect(counted(summary)).toEqual(counted(sound));
    expect(outputOf(at('hanging'))).toEqual(outputOf(at('not-hanging')));
  });

  it('gives up on a worker that dies while it loads its models', async () => {
    process.env['GRISTMILL_TEST_DIE_AT_OPEN'] = '1';
    const running = inWorker(optionsFor(plain, 'unopened'), crashing);
    await expect(running).rejects.toMatchObject({
      code: 'ENGINE_PROCESS_DIED',
      details: { exit: 'SIGKILL', device: 'cpu' },
    });
  });

  it('passes the errors of the run on with their codes', async () => {
    const options = { ...optionsFor(plain, 'none'), documentModel: at('none.gguf') };
    await expect(refineCorpus(options)).rejects.toMatchObject({ code: 'ENGINE_MODEL_MISSING' });
    await expect(refineCorpus({ ...optionsFor('nowhere', 'none') })).rejects.toMatchObject({
      code: expect.stringMatching(/^CORPUS_/),
    });
    const watched = { ...optionsFor(plain, 'none'), isolate: false, watchdog: 5 };
    await expect(refineCorpus(watched)).rejects.toMatchObject({
      code: 'OPTION_INVALID',
      details: { option: 'watchdog' },
    });
  });

  it('ends with what a callback throws', async () => {
    const onProgress = (): void => {
      throw new Error('the caller’s own');
    };
    await expect(refineCorpus({ ...optionsFor(plain, 'thrown'), onProgress })).rejects.toThrow(
      'the caller’s own',
    );
  });
});
