/**
 * Several workers on one output folder: in this process for the protocol, as commands of their own where processes matter.
 */
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { finishRun } from '../../src/refine/finish-run.ts';
import { refineCorpus } from '../../src/refine/run.ts';
import type { RefineCorpusOptions } from '../../src/refine/run-options.ts';
import { takeLease } from '../../src/work/lease.ts';
import { outputOf, run, start } from '../cli/support.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-shared-'));
const at = (name: string): string => join(folder, name);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const N_FILES = 9;
const inputs = at('in');
beforeAll(async () => {
  const { mkdirSync } = await import('node:fs');
  mkdirSync(inputs);
  for (let file = 0; file < N_FILES; file++) {
    const rows = Array.from({ length: 6 }, (_, row) =>
      JSON.stringify({
        id: `${file}-${row}`,
        text: `Home | About\nPage ${file} ${row} of bees.\n`,
      }),
    );
    writeFileSync(join(inputs, `${file}.jsonl`), `${rows.join('\n')}\n`);
  }
  await refineCorpus(optionsFor('whole'));
});

const optionsFor = (out: string): RefineCorpusOptions => ({
  inputs,
  out: at(out),
  documentModel: 'random:tiny',
  documentThreshold: 0.3,
  threads: 1,
  workers: 1,
  slots: 4,
  isolate: false,
});
const flagsFor = (out: string, worker: string): string[] => [
  ...['refine', inputs, '--out', at(out), '--worker', worker, '--document-model', 'random:tiny'],
  ...['--doc-threshold', '0.3', '--threads', '1', '--workers', '1', '--slots', '4', '--json'],
];
const identityOf = (out: string): unknown =>
  JSON.parse(readFileSync(at(`${out}/_gristmill/run.json`), 'utf8'));

