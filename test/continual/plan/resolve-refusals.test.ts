/** Plans that resolvePlan() refuses, and what it says of them. */
import { describe, expect, it } from 'vitest';
import type { PlanInput } from '../../../src/continual/plan/config.ts';
import { cosine, errorOf, infinite, planOf, type StageInput, stagesOf } from './support.ts';

describe('what is refused', () => {
  const one: StageInput = { name: 'one', data: 'a', steps: 10, schedule: cosine };
  const two: StageInput = { name: 'two', data: 'b', steps: 10, schedule: cosine };
  const constant = { ...one, schedule: infinite };
  const done: StageInput = { ...one, done: true };

  it.each<[string, Partial<PlanInput>, RegExp]>([
    [
      'replay above 100 %',
      stagesOf(one, { ...two, replay: '120 %' }),
      /stage two: replay.*0\.\.100 %.*120 %/,
    ],
    [
      'a share above 1',
      stagesOf(one, { ...two, replay: { share: 1.5 } }),
      /stage two: replay.*1\.5/,
    ],
    [
      'replay in the first stage',
      stagesOf({ ...one, replay: 0.1 }),
      /stage one: replay: 0\.1, but nothing was seen/,
    ],
    [
      'a dataset nobody knows',
      stagesOf({ ...one, data: 'd' }),
      /stage one: data: no dataset d; those are: a, b, c/,
    ],
    ['one that objects have', stagesOf({ ...one, data: 'constructor' }), /no dataset constructor/],
    [
      'the same in replay.from',
      stagesOf(one, { ...two, replay: { share: 0.1, from: { d: 1 } } }),
      /stage two: replay\.from: no dataset d/,
    ],
    [
      'replay of what was not seen',
      stagesOf(one, { ...two, replay: { share: 0.1, from: { c: 1 } } }),
      /stage two: replay\.from: c was not seen.*seen: a/,
    ],
    [
      'weights that are all 0',
      stagesOf({ ...one, data: { a: 0, b: 0 } }),
      /stage one: data: the weights sum to 0/,
    ],
    [
      'the same in replay.from',
      stagesOf(one, { ...two, replay: { share: 0.1, from: { a: 0 } } }),
      /stage two: replay\.from: the weights sum to 0/,
    ],
    ['weights below 0', stagesOf({ ...one, data: { a: -1, b: 2 } }), /stage one: data/],
    [
      'neither tokens nor steps',
      stagesOf({ name: 'one', data: 'a', schedule: cosine }),
      /stage one: tokens: expected one of tokens and steps, received neither/,
    ],
    ['both', stagesOf({ ...one, tokens: 640 }), /received tokens 640 and steps 10/],
    [
      'tokens without end',
      stagesOf({ name: 'one', data: 'a', tokens: '1000000T', schedule: cosine }),
      /stage one: tokens: .*2\^53/,
    ],
    [
      'a unit nobody knows',
      stagesOf({ name: 'one', data: 'a', tokens: '5 parsecs', schedule: cosine }),
      /stage one: tokens.*parsecs/,
    ],
    [
      'two stages of a name',
      stagesOf(one, { ...two, name: 'one' }),
      /stage one: name: there is another/,
    ],
    [
      'a start behind it',
      stagesOf(one, { ...two, start: { stage: 'three' } }, { ...two, name: 'three' }),
      /stage two: start\.stage: no stage three in front of it; those are: one/,
    ],
    [
      'itself as start',
      stagesOf(one, { ...two, start: { stage: 'two' } }),
      /no stage two in front/,
    ],
    [
      'a start of the first stage',
      stagesOf({ ...one, start: 'constant' }),
      /stage one: start: it is the first/,
    ],
    [
      'constant of a cosine',
      stagesOf(one, { ...two, start: 'constant' }),
      /stage two: start: constant, but the schedule of one \(cosine\) has no constant phase; start from its end/,
    ],
    [
      'constant of a constant',
      stagesOf(
        { ...one, schedule: { kind: 'constant', peakLr: 1e-3 } },
        { ...two, start: 'constant' },
      ),
      /its end is its constant phase, so write annealed/,
    ],
    [
      'done behind others',
      { model: { from: 'x' }, ...stagesOf(one, { ...two, done: true }) },
      /stage two: done: .*but one in front is not/,
    ],
    ['done without weights', stagesOf(done, two), /stage one: done: model\.from is needed/],
    ['all done', { model: { from: 'x' }, ...stagesOf(done) }, /stages: all are done/],
    [
      'a start from a done stage that is not the last',
      {
        model: { from: 'x' },
        ...stagesOf(done, { ...done, name: 'more' }, { ...two, start: { stage: 'one' } }),
      },
      /stage two: start\.stage: one is done, but model\.from holds the weights of more/,
    ],
    [
      'two checkpoints in one file',
      {
        model: { from: 'x' },
        ...stagesOf(
          { ...constant, done: true },
          { ...two, start: 'constant' },
          { ...two, name: 'three', start: { stage: 'one' } },
        ),
      },
      /stage three: start: annealed of one, but two starts from its other/,
    ],
    ['no schedule', stagesOf({ name: 'one', data: 'a', steps: 1 }), /stage one: schedule: missing/],
    [
      'a blend without an end',
      stagesOf({ ...one, data: [{ data: 'a' }, { data: 'b' }] }),
      /stage one: data\.0\.until: missing/,
    ],
    [
      'an end that does not come',
      stagesOf({ ...one, data: [{ data: 'a', until: { lrFraction: 0.01 } }, { data: 'b' }] }),
      /stage one: data\.0\.until: the rate never falls/,
    ],
    [
      'a rate out of order',
      { rates: { peakLr: 1e-3, minLr: 1e-2 }, ...stagesOf(one) },
      /rates\.minLr: 0\.01 is above peakLr 0\.001/,
    ],
    [
      'a constant rate outside',
      { rates: { peakLr: 1e-3, constantLr: 1e-5 }, ...stagesOf(one) },
      /rates\.constantLr: 0\.00001 is not in 0\.0001\.\.0\.001/,
    ],
    [
      'a step that nobody can count',
      { batch: { nSeq: 2 ** 40, nCtx: 2 ** 40 }, ...stagesOf(one) },
      /batch: .*2\^53/,
    ],
  ])('%s', (_, input, expected) => {
    const message = errorOf(() => planOf(input, { file: 'plan.yaml' }));
    expect(message).toMatch(/^CONTINUAL_PLAN_INVALID plan /);
    expect(message).toMatch(expected);
  });

  it('a schedule that does not fit, by its stage', () => {
    const schedule = { ...infinite, constant: '45 %' };
    expect(errorOf(() => planOf(stagesOf({ ...one, schedule }), { file: 'p.yaml' }))).toMatch(
      /^SCHEDULE_INVALID plan p\.yaml: stage one: schedule: /,
    );
  });
});
