/** A worker that dies, hangs or is told to stop, under its supervisor. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { type SuperviseOptions, supervise } from '../../src/work/supervisor.ts';

const file = fileURLToPath(new URL('fixtures/worker.mjs', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'gristmill-supervisor-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let nRuns = 0;

interface Request {
  readonly nUnits?: number;
  readonly nRows?: number;
  readonly deadly?: readonly (readonly [unit: number, row: number])[];
  readonly plan?: Record<string, unknown>;
}

type Told = { readonly started?: number; readonly committed?: number };

function begin(
  { nUnits = 3, nRows = 16, deadly = [], plan = {} }: Request,
  options: Partial<SuperviseOptions<unknown, Told>> = {},
) {
  const ledger = join(folder, `ledger-${nRuns++}`);
  const deaths: string[] = [];
  const told: Told[] = [];
  const { result } = supervise<unknown, Told>({
    file,
    request: () => ({ ledger, nUnits, nRows, deadly, plan }),
    device: 'cpu',
    watchdogMs: 0,
    onDeath: (exit) => deaths.push(exit),
    ...options,
    onTold: (message) => {
      told.push(message);
      options.onTold?.(message);
    },
  });
  const units = (): { unit: number; aside: number[] }[] =>
    readFileSync(ledger, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
  const nStarts = (): number => readFileSync(`${ledger}.starts`, 'utf8').trim().split('\n').length;
  return { result, deaths, told, units, nStarts };
}

describe('supervise', () => {
  it('runs a worker that does not die, once', async () => {
    const { result, deaths, told, nStarts } = begin({});
    expect(await result).toEqual({ done: 3 });
    expect([deaths, nStarts()]).toEqual([[], 1]);
    expect(told.slice(1)).toEqual([{ committed: 0 }, { committed: 1 }, { committed: 2 }]);
  });

  it('has a deadly row set aside after it killed by itself twice, and every unit done once', async () => {
    const { result, deaths, units } = begin({ deadly: [[1, 11]] });
    expect(await result).toEqual({ done: 3 });
    expect(units()).toEqual([
      { unit: 0, aside: [] },
      { unit: 1, aside: [11] },
      { unit: 2, aside: [] },
    ]);
    // With its batch, with it alone, with halves of 8, 4 and 2, by itself twice.
    expect(deaths).toHaveLength(7);
    expect(deaths[0]).toBe('SIGABRT: none');
  });

  it('goes on from what is committed', async () => {
    const { result, deaths, units, nStarts } = begin({ plan: { dieAfterUnit: 1 } });
    expect(await result).toEqual({ done: 3 });
    expect(units().map(({ unit }) => unit)).toEqual([0, 1, 2]);
    expect([deaths.length, nStarts()]).toEqual([1, 2]);
  });

  it('gives up on workers that die while they load, and on ones that die of nothing that is known', async () => {
    const opening = begin({ plan: { dieAtOpening: true } });
    await expect(opening.result).rejects.toMatchObject({
      code: 'ENGINE_PROCESS_DIED',
      details: { exit: 'SIGKILL', device: 'cpu', count: 2 },
    });
    expect(opening.nStarts()).toBe(2);
    const idle = begin({ plan: { dieIdle: true } });
    await expect(idle.result).rejects.toMatchObject({ details: { exit: 'SIGKILL', count: 8 } });
  });

  it('passes on what the run throws, and what is thrown by who is told', async () => {
    const failing = begin({ plan: { fail: true } });
    await expect(failing.result).rejects.toMatchObject({
      code: 'RUN_OUTPUT_FAILED',
      details: { path: 'x', reason: 'full' },
    });
    const onTold = (): void => {
      throw new Error('a callback’s own');
    };
    await expect(begin({}, { onTold }).result).rejects.toThrow('a callback’s own');
  });

  it('kills a worker that hangs, and has the next one do its work', async () => {
    const { result, deaths, units } = begin({ plan: { stopAtFirst: true } }, { watchdogMs: 1_500 });
    expect(await result).toEqual({ done: 3 });
    expect(deaths).toEqual([expect.stringMatching(/^killed after [12] s without progress/)]);
    expect(units()).toHaveLength(3);
  });

  it('leaves one alone that waits for its input, or is slow and moves', async () => {
    const watchdogMs = 1_000;
    const waiting = begin({ plan: { waitForInput: 3_000 } }, { watchdogMs });
    expect([await waiting.result, waiting.deaths]).toEqual([{ done: 3 }, []]);
    const slow = begin({ plan: { slowMs: 400 } }, { watchdogMs });
    expect([await slow.result, slow.deaths]).toEqual([{ done: 3 }, []]);
  });

  it('ends at a death where nobody can go on', async () => {
    const { result } = begin(
      { deadly: [[0, 3]] },
      {
        onlyDeath: ({ exit, inFlight }) =>
          new Error(`${exit} with ${inFlight.map(({ first, end }) => `${first}..${end}`)}`),
      },
    );
    await expect(result).rejects.toThrow('SIGABRT with 0..16');
  });

  it('tells the worker to stop, or to drop what it does', async () => {
    const stop = new AbortController();
    const stopping = begin(
      { nUnits: 1_000, plan: { slowMs: 20 } },
      { stop: stop.signal, onTold: ({ committed }) => void (committed === 2 && stop.abort()) },
    );
    expect(await stopping.result).toEqual({ stopped: true });
    const drop = new AbortController();
    const reason = new Error('gone');
    const dropping = begin(
      { nUnits: 1_000, plan: { slowMs: 20 } },
      {
        signal: drop.signal,
        onTold: ({ committed }) => void (committed === 2 && drop.abort(reason)),
      },
    );
    await expect(dropping.result).rejects.toMatchObject({ code: 'ABORTED', cause: reason });
  });

  it('does not wait for one that is stuck when it is told to stop, and starts none again', async () => {
    const stop = new AbortController();
    const { result, nStarts } = begin(
      { plan: { stopAtFirst: true } },
      {
        stop: stop.signal,
        stopGraceMs: 1_000,
        onTold: ({ started }) => void (started && setTimeout(() => stop.abort(), 200)),
      },
    );
    await expect(result).rejects.toMatchObject({ code: 'ABORTED' });
    expect(nStarts()).toBe(1);
  });

  it('begins nothing where the signal has fired', () => {
    expect(() => begin({}, { signal: AbortSignal.abort() })).toThrow(/aborted/);
  });
});
