/** Workers of a queue over a real server, with sessions of this test in the place of models. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GristmillError } from '../../../src/errors.ts';
import { Board, type BoardRun } from '../../../src/work/queue/board.ts';
import { connectRedis } from '../../../src/work/queue/redis.ts';
import {
  backoffMs,
  SessionEnded,
  takeUnits,
  type WorkSession,
} from '../../../src/work/queue/take.ts';
import { hasRedis, RedisServer } from '../../support/redis-server.ts';

let server: RedisServer;
const boards: Board[] = [];
beforeAll(async () => {
  if (hasRedis) server = await RedisServer.start('s3cret');
});
afterAll(async () => {
  for (const board of boards) await board.close();
  await server?.stop();
});

async function openBoard(): Promise<Board> {
  const board = new Board(await connectRedis(server.url));
  boards.push(board);
  return board;
}

const runOf = (id: string, units: number, more: Partial<BoardRun> = {}): BoardRun => ({
  ...{ id, out: `/out/${id}`, priority: 0, tries: 2, units, submittedMs: Date.now() },
  ...{ traceparent: null, spec: null },
  ...more,
});
const range = (units: number): number[] => Array.from({ length: units }, (_, unit) => unit);

/** A session that notes what it is given. */
function sessionOf(act: (unit: number) => void | Promise<void>): WorkSession {
  return {
    ended: new AbortController().signal,
    end: async () => undefined,
    async do(unit) {
      await act(unit);
      return { isOurs: true, counts: { rowsIn: 10 }, seconds: 1 };
    },
  };
}

