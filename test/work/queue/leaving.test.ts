/** Workers that are told to leave while Redis is away, over a real server behind a network of this test's. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Board, type BoardRun } from '../../../src/work/queue/board.ts';
import { connectRedis } from '../../../src/work/queue/redis.ts';
import { takeUnits } from '../../../src/work/queue/take.ts';
import { sleep, until, within } from '../../support/bounded.ts';
import { hasRedis, RedisServer } from '../../support/redis-server.ts';
import { TcpProxy } from '../../support/tcp-proxy.ts';

const LEAVE_MS = 1_000;

describe.skipIf(!hasRedis)('a worker that is told to leave', () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await RedisServer.start();
  });
  afterAll(() => server?.stop());

  /** A worker with its first unit under way. */
  async function atWork(id: string) {
    const network = await TcpProxy.before(server.port);
    const own = new Board(await connectRedis(server.url));
    const board = new Board(await connectRedis(`redis://127.0.0.1:${network.port}`));
    const run: BoardRun = {
      ...{ id, out: `/out/${id}`, priority: 0, tries: 2, units: 9 },
      ...{ submittedMs: Date.now(), traceparent: null, spec: null },
    };
    await own.put(run);
    await own.enqueue(run, Array(9).keys());
    const stop = new AbortController();
    const at = { begun: 0, done: 0, ended: false };
    let release = (): void => undefined;
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    const taken = takeUnits({
      ...{ board, worker: 'w', device: 'cpu', only: id, stop: stop.signal, leaveMs: LEAVE_MS },
      open: () => ({
        ...{ ended: new AbortController().signal, unitsAtOnce: 1 },
        async do() {
          at.begun++;
          await released;
          at.done++;
          return { isOurs: true, counts: {}, seconds: 0 };
        },
        end: async () => {
          at.ended = true;
        },
      }),
    });
    const left = taken.then(
      ({ units }) => `${units} done`,
      (error: { code?: string }) => String(error.code ?? error),
    );
    await until(20_000, 'a unit under way', () => at.begun === 1);
    const close = async (): Promise<void> => {
      await own.forget(id);
      await own.close();
      await board.close();
      await network.close();
    };
    return { network, own, stop, at, release, left, close };
  }

  // Was: it waited for as long as Redis was away.
  it.each(['cut', 'refuse'] as const)(
    'finishes its units, and waits a while for a server (%s)',
    async (how) => {
      const { network, own, stop, at, release, left, close } = await atWork(how);
      try {
        network[how]();
        stop.abort();
        // Nothing is given up under a unit, however long it takes.
        expect(await Promise.race([left, sleep(3 * LEAVE_MS).then(() => 'waits')])).toBe('waits');
        release();
        expect(await within(20_000, 'the worker to leave', left)).toBe('QUEUE_UNREACHABLE');
        expect(at).toEqual({ begun: 1, done: 1, ended: true });
        expect((await own.jobs(how)).active).toBe(1);
      } finally {
        await close();
      }
    },
    60_000,
  );

  // Was: a connection that was about to be made again when it was closed was waited for without end.
  it('leaves in good order when the server is back in time', async () => {
    const { network, own, stop, at, release, left, close } = await atWork('back');
    try {
      network.refuse();
      stop.abort();
      release();
      await until(5_000, 'its unit', () => at.done === 1);
      network.mend();
      expect(await within(20_000, 'the worker to leave', left)).toBe('1 done');
      expect(at).toEqual({ begun: 1, done: 1, ended: true });
      expect(await own.jobs('back')).toMatchObject({ waiting: 8, active: 0 });
    } finally {
      await close();
    }
  }, 60_000);
});
