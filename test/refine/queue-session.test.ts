/** Sessions of units that are handed out, with workers that die at the worst moment. */
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { openQueueSession } from '../../src/refine/queue-session.ts';
import { refineCorpus } from '../../src/refine/run.ts';
import { SessionEnded } from '../../src/work/queue/take.ts';
import { within } from '../support/bounded.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-session-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('openQueueSession', () => {
  it('ends when its worker dies of being told that no more units come', async () => {
    // The next worker was not told, and waited for units for ever; so did whoever waited for the session.
    const mark = join(folder, 'died');
    const notices: string[] = [];
    const session = openQueueSession(
      { options: { inputs: 'in', out: join(folder, 'out') }, cwd: folder },
      {
        name: 'w',
        env: { GRISTMILL_TEST_MARK: mark },
        workerFile: fileURLToPath(new URL('fixtures/feed-worker.mjs', import.meta.url)),
        onNotice: (notice) => notices.push(notice),
      },
    );
    const done = await Promise.all([3, 5, 8].map((unit) => session.do(unit)));
    expect(done.map(({ isOurs }) => isOurs)).toEqual([true, true, true]);
    await within(60_000, 'the session to end', session.end());
    expect(existsSync(mark)).toBe(true);
    expect(notices).toEqual([expect.stringContaining('SIGKILL')]);
    expect(session.ended.aborted).toBe(true);
  }, 120_000);

  it('does a unit that has failed when it is handed out again, with none between', async () => {
    // What was left of the failed read was passed over by the number of its unit, and so was the next read, for ever.
    const inputs = join(folder, 'in');
    mkdirSync(inputs);
    for (const name of ['a', 'b']) {
      writeFileSync(join(inputs, `${name}.jsonl`), `${JSON.stringify({ text: `Page ${name}` })}\n`);
    }
    const options = {
      ...{ inputs, out: join(folder, 'again'), documentModel: 'random:tiny' },
      ...{ threads: 1, workers: 1, slots: 4 },
    };
    // Begins the run, and has no unit of it.
    await refineCorpus({ ...options, worker: { index: 0, count: 1000 } });
    const session = openQueueSession({ options, cwd: folder }, { name: 'w' });
    const inTime = <T>(what: string, work: Promise<T>): Promise<T> => within(90_000, what, work);
    await inTime('unit 0', session.do(0));
    renameSync(join(inputs, 'b.jsonl'), join(folder, 'away'));
    await expect(inTime('unit 1 to fail', session.do(1))).rejects.toMatchObject({
      name: 'GristmillError',
    });
    renameSync(join(folder, 'away'), join(inputs, 'b.jsonl'));
    expect(await inTime('unit 1', session.do(1))).toMatchObject({ isOurs: true });
    await inTime('the session to end', session.end());
  }, 300_000);

  it('ends when its output cannot be written, though no unit comes any more', async () => {
    // What it failed of was told when the next unit was handed out: a worker that was told to leave waited for ever.
    const inputs = join(folder, 'two');
    mkdirSync(inputs);
    for (const name of ['a', 'b']) {
      writeFileSync(join(inputs, `${name}.jsonl`), `${JSON.stringify({ text: `Page ${name}` })}\n`);
    }
    const out = join(folder, 'blocked');
    const options = {
      ...{ inputs, out, documentModel: 'random:tiny', threads: 1, workers: 1, slots: 4 },
    };
    await refineCorpus({ ...options, worker: { index: 0, count: 1000 } });
    const session = openQueueSession({ options, cwd: folder }, { name: 'w' });
    await within(90_000, 'unit 0', session.do(0));
    const attempts = join(out, '_gristmill', 'tmp');
    rmSync(attempts, { recursive: true });
    writeFileSync(attempts, 'no folder');
    const failed = await within(
      90_000,
      'unit 1 to be put back',
      session.do(1).catch((error: unknown) => error),
    );
    expect(failed).toBeInstanceOf(SessionEnded);
    expect((failed as SessionEnded).cause).toMatchObject({ code: 'RUN_OUTPUT_FAILED' });
    await expect(within(90_000, 'its end', session.end())).rejects.toMatchObject({
      code: 'RUN_OUTPUT_FAILED',
    });
  }, 300_000);
});
