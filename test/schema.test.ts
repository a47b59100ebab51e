import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { checkPlan } from '../src/continual/plan/config.ts';
import { checkDomains } from '../src/mixture/domains.ts';
import { byName, faultText } from '../src/schema.ts';
import { checkTrainConfig } from '../src/train/config.ts';

describe('byName', () => {
  const schema = z.object({ weights: byName(z.number()) });
  // z.record() drops the first of these.
  it.each(['__proto__', 'constructor', 'toString', 'a.b'])('keeps the name %s', (name) => {
    const input = JSON.parse(`{"weights":{"${name}":2,"other":1}}`);
    const { weights } = schema.parse(input);
    expect(Object.entries(weights)).toEqual([
      [name, 2],
      ['other', 1],
    ]);
    expect(Object.getPrototypeOf(weights)).toBe(Object.prototype);
  });

  it('names the key whose value is wrong', () => {
    const input = JSON.parse('{"weights":{"__proto__":"x"}}');
    const { error } = schema.safeParse(input);
    expect(faultText(error!, input, 'file')).toMatch(/^weights\.__proto__: .*expected number/);
    expect(schema.safeParse({ weights: [1] }).error!.issues[0]).toMatchObject({
      path: ['weights'],
      message: 'expected an object of values by name',
    });
  });

  it('checks names', () => {
    const named = byName(z.number(), z.string().max(3));
    expect(named.safeParse({ abcd: 1 }).error!.issues[0]).toMatchObject({ path: ['abcd'] });
  });
});

const train = (part: object) => ({
  objective: 'pretrain',
  out: 'out',
  model: { from: 'm.gguf' },
  data: { inputs: ['a'] },
  steps: 1,
  batch: { nSeq: 1, nCtx: 8 },
  schedule: { peakLr: 1 },
  ...part,
});
const plan = (part: object, stage: object = {}) => ({
  batch: { nSeq: 1, nCtx: 8 },
  datasets: { a: { inputs: ['a'] } },
  stages: [{ name: 's', data: 'a', ...stage }],
  ...part,
});
const reasonOf = (check: () => unknown): string => {
  try {
    check();
  } catch (error) {
    return String((error as { details: { reason: string } }).details.reason);
  }
  return 'nothing';
};

describe('faultText', () => {
  // A union said only that the value was none of its forms, and hid the key that was wrong.
  it.each([
    [
      { model: { shape: { nEmbd: 8, nLayer: 1, nHeads: 2 } } },
      /model\.shape: Unrecognized key: "nHeads" \(did you mean nHead\?\)/,
    ],
    [
      { model: { shape: { nEmbd: 8, nLayer: 1, nHead: 2, nHeadKvs: 2 } } },
      /^model\.shape: Unrecognized key: "nHeadKvs"/,
    ],
    [
      { model: { shape: { nEmbd: 'x', nLayer: 1, nHead: 2 } } },
      /^model\.shape\.nEmbd: .*expected number/,
    ],
    [{ model: { from: 3 } }, /^model\.from: .*expected string/],
    [{ model: { form: 'm.gguf' } }, /Unrecognized key: "form" \(did you mean from\?\)/],
    [{ model: { path: 'm.gguf' } }, /^model: expected \{ from: FILE \} or/],
    [{ model: 'm.gguf' }, /^model: expected \{ from: FILE \} or/],
    [{ tokenizer: { train: { vocabSize: 10 } } }, /^tokenizer\.train\.vocabSize: .*257/],
    [{ tokenizer: { train: { vocab: 300 } } }, /tokenizer\.train: Unrecognized key: "vocab"/],
    [{ schedule: { peakLR: 1 } }, /Unrecognized key: "peakLR" \(did you mean peakLr\?\)/],
    [
      { schedule: { curve: { kind: 'cosine', peakLr: 1, minLR: 0 } } },
      /^schedule\.curve: Unrecognized key: "minLR"/,
    ],
    [{ schedule: { curve: { kind: 'cosin', peakLr: 1 } } }, /^schedule\.curve\.kind: .*'cosine'/],
    [
      { schedule: { curve: { kind: 'cosine', peakLr: 1, warmup: { steps: -1 } } } },
      /^schedule\.curve\.warmup\.steps: .*>=0/,
    ],
    [{ bacth: 1 }, /Unrecognized key: "bacth"/],
  ])('of a training run: %j', (part, expected) => {
    expect(reasonOf(() => checkTrainConfig(train(part)))).toMatch(expected);
  });

  it.each([
    [{}, { replay: { share: 0.2, form: {} } }, /^stage s: replay: Unrecognized key: "form"/],
    [{}, { replay: { share: 2 } }, /^stage s: replay\.share: expected a share/],
    [{}, { data: { a: 'x' } }, /^stage s: data\.a: expected a weight/],
    [{}, { data: [{ data: 'a', untill: {} }] }, /^stage s: data\.0: Unrecognized key: "untill"/],
    [{}, { start: { stge: 's' } }, /^stage s: start: Unrecognized key: "stge"/],
    [
      { model: { shape: { nEmbd: 8, nLayer: 1, nHeads: 2 } } },
      {},
      /model\.shape: Unrecognized key: "nHeads"/,
    ],
    [
      JSON.parse('{"datasets":{"__proto__":{"inputs":["a"]}}}'),
      {},
      /^datasets\.__proto__: expected a letter or digit/,
    ],
    [
      JSON.parse('{"validation":{"sets":{"__proto__":{"inputs":["a"]}}}}'),
      {},
      /__proto__: expected a letter or digit/,
    ],
  ])('of a plan: %j %j', (part, stage, expected) => {
    expect(reasonOf(() => checkPlan(plan(part, stage)))).toMatch(expected);
  });

  it('of domains', () => {
    const domains = [{ name: 'a', token: 3 }, { name: 'b' }] as never;
    expect(reasonOf(() => checkDomains(domains))).toMatch(/^0: Unrecognized key: "token"/);
  });
});

// Refused by `train` and let through by plans.
it('a model that comes from a file keeps its tokenizer, in plans too', () => {
  const part = { model: { from: 'm.gguf' }, tokenizer: { train: { vocabSize: 300 } } };
  const expected = 'tokenizer: a model that comes from a file keeps its tokenizer';
  expect(reasonOf(() => checkTrainConfig(train(part)))).toBe(expected);
  expect(reasonOf(() => checkPlan(plan(part)))).toBe(expected);
  const model = { shape: { nEmbd: 8, nLayer: 1, nHead: 2 } };
  expect(reasonOf(() => checkPlan(plan({ ...part, model })))).toBe('nothing');
});
