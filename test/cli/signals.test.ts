/** Signals to a run: in every phase it ends with code 130, and no engine is left. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeTestCorpus } from '../support/corpus.ts';
import { outputOf, run, start } from './support.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-signals-'));
const corpus = join(folder, 'corpus.parquet');
const commandFor = (out: string, rows = 24): string[] => [
  ...['refine', corpus, '--out', out, '--threads', '1', '--json', '--unit-rows', String(rows)],
  ...['--document-model', 'random:tiny', '--chunk-model', 'random:tiny', '--doc-threshold', '0.45'],
];

beforeAll(() => writeTestCorpus(corpus, { nRows: 192, rowGroupRows: 24, seed: 5 }));
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

/** The command has taken SIGTERM over, and a moment has gone by in which it came to wait. */
async function untilListening(pid: number): Promise<void> {
  await until(() => {
    const mask = /^SigCgt:\s*([0-9a-f]+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))![1]!;
    return ((BigInt(`0x${mask}`) >> 14n) & 1n) === 1n;
  });
  await sleep(1_500);
}

const nUnits = (out: string): number => {
  const units = join(out, '_gristmill/units');
  return existsSync(units) ? readdirSync(units).filter((name) => /^\d/.test(name)).length : 0;
};

describe.skipIf(process.platform !== 'linux')('a signal', () => {
  // Was: planning did not hear it; opening a FIFO that nobody writes to never returned, and neither did the command.
  it('ends a run that waits for a FIFO in planning', async () => {
    const fifo = join(folder, 'x.jsonl');
    execFileSync('mkfifo', [fifo]);
    const { process, finished } = start(['refine', fifo, '--out', join(folder, 'fifo')]);
    await untilListening(process.pid!);
    const begun = performance.now();
    process.kill('SIGTERM');
    const { code, stderr } = await finished;
    expect([code, stderr]).toEqual([130, expect.stringContaining('interrupted')]);
    expect(performance.now() - begun).toBeLessThan(10_000);
  }, 60_000);

  it('ends a run that waits for standard input', async () => {
    const { process, finished } = start(['refine', '-', '--out', '-'], { keepStdin: true });
    await untilListening(process.pid!);
    process.kill('SIGINT');
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
    expect(engines.length).toBeGreaterThan(0);
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
      const { process, finished } = start(commandFor(out, 192));
      await until(() => existsSync(join(out, '_gristmill/tmp/00000')));
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
      `objective: pretrain\nout: ${join(folder, 'train')}\nmodel: { shape: { nEmbd: 32, nLayer: 1, nHead: 2 } }\ntokenizer: { train: { vocabSize: 300 } }\ndata: { inputs: [${corpus}] }\nsteps: 60\nbatch: { nSeq: 2, nCtx: 32 }\nschedule: { peakLr: 1e-3 }\n`,
    );
    const both = await Promise.all([1, 2].map(() => run(['train', config, '--json'])));
    const codes = both.map(({ code }) => code).sort();
    expect([codes, both.map(({ stderr }) => stderr).join('')]).toEqual([
      [0, 1],
      expect.stringContaining('RUN_OUTPUT_IN_USE'),
    ]);
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
    expect(JSON.parse(limited(128, commandFor(out).join(' ')))).toMatchObject({ rowsIn: 192 });
  }, 90_000);
});