describe('workers of a static split', () => {
  it('do together what one machine does, byte for byte, and finish has its summary', async () => {
    const shares = [0, 1, 2].map((index) =>
      refineCorpus({ ...optionsFor('three'), worker: { index, count: 3 } }),
    );
    const summaries = await Promise.all(shares);
    expect(summaries.map(({ units }) => units)).toEqual([3, 3, 3]);
    expect(summaries.map(({ unitsDone }) => unitsDone)).toEqual([3, 3, 3]);
    expect(summaries[1]!.worker).toEqual({ index: 1, count: 3 });
    const finished = await finishRun(at('three'));
    expect(finished).toMatchObject({ units: 9, unitsDone: 9, missing: [], orphans: 0, rowsIn: 54 });
    expect(outputOf(at('three'))).toEqual(outputOf(at('whole')));
    expect(identityOf('three')).toEqual(identityOf('whole'));
    expect(readdirSync(at('three/_gristmill/workers'))).toEqual([]);
    // A single command finds nothing to do, and refuses nothing.
    const again = await refineCorpus(optionsFor('three'));
    expect(again).toMatchObject({ unitsResumed: 9, rowsIn: finished.rowsIn, kept: finished.kept });
  });

  it('are told what is missing when one did not come', async () => {
    await refineCorpus({ ...optionsFor('partly'), worker: { index: 0, count: 2 } });
    writeFileSync(at('partly/part-00008.jsonl.zst'), 'left by somebody');
    const finished = await finishRun(at('partly'));
    expect(finished.unitsDone + finished.missing.length).toBe(9);
    expect(finished.missing.at(-1)).toBe(8);
    expect(finished.orphans).toBe(1);
    const command = await run(['cluster', 'finish', at('partly'), '--json']);
    expect(command.code).toBe(3);
    await refineCorpus({ ...optionsFor('partly'), worker: { index: 1, count: 2 } });
    const done = await run(['cluster', 'finish', at('partly')]);
    expect([done.code, done.stderr]).toEqual([0, '']);
    expect(outputOf(at('partly'))).toEqual(outputOf(at('whole')));
  });

  it('refuse other settings by name once something is done, and give way before', async () => {
    const strict = { ...optionsFor('named'), worker: { index: 0, count: 3 } };
    const other = { ...strict, documentThreshold: 0.4, worker: { index: 1, count: 3 } };
    // Nothing was done: as if the first one had died while it loaded its models.
    await refineCorpus({ ...strict, stop: AbortSignal.abort() }).catch(() => undefined);
    expect(existsSync(at('named'))).toBe(false);
    await refineCorpus(strict);
    await expect(refineCorpus(other)).rejects.toMatchObject({
      code: 'RUN_CHANGED',
      details: { changes: expect.stringContaining('options.documentThreshold: 0.3 -> 0.4') },
    });
    rmSync(at('named/_gristmill/units'), { recursive: true });
    for (const name of readdirSync(at('named'))) {
      if (name !== '_gristmill') rmSync(join(at('named'), name), { recursive: true });
    }
    await refineCorpus(other);
    expect(identityOf('named')).toMatchObject({ options: { documentThreshold: 0.4 } });
  });

  it('leave a unit to another that has committed it, and count it once', async () => {
    cpSync(at('whole'), at('twice'), { recursive: true });
    const summary = await refineCorpus({ ...optionsFor('twice'), worker: { index: 0, count: 1 } });
    expect(summary).toMatchObject({ unitsResumed: 9, unitsDone: 9, rowsIn: 54 });
  });

  it('are not let in beside a whole run, nor a whole run beside one of them', async () => {
    // The run is shorter than its start: whoever is there is this process.
    const bookkeeping = at('lone/_gristmill');
    cpSync(at('whole'), at('lone'), { recursive: true });
    const inUse = (lock: string) => ({
      code: 'RUN_OUTPUT_IN_USE',
      details: { lock: expect.stringContaining(lock) },
    });
    const worker = await takeLease(at('lone'), join(bookkeeping, 'workers/0-of-2.lock'));
    await expect(refineCorpus(optionsFor('lone'))).rejects.toMatchObject(inUse('0-of-2.lock'));
    await expect(finishRun(at('lone'))).rejects.toMatchObject(inUse('0-of-2.lock'));
    await worker.release();
    const whole = await takeLease(at('lone'), join(bookkeeping, 'lock'));
    const share = { ...optionsFor('lone'), worker: { index: 0, count: 2 } };
    await expect(refineCorpus(share)).rejects.toMatchObject(inUse('lock'));
    await whole.release();
    await refineCorpus(share);
  });

  it('refuse what has no share: a limit, a stream', async () => {
    const worker = { index: 0, count: 2 };
    for (const wrong of [{ limit: 3 }, { out: '-' }, { inputs: '-' }]) {
      await expect(refineCorpus({ ...optionsFor('none'), ...wrong, worker })).rejects.toMatchObject(
        { code: 'OPTION_INVALID' },
      );
    }
    await expect(finishRun(at('none'))).rejects.toMatchObject({ code: 'RUN_NOT_FOUND' });
  });

  it('go on where killed ones were, three at a time', async () => {
    const args = [0, 1, 2].map((index) => flagsFor('killed', `${index}/3`));
    for (const signal of ['SIGKILL', null] as const) {
      const workers = args.map((each) => start(each));
      if (signal) {
        const units = at('killed/_gristmill/units');
        await untilLine(
          workers[0]!.process,
          () => existsSync(units) && readdirSync(units).length > 0,
        );
        for (const worker of workers) worker.process.kill(signal);
      }
      const codes = (await Promise.all(workers.map(({ finished }) => finished))).map(
        ({ code }) => code,
      );
      if (!signal) expect(codes).toEqual([0, 0, 0]);
    }
    const finished = await finishRun(at('killed'));
    expect(finished).toMatchObject({ unitsDone: 9, missing: [], rowsIn: 54 });
    expect(outputOf(at('killed'))).toEqual(outputOf(at('whole')));
    expect(readdirSync(at('killed/_gristmill')).sort()).toEqual([
      'run.json',
      'tmp',
      'units',
      'workers',
    ]);
  }, 120_000);
});

async function untilLine(child: { readonly exitCode: number | null }, isThere: () => boolean) {
  while (!isThere()) {
    if (child.exitCode !== null) throw new Error(`ended with ${child.exitCode}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
