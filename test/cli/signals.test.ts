/** Signals to a run: in every phase it ends with code 130, and no worker is left. */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Table, tableToIPC, Utf8, vectorFromArray } from 'apache-arrow';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { outputOf, run, type Started, start } from './support.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-signals-'));
const N_FILES = 8;
const N_ROWS = 6;
/** Small files for many units, or one large one for a unit that takes long. */
const inputs = (kind: 'many' | 'one'): string => join(folder, kind);
const commandFor = (out: string, kind: 'many' | 'one' = 'many'): string[] => [
  ...['refine', inputs(kind), '--out', out, '--threads', '1', '--json'],
  ...['--document-model', 'random:tiny', '--doc-threshold', '0.45'],
  // Writing programs takes long enough to be in the middle of it.
  ...(kind === 'one' ? ['--chunk-model', 'random:tiny'] : []),
];

function writeRows(file: string, nRows: number): void {
  const rows = Array.from({ length: nRows }, (_, row) => ({
    id: `${row}`,
    text: `Home | About\nA paragraph, number ${row}, about bees and the keeping of them.\n(c) 2024\n`.repeat(
      3,
    ),
  }));
  writeFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
}

beforeAll(() => {
  for (const kind of ['many', 'one'] as const) mkdirSync(inputs(kind));
  for (let file = 0; file < N_FILES; file++) {
    writeRows(join(inputs('many'), `${file}.jsonl`), N_ROWS);
  }
  writeRows(join(inputs('one'), 'all.jsonl'), 2_000);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Numbers of the processes below one. */
function childrenOf(pid: number): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
    return text.split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

const isThere = (pid: number): boolean =>
  existsSync(`/proc/${pid}`) && !/\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));

async function until(holds: () => boolean, ms = 30_000): Promise<void> {
  const end = performance.now() + ms;
  while (!holds()) {
    if (performance.now() > end) throw new Error('it never came to be');
    await sleep(20);
  }
}

const nUnits = (out: string): number => {
  const units = join(out, '_gristmill/units');
  return existsSync(units) ? readdirSync(units).filter((name) => /^\d/.test(name)).length : 0;
};

