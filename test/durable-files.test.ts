import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import { lock } from '../src/durable-files.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-durable-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('lock', () => {
  it('is held by a live process and taken over from one that is gone', async () => {
    const file = join(folder, 'lock');
    const holder = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
    writeFileSync(file, JSON.stringify({ pid: holder.pid, host: hostname() }));
    expect(() => lock(folder, file)).toThrow(/in use by process/);
    holder.kill('SIGKILL');
    await new Promise((resolve) => holder.on('exit', resolve));
    lock(folder, file)();
    expect(existsSync(file)).toBe(false);
  });

  // Was: a killed process whose parent never waits for it counted as alive, so its lock was held for ever.
  it.skipIf(process.platform !== 'linux')('is taken over from a zombie', async () => {
    const file = join(folder, 'zombie');
    const parent = spawn('sh', ['-c', 'true & echo $!; exec sleep 60']);
    const printed = await new Promise((resolve) => parent.stdout.once('data', resolve));
    writeFileSync(file, JSON.stringify({ pid: Number(String(printed)), host: hostname() }));
    try {
      for (let attempt = 0; ; attempt++) {
        try {
          lock(folder, file)();
          break;
        } catch (error) {
          // It may not have ended yet.
          if (attempt === 1000) throw error;
          await sleep(10);
        }
      }
    } finally {
      parent.kill('SIGKILL');
    }
    expect(existsSync(file)).toBe(false);
  });
});
