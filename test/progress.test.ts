import { describe, expect, it } from 'vitest';
import { counting, type WorkProgress } from '../src/progress.ts';

describe('counting', () => {
  it('tells the beginning first, so that times are taken from there, and then what is done', () => {
    const told: WorkProgress[] = [];
    const tell = counting((progress) => told.push(progress), {
      ...{ phase: 'scoring', unit: 'pages', total: 10 },
    });
    expect(told.map(({ done }) => done)).toEqual([0]);
    tell();
    tell(4);
    expect(told.at(-1)).toEqual({ phase: 'scoring', unit: 'pages', done: 5, total: 10 });
    counting(undefined, { phase: '', unit: '', total: 0 })(3);
  });
});
