/** The cluster example: what its files say to each other and to the command. It was run as its README has it. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { parseWorker } from '../../src/work/worker-share.ts';

const at = (name: string): string =>
  fileURLToPath(new URL(`../../examples/cluster/${name}`, import.meta.url));
const text = (name: string): string => readFileSync(at(name), 'utf8');

interface Job {
  readonly spec: {
    readonly completionMode: string;
    readonly completions: number;
    readonly parallelism: number;
    readonly backoffLimitPerIndex: number;
    readonly template: {
      readonly spec: {
        readonly restartPolicy: string;
        readonly containers: readonly {
          readonly name: string;
          readonly command: readonly string[];
        }[];
      };
    };
    readonly podFailurePolicy: {
      readonly rules: readonly { readonly onExitCodes?: { readonly containerName: string } }[];
    };
  };
}

describe('the Indexed Job', () => {
  it('splits the plan among as many workers as it has completions', () => {
    const { spec } = parse(text('indexed-job.yaml')) as Job;
    expect(spec.completionMode).toBe('Indexed');
    // Per-index limits need it, and pods that are not started again in place.
    expect(spec.template.spec.restartPolicy).toBe('Never');
    const [container] = spec.template.spec.containers;
    const worker = container!.command[container!.command.indexOf('--worker') + 1]!;
    const shares = Array.from({ length: spec.completions }, (_, index) =>
      parseWorker(worker, { JOB_COMPLETION_INDEX: String(index) }),
    );
    expect(shares.map(({ index }) => index)).toEqual([0, 1, 2]);
    expect(shares.every(({ count }) => count === spec.completions)).toBe(true);
    const named = spec.podFailurePolicy.rules.flatMap(({ onExitCodes }) => onExitCodes ?? []);
    expect(named.map(({ containerName }) => containerName)).toEqual([container!.name]);
  });
});

describe('the scripts for Slurm', () => {
  it('are an array without gaps that reads its share from the environment', () => {
    const [, first, last] = /--array=(\d+)-(\d+)/.exec(text('slurm-array.sh'))!;
    const count = String(Number(last) - Number(first) + 1);
    const [, worker] = /--worker (\S+)/.exec(text('slurm-array.sh'))!;
    const env = {
      SLURM_ARRAY_TASK_ID: last!,
      SLURM_ARRAY_TASK_COUNT: count,
      SLURM_ARRAY_TASK_MIN: first!,
    };
    expect(parseWorker(worker!, env)).toEqual({ index: Number(count) - 1, count: Number(count) });
    expect(text('slurm-finish.sh')).toContain('cluster finish "$OUT"');
  });
});
