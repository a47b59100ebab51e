/** A microanneal as a user goes through it: plan, run with two seeds, compare. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { evaluateLm } from '../../src/train/eval-lm.ts';
import { writeDatasets, writtenPlan } from '../continual/run/support.ts';
import { run } from './support.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-continue-compare-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string): string => join(folder, name);

async function said(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(['continue', ...args]);
  expect(code === 0 ? '' : stderr).toBe('');
  return stdout.toString();
}

describe('gristmill continue compare', () => {
  it('judges a microanneal over seeds, and by the documents of one', async () => {
    writeDatasets(folder);
    const base = writtenPlan(folder).stages[0]!;
    const plan = writtenPlan(folder, {
      stages: [base],
      microanneal: { candidate: 'new', web: 'old', tokens: 2560, maxEpochs: 4 },
    });
    const runs = [];
    for (const seed of [1, 2]) {
      writeFileSync(at(`${seed}.yaml`), stringify({ ...plan, seed }));
      await said('run', at(`${seed}.yaml`), '--out', at(`run-${seed}`));
      runs.push(at(`run-${seed}`));
    }
    expect(await said('plan', at('1.yaml'))).toMatch(
      /microanneal-candidate +base, annealed +20 +2,560 +linear +0\.0004 +0 +keep/,
    );
    const { losses, nRuns, notes } = JSON.parse(await said('compare', ...runs, '--json'));
    expect({ nRuns, notes }).toEqual({ nRuns: 2, notes: [] });
    const bySet = Object.fromEntries(
      losses.map((one: { set: string; mean: number }) => [one.set, one.mean]),
    );
    // The candidate's own language is learnt, and web data are seen less.
    expect(bySet.new).toBeLessThan(0);
    expect(bySet.old).toBeGreaterThan(bySet.new);

    const data = at('new.jsonl');
    const text = await said('compare', runs[0]!, '--data', data);
    expect(text).toMatch(/texts, nats a byte .* −0\.\d{4} .* better, by 240 documents\n/);
    expect(text).toMatch(/new, nats a token .* - +not decided by 1 run\n/);
    expect(text).toMatch(/note: one run: its interval is that of texts/);
    const [, second] = JSON.parse(
      await said('compare', ...runs, '--data', data, '--json'),
    ).losses.filter(({ set }: { set: string }) => set === '(texts)' || set === 'new');
    expect(second).toMatchObject({ pairs: 'runs', nPairs: 2 });

    // Documents sum up to what is said of all of them.
    const model = join(runs[0]!, 'stages/01-microanneal-candidate/model.gguf');
    const measured = await evaluateLm({ model, data: [data], byDocument: true, nSeq: 3 });
    const { nats, bytes } = measured.documents!;
    const sum = (values: Float64Array) => values.reduce((all, one) => all + one, 0);
    expect(nats).toHaveLength(240);
    expect(sum(bytes)).toBe(measured.nBytes);
    expect(sum(nats) / sum(bytes)).toBeCloseTo(measured.lossPerByte, 9);
  }, 120_000);

  it('names what is no finished run', async () => {
    const { code, stderr } = await run(['continue', 'compare', at('nothing')]);
    expect(code).toBe(1);
    expect(stderr).toContain('the summary of a finished run');
  });
});
