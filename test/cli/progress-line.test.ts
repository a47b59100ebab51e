import { describe, expect, it } from 'vitest';
import { etaOf, progressLine, tellOn } from '../../src/cli/progress-line.ts';
import { say } from '../../src/cli/say.ts';
import { onTerminal } from './support.ts';

describe('etaOf', () => {
  it('tells the rest by what was done since the first call', () => {
    const eta = etaOf();
    expect(eta({ done: 50, total: 100 }, 10)).toBeNull();
    // 10 of the 50 that were left took 5 s.
    expect(eta({ done: 60, total: 100 }, 15)).toBeCloseTo(20);
    expect(eta({ done: 100, total: 100 }, 40)).toBe(0);
  });

  it('says nothing while too little was done, or for too short a time', () => {
    const eta = etaOf();
    eta({ done: 0, total: 1000 }, 0);
    expect(eta({ done: 19, total: 1000 }, 60)).toBeNull();
    expect(eta({ done: 500, total: 1000 }, 1.5)).toBeNull();
    expect(eta({ done: 500, total: 1000 }, 4)).toBeCloseTo(4);
  });

  it('begins anew with another piece of work', () => {
    const eta = etaOf();
    eta({ done: 0, total: 100 }, 0);
    eta({ done: 90, total: 100 }, 9);
    expect(eta({ done: 0, total: 100 }, 10)).toBeNull();
    expect(eta({ done: 50, total: 100 }, 20)).toBeCloseTo(10);
    expect(eta({ done: 0, total: 7 }, 21)).toBeNull();
    expect(eta({ done: 0, total: 0 }, 30)).toBeNull();
  });
});

describe('a line on a terminal', () => {
  it('is rewritten, and gives way to what is said meanwhile', async () => {
    // A notice was written behind the line, on the same row of the terminal.
    const { stderr } = await onTerminal(async () => {
      using line = progressLine();
      tellOn(line)({ phase: 'reading', unit: 'rows', done: 25, total: 1000 });
      say('a file is passed over');
      line.stop();
      say('done');
    });
    expect(stderr).toBe(
      '\r\u001b[Kreading 2.5% | 25 of 1,000 rows\r\u001b[Kgristmill: a file is passed over\ngristmill: done\n',
    );
  });

  it('says no share of what nobody knows the size of', async () => {
    const { stderr } = await onTerminal(async () => {
      using line = progressLine();
      tellOn(line)({ phase: 'measuring', unit: 'windows', done: 1200, total: 0 });
    });
    expect(stderr).toBe('\r\u001b[Kmeasuring | 1,200 windows\n');
  });
});
