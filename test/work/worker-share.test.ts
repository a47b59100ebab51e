import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseWorker, shareOf, workerName } from '../../src/work/worker-share.ts';

describe('shareOf', () => {
  it('gives every unit to exactly one worker, in order and balanced to about a unit', () => {
    const sizes = fc.array(fc.integer({ min: 0, max: 1000 }), { maxLength: 60 });
    fc.assert(
      fc.property(sizes, fc.integer({ min: 1, max: 12 }), (bytes, count) => {
        const units = bytes.map((size, index) => ({ index, bytes: size }));
        const shares = Array.from({ length: count }, (_, index) =>
          shareOf(units, { index, count }),
        );
        expect(shares.flat()).toEqual(units);
        const total = bytes.reduce((sum, size) => sum + size + 1, 0);
        const largest = Math.max(0, ...bytes) + 1;
        for (const share of shares) {
          const own = share.reduce((sum, unit) => sum + unit.bytes + 1, 0);
          expect(own).toBeLessThanOrEqual(total / count + largest);
        }
      }),
    );
  });
});

describe('parseWorker', () => {
  const env = (values: Record<string, string>) => (text: string) => parseWorker(text, values);

  it('reads an index and a count', () => {
    expect(parseWorker('0/1', {})).toEqual({ index: 0, count: 1 });
    expect(parseWorker('2/3', {})).toEqual({ index: 2, count: 3 });
    expect(workerName({ index: 2, count: 3 })).toBe('2-of-3');
  });

  it.each(['3/3', '0/0', '-1/3', '1.5/3', '1', 'x/3', '0x1/3', '1/2/3', '', '0/1000001'])(
    'refuses %s',
    (text) => {
      expect(() => parseWorker(text, {})).toThrow(
        expect.objectContaining({ code: 'OPTION_INVALID' }),
      );
    },
  );

  it('reads what Slurm says of an array, wherever it begins', () => {
    const slurm = (id: string, count: string, min: string, max: string, step = '1') =>
      env({
        SLURM_ARRAY_TASK_ID: id,
        SLURM_ARRAY_TASK_COUNT: count,
        SLURM_ARRAY_TASK_MIN: min,
        SLURM_ARRAY_TASK_MAX: max,
        SLURM_ARRAY_TASK_STEP: step,
      })('env');
    expect(slurm('0', '3', '0', '2')).toEqual({ index: 0, count: 3 });
    expect(slurm('3', '3', '1', '3')).toEqual({ index: 2, count: 3 });
    expect(slurm('5', '4', '1', '7', '2')).toEqual({ index: 2, count: 4 });
  });

  // An array of 1,2,9 has three tasks, and no third of the plan for the last one.
  it('refuses an array with gaps in each of its tasks', () => {
    for (const id of ['1', '2', '9']) {
      const gaps = {
        SLURM_ARRAY_TASK_ID: id,
        SLURM_ARRAY_TASK_COUNT: '3',
        SLURM_ARRAY_TASK_MIN: '1',
        SLURM_ARRAY_TASK_MAX: '9',
      };
      expect(() => parseWorker('env', gaps)).toThrow(/without gaps/);
      if (id !== '9') expect(parseWorker('env/9', gaps)).toEqual({ index: Number(id), count: 9 });
    }
  });

  it('reads the index of an Indexed Job beside a count', () => {
    expect(env({ JOB_COMPLETION_INDEX: '4' })('env/5')).toEqual({ index: 4, count: 5 });
    expect(() => env({ JOB_COMPLETION_INDEX: '4' })('env')).toThrow(/does not say how many/);
    expect(() => env({ JOB_COMPLETION_INDEX: '5' })('env/5')).toThrow(/0\.\.4/);
    expect(() => env({ JOB_COMPLETION_INDEX: 'x' })('env/5')).toThrow(/JOB_COMPLETION_INDEX/);
    expect(() => env({})('env')).toThrow(/SLURM_ARRAY_TASK_ID or JOB_COMPLETION_INDEX/);
  });
});