/** Has a process say when it begins to listen to SIGTERM: Node's own handlers cannot be told from ours from outside. */
const TELLING = {
  NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(
    "process.on('newListener', (name) => name === 'SIGTERM' && process.stderr.write('listening\\n'))",
  )}`,
};

/** A command that has begun to listen. */
async function listening(args: readonly string[]): Promise<Started> {
  const started = start(args, { keepStdin: true, env: TELLING });
  await new Promise((resolve) => started.process.stderr!.once('data', resolve));
  return started;
}

describe.skipIf(process.platform !== 'linux')('a signal', () => {
  // Was: in the first second, while the program was loaded, a signal killed the process (no code of ours).
  it.each(['SIGINT', 'SIGTERM'] as const)(
    'ends a command that is still being loaded: %s',
    async (signal) => {
      for (const delayMs of [0, 50, 150, 300, 600]) {
        const { process, finished } = await listening(['refine', '-', '--out', '-']);
        await sleep(delayMs);
        process.kill(signal);
        const { code, signal: killed, stderr } = await finished;
        expect([delayMs, code, killed, stderr]).toEqual([
          ...[delayMs, 130, null],
          expect.stringContaining('interrupted'),
        ]);
      }
    },
    60_000,
  );

  it('ends commands that do not listen themselves with the same code', async () => {
    const { process, finished } = await listening(['execute']);
    process.stdin!.write('{"text":"a","program":"keep_all()"}\n');
    await new Promise((resolve) => process.stdout!.once('data', resolve));
    process.kill('SIGTERM');
    expect((await finished).code).toBe(130);
  }, 60_000);

  // Was: planning did not hear it, and what waited for input waited on.
  it.each(['SIGINT', 'SIGTERM'] as const)(
    'ends a run that waits for standard input in planning: %s',
    async (signal) => {
      const { process, finished } = start(['refine', '-', '--out', '-'], { keepStdin: true });
      // The head of a message that is longer than what comes of it: more than a pipe holds, so that it is being read.
      const begun = Buffer.alloc(2_000_000);
      begun.writeInt32LE(-1);
      begun.writeInt32LE(3_000_000, 4);
      await new Promise((resolve) => process.stdin!.write(begun, resolve));
      process.kill(signal);
      const { code, stderr } = await finished;
      expect([code, stderr]).toEqual([130, expect.stringContaining('interrupted')]);
    },
    60_000,
  );

  it('ends a run that waits for more of standard input', async () => {
    const text = vectorFromArray(['A line about bees.\nHome | About'], new Utf8());
    const whole = tableToIPC(new Table({ text }), 'stream');
    const args = ['refine', '-', '--out', '-', '--document-model', 'random:tiny', '--threads', '1'];
    const { process, finished } = start(args, { keepStdin: true });
    // All but the end of the stream.
    process.stdin!.write(whole.subarray(0, -8));
    await new Promise((resolve) => process.stdout!.once('data', resolve));
    process.kill('SIGTERM');
    expect((await finished).code).toBe(130);
  }, 60_000);

  // Was: a SIGTERM to the group killed the engines; the run, told to stop, started them again.
  it('to every process of a run ends it in good order, and what is left is done by the next', async () => {
    const whole = join(folder, 'whole');
    expect((await run(commandFor(whole))).code).toBe(0);
    const out = join(folder, 'group');
    const { process, finished } = start(commandFor(out));
    await until(() => nUnits(out) > 0);
    const engines = childrenOf(process.pid!);
    expect(engines).toHaveLength(1);
    for (const pid of [...engines, process.pid!]) globalThis.process.kill(pid, 'SIGTERM');
    const { code, stderr } = await finished;
    expect([code, stderr.includes('started again')]).toEqual([130, false]);
    expect(engines.filter(isThere)).toEqual([]);
    const { unitsResumed, units } = JSON.parse((await run(commandFor(out))).stdout.toString());
    expect(unitsResumed).toBeGreaterThan(0);
    expect(unitsResumed).toBeLessThan(units);
    expect(outputOf(out)).toEqual(outputOf(whole));
  }, 120_000);

  // Was: an engine that computed ran on for minutes after its run had gone.
  it.each(['a second interrupt', 'SIGKILL'])(
    'leaves no engine behind: %s',
    async (how) => {
      const out = join(folder, how.replaceAll(' ', '-'));
      const { process, finished } = start(commandFor(out, 'one'));
      await until(() => childrenOf(process.pid!).length === 1);
      await sleep(2_000);
      const engines = childrenOf(process.pid!);
      expect(engines.length).toBeGreaterThan(0);
      if (how === 'SIGKILL') process.kill('SIGKILL');
      else {
        process.kill('SIGINT');
        await sleep(300);
        process.kill('SIGTERM');
      }
      const begun = performance.now();
      const { code, signal } = await finished;
      expect(how === 'SIGKILL' ? signal : code).toBe(how === 'SIGKILL' ? 'SIGKILL' : 130);
      expect(performance.now() - begun).toBeLessThan(5_000);
      await until(() => engines.every((pid) => !isThere(pid)), 5_000);
    },
    60_000,
  );

  // Was: with a stuck engine an interrupt waited for ever.
  it('ends a run whose engine is stuck', async () => {
    const out = join(folder, 'stuck');
    const { process, finished } = start(commandFor(out));
    await until(() => nUnits(out) > 0);
    for (const pid of childrenOf(process.pid!)) globalThis.process.kill(pid, 'SIGSTOP');
    await sleep(500);
    process.kill('SIGTERM');
    expect((await finished).code).toBe(130);
  }, 90_000);

  // Was: two trainings in one folder, exit 0 with the records of both.
  it('two trainings of one folder: one is refused', async () => {
    const config = join(folder, 'train.yaml');
    writeFileSync(
      config,
      `objective: pretrain\nout: ${join(folder, 'train')}\nmodel: { shape: { nEmbd: 32, nLayer: 1, nHead: 2 } }\ntokenizer: { train: { vocabSize: 300 } }\ndata: { inputs: [${inputs('many')}] }\nsteps: 100000\nbatch: { nSeq: 2, nCtx: 32 }\nschedule: { peakLr: 1e-3 }\n`,
    );
    const first = start(['train', config, '--json']);
    const losses = join(folder, 'train', 'losses.jsonl');
    await until(() => existsSync(losses) && readFileSync(losses).length > 0);
    const second = await run(['train', config, '--json']);
    expect([second.code, second.stderr]).toEqual([1, expect.stringContaining('RUN_OUTPUT_IN_USE')]);
    first.process.kill('SIGTERM');
    expect((await first.finished).code).toBe(130);
    const steps = readFileSync(losses, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).step);
    expect(steps).toEqual(steps.map((_, index) => index + 1));
  }, 90_000);
});

describe.skipIf(process.platform !== 'linux')('descriptors', () => {
  // Was: 300 modules were opened at once, so that 128 descriptors did not do to print the version.
  it('64 are enough to start, 128 to refine', async () => {
    const main = new URL('../../dist/cli/main.js', import.meta.url).pathname;
    const limited = (n: number, args: string): string =>
      String(execFileSync('sh', ['-c', `ulimit -n ${n}; exec node ${main} ${args}`]));
    expect(limited(64, '--version')).toMatch(/^\d/);
    const out = join(folder, 'few');
    expect(JSON.parse(limited(128, commandFor(out).join(' ')))).toMatchObject({
      rowsIn: N_FILES * N_ROWS,
    });
  }, 90_000);
});
