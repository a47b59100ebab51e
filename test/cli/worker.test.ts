/** The worker that `gristmill refine` starts, killed under it; and what its own process is free of. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { distFile } from '../../src/paths.ts';
import { writeTestCorpus } from '../support/corpus.ts';
import { outputOf, run, start } from './support.ts';

const N_UNITS = 8;
const folder = mkdtempSync(join(tmpdir(), 'gristmill-worker-'));
const corpus = join(folder, 'corpus.parquet');
const commandFor = (out: string): string[] => [
  ...['refine', corpus, '--out', out, '--document-model', 'random:tiny', '--unit-rows', '24'],
  ...['--threads', '1', '--doc-threshold', '0.45', '--dropped-text', '--json'],
];
beforeAll(() => writeTestCorpus(corpus, { nRows: N_UNITS * 24, rowGroupRows: 24, seed: 5 }));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The worker of a command; null before there is one, or between two. */
function workerOf(pid: number): number | null {
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
    return Number(children.trim().split(' ')[0]) || null;
  } catch {
    return null;
  }
}

async function until<T>(found: () => T | null | false): Promise<T> {
  for (let tries = 0; tries < 3_000; tries++) {
    const value = found();
    if (value !== null && value !== false) return value;
    await sleep(10);
  }
  throw new Error('it never came to be');
}

const loads = (pid: number, library: string): boolean =>
  readFileSync(`/proc/${pid}/maps`, 'utf8').includes(library);

describe.skipIf(process.platform !== 'linux')('the worker of gristmill refine', () => {
  it('killed again and again, ends byte for byte as one that never was, in one command', async () => {
    const whole = join(folder, 'whole');
    const begun = performance.now();
    const sound = await run(commandFor(whole));
    const wholeMs = performance.now() - begun;
    const out = join(folder, 'killed');
    const { process: command, finished } = start(commandFor(out));
    let isFinished = false;
    void finished.then(() => {
      isFinished = true;
    });
    // The same kill points in every run of this test.
    let state = 7;
    let nKilled = 0;
    while (!isFinished && nKilled < 6) {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      const worker = await until(() => (isFinished ? 0 : workerOf(command.pid!)));
      if (worker === 0) break;
      // From loading models on, so that no two deaths in a row are those of a model.
      await until(() => isFinished || loads(worker, 'libggml-cpu'));
      await sleep(wholeMs * (0.15 + (0.3 * state) / 2 ** 32));
      if (isFinished || workerOf(command.pid!) !== worker) continue;
      process.kill(worker, 'SIGKILL');
      nKilled++;
      await until(() => isFinished || workerOf(command.pid!) !== worker);
    }
    const { code, stdout, stderr } = await finished;
    expect([code, stderr]).toEqual([0, '']);
    expect(nKilled).toBeGreaterThan(0);
    const summaryOf = (text: Buffer) => {
      const { seconds, docsPerSecond, tokensPerSecond, out: _, ...rest } = JSON.parse(`${text}`);
      expect([seconds > 0, docsPerSecond > 0, tokensPerSecond > 0]).toEqual([true, true, true]);
      return rest;
    };
    expect(summaryOf(stdout)).toEqual(summaryOf(sound.stdout));
    expect(outputOf(out)).toEqual(outputOf(whole));
  }, 300_000);

  it('has the addon and the models; the command has neither', async () => {
    const { process: command, finished } = start(commandFor(join(folder, 'maps')));
    const worker = await until(() => workerOf(command.pid!));
    await until(() => loads(worker, 'libggml-cpu'));
    for (const library of ['gristmill.node', 'libggml', 'libgristmill-llama']) {
      expect([library, loads(command.pid!, library)]).toEqual([library, false]);
    }
    expect(loads(worker, 'gristmill.node')).toBe(true);
    expect((await finished).code).toBe(0);
  });

  it('is the end of a stream, which says so', async () => {
    const models = ['--document-model', 'random:tiny', '--threads', '1', '--slots', '2'];
    const { process: command, finished } = start(['refine', corpus, '--out', '-', ...models]);
    await new Promise((resolve) => command.stdout!.once('data', resolve));
    process.kill((await until(() => workerOf(command.pid!)))!, 'SIGKILL');
    const { code, stderr } = await finished;
    expect([code, stderr]).toEqual([5, expect.stringMatching(/RUN_STREAM_CUT: .*SIGKILL/)]);
  });

  it('leaves in silence when the reader of its stream does', async () => {
    const large = join(folder, 'large.jsonl');
    const text = 'A line about bees and the keeping of them.\n'.repeat(50);
    writeFileSync(large, `${JSON.stringify({ text })}\n`.repeat(600));
    const models = ['--document-model', 'random:tiny', '--threads', '1', '--slots', '2'];
    const args = ['refine', large, '--out', '-', ...models, '--doc-threshold', '0'];
    const command = spawn(process.execPath, [distFile('cli/main.js'), ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stderr = '';
    command.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk;
    });
    await new Promise((resolve) => command.stdout.once('data', resolve));
    command.stdout.destroy();
    const code = await new Promise((resolve) => command.once('close', resolve));
    expect([code, stderr]).toEqual([141, expect.not.stringContaining('EPIPE')]);
  });
});
