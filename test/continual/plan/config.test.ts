/** Plans as they are written: what is read, and that errors name file, stage and key. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { checkPlan, readPlan } from '../../../src/continual/plan/config.ts';
import { resolvePlan } from '../../../src/continual/plan/resolve.ts';

const folder = mkdtempSync(join(tmpdir(), 'plan-config-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(text: string): string {
  const path = join(folder, 'plan.yaml');
  writeFileSync(path, text);
  return path;
}

describe('readPlan', () => {
  it('reads units, percents, short forms and defaults', () => {
    const plan = readPlan(
      file(`
batch: { nSeq: 16, nCtx: 64 }
datasets: { english: { inputs: [a.parquet] }, german: { tokens: 2.5M } }
stages:
  - { name: base, data: english, tokens: 2M, schedule: { kind: constant, peakLr: 1e-3, warmup: 1 % } }
  - { name: next, data: { german: 3, english: 1 }, tokens: 300_000 tokens, replay: 0.5 %, start: constant }
`),
    );
    expect(plan.stages[0]).toMatchObject({ tokens: 2_000_000, data: { english: 1 }, done: false });
    expect(plan.stages[1]).toMatchObject({
      tokens: 300_000,
      replay: { share: 0.005 },
      start: { checkpoint: 'constant' },
    });
    expect(plan.datasets['german']).toEqual({ tokens: 2_500_000 });
    expect(plan).toMatchObject({ seed: 0, batch: { accumulate: 1 }, checkpointEvery: 200 });
  });

  it('reads percent in blends, and says what it expects there', () => {
    const blend = (data: unknown) =>
      checkPlan({
        batch: { nSeq: 4, nCtx: 32 },
        datasets: { a: {}, b: {} },
        stages: [{ name: 'base', data, steps: 1 }],
      }).stages[0]!.data;
    expect(blend({ a: '70 %', b: '30%' })).toEqual({ a: 0.7, b: 0.3 });
    expect(blend([{ data: { a: '50 %', b: 1 } }])).toEqual([{ data: { a: 0.5, b: 1 } }]);
    for (const wrong of [{ a: 'much' }, { a: -1 }, { a: '-5 %' }, 3, [{ data: { a: 'x' } }]]) {
      expect(() => blend(wrong)).toThrow(
        /stage base: data.*: expected .*weights? of 0 or more,? or percent/,
      );
    }
  });

  it('refuses a stage of fewer tokens than a step', () => {
    const plan = (tokens: number) =>
      resolvePlan(
        checkPlan({
          batch: { nSeq: 4, nCtx: 32 },
          datasets: { ash: { tokens: '5B' } },
          stages: [
            { name: 'a', data: 'ash', tokens, schedule: { kind: 'constant', peakLr: 1e-3 } },
          ],
        }),
      );
    expect(() => plan(127)).toThrow(/stage a: tokens: 127 are less than a step, which is 128/);
    expect(plan(255).stages[0]).toMatchObject({ nSteps: 1, nTokens: 128 });
  });

  it('names the file, the stage and the key', () => {
    expect(() => readPlan(join(folder, 'missing.yaml'))).toThrow(/missing\.yaml: ENOENT/);
    expect(() => readPlan(file('a: [1'))).toThrow(/^plan .*plan\.yaml: /);
    const stages = [{ name: 'base', data: 'a', tokens: '5 parsecs' }, { data: 'a' }, 7];
    const input = { batch: { nSeq: 0, nCtx: 64 }, datasets: {}, stages, extra: 1 };
    const error = (() => {
      try {
        checkPlan(input, 'p.yaml');
      } catch (caught) {
        return (caught as Error & { details: { reason: string } }).details.reason;
      }
      return '';
    })();
    for (const part of [
      /batch\.nSeq: /,
      /datasets: expected at least one/,
      /stage base: tokens: .*received 5 parsecs/,
      /stages\.1: name: /,
      /stages\.2: /,
      /extra/,
    ]) {
      expect(error).toMatch(part);
    }
  });
});