describe.skipIf(!hasRedis)('takeUnits', () => {
  it('hands every unit out once among several workers, and forgets none', async () => {
    const board = await openBoard();
    const run = runOf('many', 300);
    await board.put(run);
    expect(await board.enqueue(run, range(300))).toBe(300);
    // Again: what has a job keeps it.
    await board.enqueue(run, range(300));
    expect((await board.jobs('many')).waiting).toBe(300);
    const given: number[] = [];
    const workers = ['a', 'b', 'c'].map(async (worker) =>
      takeUnits({
        ...{ board: await openBoard(), worker, device: 'cpu', untilDone: true, only: 'many' },
        open: () => sessionOf((unit) => void given.push(unit)),
      }),
    );
    const taken = await Promise.all(workers);
    expect(taken.reduce((sum, { units }) => sum + units, 0)).toBe(300);
    expect(given.sort((a, b) => a - b)).toEqual(range(300));
    const status = await board.status('many');
    expect(status).toMatchObject({ unitsDone: 300, totals: { units: 300, rowsIn: 3000 } });
    await board.forget('many');
    expect((await board.runs()).map(({ id }) => id)).not.toContain('many');
  }, 60_000);

  it('sets a unit aside after its tries, with its error, and retry enqueues it anew', async () => {
    const board = await openBoard();
    const run = runOf('poison', 3);
    await board.put(run);
    await board.enqueue(run, range(3));
    let tries = 0;
    const taken = await takeUnits({
      ...{ board, worker: 'w', device: 'cpu', untilDone: true, only: 'poison' },
      open: () =>
        sessionOf((unit) => {
          if (unit !== 1) return;
          tries++;
          throw new GristmillError('CORPUS_READ_FAILED', { file: 'x', reason: 'broken' });
        }),
    });
    expect([tries, taken.units, taken.failed]).toEqual([2, 2, 2]);
    expect(await board.failed('poison')).toEqual([
      { unit: 1, reason: 'CORPUS_READ_FAILED: file x: broken' },
    ]);
    const status = await board.status('poison');
    expect(status).toMatchObject({ unitsDone: 2, jobs: { failed: 1 } });
    expect(status.errors[0]).toMatchObject({ unit: 1, code: 'CORPUS_READ_FAILED', worker: 'w' });
    expect(await board.clearFailed('poison')).toBe(1);
    expect(await board.enqueue(run, [1])).toBe(1);
    expect((await board.jobs('poison')).waiting).toBe(1);
    await board.forget('poison');
  }, 60_000);

  it('takes no try from units whose session failed', async () => {
    const board = await openBoard();
    const run = runOf('disk', 4, { tries: 1 });
    await board.put(run);
    await board.enqueue(run, range(4));
    let sessions = 0;
    const taken = await takeUnits({
      ...{ board, worker: 'w', device: 'cpu', untilDone: true, only: 'disk' },
      open: () => {
        sessions++;
        if (sessions > 1) return sessionOf(() => undefined);
        const ended = new AbortController();
        const full = new GristmillError('RUN_OUTPUT_FAILED', { path: 'p', reason: 'ENOSPC' });
        return {
          ended: ended.signal,
          end: () => Promise.reject(full),
          do: () => {
            ended.abort();
            return Promise.reject(new SessionEnded(full));
          },
        };
      },
    });
    expect(taken).toMatchObject({ units: 4, failed: 0 });
    await board.forget('disk');
  }, 60_000);

  it('refuses a run that it may not do, by name, and does the others in the order of priority', async () => {
    const board = await openBoard();
    const runs = [
      runOf('low', 2, { priority: 1 }),
      runOf('high', 2, { priority: 9 }),
      runOf('foreign', 2, { priority: 20 }),
    ];
    for (const run of runs) {
      await board.put(run);
      await board.enqueue(run, range(2));
    }
    const order: string[] = [];
    const taken = await takeUnits({
      ...{ board, worker: 'w', device: 'cpu', untilDone: true },
      open: ({ id }) => {
        if (id !== 'foreign') return sessionOf((unit) => void order.push(`${id} ${unit}`));
        const ended = new AbortController();
        ended.abort();
        const changes = 'versions.gristmill: "1" -> "2"';
        const refusal = new GristmillError('RUN_CHANGED', { out: 'o', changes });
        return {
          ended: ended.signal,
          end: () => Promise.reject(refusal),
          do: () => Promise.reject(new SessionEnded(refusal)),
        };
      },
    });
    expect(order.map((each) => each.split(' ')[0])).toEqual(['high', 'high', 'low', 'low']);
    expect(taken.refused).toEqual([
      { run: 'foreign', reason: expect.stringContaining('versions.gristmill') },
    ]);
    const { refusals, jobs } = await board.status('foreign');
    expect(refusals['w']).toContain('versions.gristmill');
    expect(jobs.waiting + jobs.delayed).toBe(2);
    for (const { id } of runs) await board.forget(id);
  }, 60_000);

  it('finishes what is under way when it is told to stop, and takes nothing more', async () => {
    const board = await openBoard();
    const run = runOf('stop', 50);
    await board.put(run);
    await board.enqueue(run, range(50));
    const stop = new AbortController();
    let nDone = 0;
    const taken = await takeUnits({
      ...{ board, worker: 'w', device: 'cpu', untilDone: true, only: 'stop', stop: stop.signal },
      open: () =>
        sessionOf(async () => {
          stop.abort();
          await new Promise((resolve) => setTimeout(resolve, 200));
          nDone++;
        }),
    });
    expect(taken.units).toBe(nDone);
    expect(nDone).toBeLessThan(10);
    expect(await board.jobs('stop')).toMatchObject({ active: 0, waiting: 50 - nDone });
    await board.pause('stop');
    expect(await board.state('stop')).toBe('paused');
    await board.cancel('stop');
    expect((await board.jobs('stop')).waiting).toBe(0);
    await board.forget('stop');
  }, 60_000);

  it('goes on when the server was killed and has come back', async () => {
    const board = await openBoard();
    const run = runOf('restart', 40);
    await board.put(run);
    await board.enqueue(run, range(40));
    const given = new Set<number>();
    let isKilled = false;
    const taken = await takeUnits({
      ...{ board, worker: 'w', device: 'cpu', untilDone: true, only: 'restart' },
      open: () =>
        sessionOf(async (unit) => {
          given.add(unit);
          if (unit < 10 || isKilled) return;
          isKilled = true;
          await server.kill();
          await new Promise((resolve) => setTimeout(resolve, 500));
          await server.up();
        }),
    });
    expect(taken.failed).toBe(0);
    expect([...given].sort((a, b) => a - b)).toEqual(range(40));
    await board.forget('restart');
  }, 120_000);

  it('waits for no clock: a unit that was put back by one an hour ahead is taken in its time', async () => {
    // The unit waited for an hour.
    const board = await openBoard();
    const run = runOf('clock', 1);
    await board.put(run);
    const opts = { jobId: 'u0', delay: 1_000, removeOnComplete: true };
    const ahead = { ...opts, timestamp: Date.now() + 3_600_000 };
    await (await board.queueOf('clock')).add('unit', { unit: 0 }, ahead);
    expect(await board.jobs('clock')).toMatchObject({ delayed: 1 });
    const begunMs = performance.now();
    const taken = await takeUnits({
      ...{ board, worker: 'w', device: 'cpu', untilDone: true, only: 'clock' },
      open: () => sessionOf(() => undefined),
    });
    expect(taken.units).toBe(1);
    expect(performance.now() - begunMs).toBeGreaterThan(1_000);
    await board.forget('clock');
  }, 60_000);

  it('waits for longer after each try, but for no longer than its bound', () => {
    // Without one, the twentieth try of a unit was due in three days.
    for (let nTries = 1; nTries <= 1000; nTries++) {
      const upToMs = Math.min(20_000, 500 * 2 ** (nTries - 1));
      const waitMs = backoffMs(nTries);
      expect(waitMs).toBeGreaterThanOrEqual(upToMs / 2);
      expect(waitMs).toBeLessThanOrEqual(upToMs);
    }
  });

  it('shows no password, wherever the address goes wrong', async () => {
    const wrong = server.url.replace('s3cret', 'guessed-pass');
    const failed = await connectRedis(wrong).catch((error: unknown) => error);
    expect(failed).toMatchObject({ code: 'QUEUE_UNREACHABLE' });
    expect(JSON.stringify([String(failed), (failed as GristmillError).details])).not.toContain(
      'guessed',
    );
    const nowhere = await connectRedis('redis://:guessed-pass@127.0.0.1:1').catch(
      (error: unknown) => error,
    );
    expect(nowhere).toMatchObject({
      code: 'QUEUE_UNREACHABLE',
      details: { url: 'redis://127.0.0.1:1' },
    });
    for (const url of ['http://:guessed-pass@h', 'guessed-pass']) {
      const refused = await connectRedis(url).catch((error: unknown) => error);
      expect(refused).toMatchObject({ code: 'OPTION_INVALID' });
      expect(String(refused)).not.toContain('guessed');
    }
    const board = await openBoard();
    expect(board.link.shown).toBe(`redis://127.0.0.1:${server.port}`);
  });
});
