/** Sessions of units that are handed out, with workers that die at the worst moment. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { openQueueSession } from '../../src/refine/queue-session.ts';
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
});
