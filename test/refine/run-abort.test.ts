/**
 * Ending a run from the library: `signal` drops what is under way, `stop` has it finished. The signal used to be the
 * latter: a call that was given up computed on to the end of a unit, which may take hours.
 */
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { refineCorpus } from '../../src/refine/run.ts';
import type { RefineCorpusOptions } from '../../src/refine/run-options.ts';
import { outputOf } from '../cli/support.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-run-abort-'));
const inputs = ['a', 'b', 'c'].map((name) => join(folder, `${name}.jsonl`));
const N_ROWS = 240;
afterAll(() => rmSync(folder, { recursive: true, force: true }));

beforeAll(() => {
  const text = 'Home | About\nA paragraph about bees and the keeping of them.\n(c) 2024\n'.repeat(
    3,
  );
  // The first and the last unit are done at once, the second takes many batches.
  for (const at of [0, 2]) writeFileSync(inputs[at]!, `${JSON.stringify({ text })}\n`);
  const rows = Array.from({ length: N_ROWS }, (_, row) =>
    JSON.stringify({ text: `${row} ${text}` }),
  );
  writeFileSync(inputs[1]!, `${rows.join('\n')}\n`);
});

const optionsFor = (out: string): RefineCorpusOptions => ({
  inputs,
  out: join(folder, out),
  documentModel: 'random:tiny',
  documentThreshold: 0.3,
  threads: 1,
  workers: 1,
  slots: 2,
});
const units = (out: string): string[] =>
  readdirSync(join(folder, out, '_gristmill/units')).filter((name) => /^\d/.test(name));

/** Ends a run in the middle of its second unit. @returns what came of it, and how long that took */
async function ended(out: string, way: 'signal' | 'stop', isolate: boolean) {
  const controller = new AbortController();
  const reason = new Error('the client has gone');
  let since = 0;
  const result = await refineCorpus({
    ...optionsFor(out),
    isolate,
    [way]: controller.signal,
    onProgress: ({ rows, done }) => {
      if (done || since > 0 || rows < 60) return;
      since = performance.now();
      controller.abort(reason);
    },
  }).catch((error: unknown) => error);
  return { result, reason, ms: performance.now() - since };
}

describe('a run that is given up', () => {
  it.each([true, false])(
    'rejects at once, and the next call goes on: isolate %s',
    async (isolate) => {
      const whole = `whole-${isolate}`;
      const began = performance.now();
      await refineCorpus({ ...optionsFor(whole), isolate });
      const wholeMs = performance.now() - began;
      const out = `dropped-${isolate}`;
      const { result, reason, ms } = await ended(out, 'signal', isolate);
      expect(result).toMatchObject({ name: 'AbortError', code: 'ABORTED', cause: reason });
      expect(ms).toBeLessThan(Math.max(2_000, wholeMs / 4));
      // The unit that was done is there, of the other one nothing, and nobody holds the folder.
      expect(units(out)).toHaveLength(1);
      expect(readdirSync(join(folder, out)).filter((name) => name.startsWith('part-'))).toEqual([
        'part-00000.jsonl.zst',
      ]);
      expect(existsSync(join(folder, out, '_gristmill/lock'))).toBe(false);
      const { unitsResumed, interrupted, rowsIn } = await refineCorpus({
        ...optionsFor(out),
        isolate,
      });
      expect([unitsResumed, interrupted, rowsIn]).toEqual([1, false, N_ROWS + 2]);
      expect(outputOf(join(folder, out))).toEqual(outputOf(join(folder, whole)));
    },
  );

  it('finishes its units where it is only stopped', async () => {
    const { result } = await ended('stopped', 'stop', true);
    expect(result).toMatchObject({ interrupted: true, unitsDone: 2, rowsIn: N_ROWS + 1 });
  });

  it('does nothing where the signal has fired before', async () => {
    const signal = AbortSignal.abort();
    const options = { ...optionsFor('never'), signal };
    await expect(refineCorpus(options)).rejects.toMatchObject({ code: 'ABORTED' });
    expect(existsSync(join(folder, 'never'))).toBe(false);
    await expect(refineCorpus({ ...options, inputs: ['nowhere'] })).rejects.toMatchObject({
      code: 'ABORTED',
    });
  });
});
