/** Chains as they are written: what is refused before anything runs, and how blends take the mixture in. */
import { describe, expect, it } from 'vitest';
import { checkChain, planOf } from '../../src/chain/config.ts';
import { errorOf } from '../continual/plan/support.ts';
import { writtenChain } from './support.ts';

const chain = writtenChain('/data');
const tokenizer = { path: 'tokenizer.gguf' };

describe('checkChain', () => {
  it('takes a chain of all stages, and one of a single stage', () => {
    expect(checkChain(chain)).toMatchObject({
      name: 'a test',
      mix: { folds: 0, outside: 'inside' },
    });
    const { corpora, tokenize } = chain;
    expect(checkChain({ corpora, tokenize }).continue).toBeUndefined();
  });

  it.each([
    [{ corpora: {} }, /CHAIN_INVALID .*corpora: expected at least one/],
    [
      { corpora: { ...chain.corpora, mixture: { inputs: ['a'] } } },
      /corpora\.mixture: the word stands/,
    ],
    [{ corpora: { '../up': { inputs: ['a'] } } }, /CHAIN_INVALID .*letter or digit/],
    [{ refine: { corpora: ['rye'] } }, /refine\.corpora: no corpus rye; those are: tides, kitchen/],
    [{ refine: { retention: 2 } }, /CHAIN_INVALID .*refine\.retention/],
    [{ refine: { out: 'elsewhere' } }, /CHAIN_INVALID .*out/],
    [{ mix: { ...chain.mix, targets: { rye: 1 } } }, /mix\.targets: no corpus rye/],
    [{ tokenize: undefined }, /mix: tokenize is needed in front of it/],
    [{ mix: undefined }, /continue: mixture, but the chain has no mix/],
    [{ continue: { ...chain.continue, datasets: {} } }, /continue\.datasets: the chain's own/],
    [{ continue: { ...chain.continue, tokenizer } }, /continue\.tokenizer: the chain's own/],
    [{ continue: { ...chain.continue, stages: [] } }, /CONTINUAL_PLAN_INVALID/],
    [{ mixx: {} }, /CHAIN_INVALID .*mixx/],
  ])('refuses %j', (change, message) => {
    expect(errorOf(() => checkChain({ ...chain, ...change }))).toMatch(message);
  });

  it('refuses a plan that means nothing, by its stage', () => {
    const [base, next] = chain.continue.stages;
    const stages = [base, { ...next, data: { rye: 1 } }];
    expect(
      errorOf(() => checkChain({ ...chain, continue: { ...chain.continue, stages } })),
    ).toMatch(/CONTINUAL_PLAN_INVALID .*stage next: data: no dataset rye/);
  });
});

describe('planOf', () => {
  const checked = checkChain(chain);
  const dataOf = (data: unknown, weights: Record<string, number>) => {
    const [base, next] = chain.continue.stages;
    const plan = planOf(
      { ...checked, continue: { ...chain.continue, stages: [base, { ...next, data }] } },
      ...([tokenizer, weights, 'a file'] as const),
    );
    return { data: plan.stages[1]!.data, datasets: Object.keys(plan.datasets) };
  };
  const weights = { kitchen: 0.75, garden: 0.25 };

  it('puts the weights in the place of the word, alone, beside others, and in blends in turn', () => {
    expect(dataOf('mixture', weights).data).toEqual(weights);
    expect(dataOf({ mixture: '80 %', tides: 0.2 }, weights).data).toEqual({
      tides: 0.2,
      kitchen: 0.6000000000000001,
      garden: 0.2,
    });
    expect(dataOf({ mixture: 1, kitchen: 0.25 }, weights).data).toEqual({
      kitchen: 1,
      garden: 0.25,
    });
    const inTurn = [{ data: 'tides', until: { fraction: 0.5 } }, { data: 'mixture' }];
    expect(dataOf(inTurn, weights).data).toEqual([
      { data: { tides: 1 }, until: { fraction: 0.5 } },
      { data: weights },
    ]);
  });

  it('leaves out domains without weight, and datasets that no stage takes', () => {
    expect(dataOf('mixture', { kitchen: 1, garden: 0 })).toEqual({
      data: { kitchen: 1 },
      datasets: ['tides', 'kitchen'],
    });
  });

  it('leaves what is no weight to the plan', () => {
    expect(errorOf(() => dataOf({ mixture: 'much' }, weights))).toMatch(/CONTINUAL_PLAN_INVALID/);
  });
});
