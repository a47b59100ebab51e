import { expect, it } from 'vitest';
import { FailureCauses } from '../../src/annotate/failure-causes.ts';

it('counts causes, those that differ in numbers together, and bounds the list', () => {
  const causes = new FailureCauses();
  for (let nth = 0; nth < 3; nth++) causes.add(`status 500: request ${nth} failed`);
  causes.add('no JSON');
  expect(causes.list()).toEqual([
    { cause: 'status 500: request 0 failed', count: 3 },
    { cause: 'no JSON', count: 1 },
  ]);
  for (let nth = 0; nth < 100; nth++) causes.add('x'.repeat(nth));
  expect(causes.list()).toHaveLength(21);
  expect(causes.list().reduce((sum, { count }) => sum + count, 0)).toBe(104);
});
