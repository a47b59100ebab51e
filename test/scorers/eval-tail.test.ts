import { describe, expect, it } from 'vitest';
import { kindOf, TailEvaluation } from '../../src/scorers/eval-tail.ts';
import { type GoldPage, KEEP, REMOVE } from '../../src/scorers/gold.ts';

function page(id: string, content: number, noise: number): GoldPage {
  const lines = [
    ...Array.from({ length: content }, () => 'content'),
    ...Array.from({ length: noise }, () => 'noise'),
  ];
  return {
    ...{ id, domain: id, language: 'en', source: 's', text: lines.join('\n'), lines },
    labels: Uint8Array.from(lines, (line) => (line === 'content' ? KEEP : REMOVE)),
    goldText: null,
  };
}

/** Each line has ten characters. */
function add(tail: TailEvaluation, one: GoldPage, scores: readonly number[]): void {
  tail.add(one, {
    scores: Float32Array.from(scores),
    chars: one.lines.map(() => 10),
    threshold: 0.5,
  });
}

describe('TailEvaluation', () => {
  it('shows the page that a pooled figure hangs on', () => {
    const tail = new TailEvaluation();
    for (let index = 0; index < 30; index++) {
      add(tail, page(`good-${index}`, 10, 10), [
        ...Array.from({ length: 10 }, () => 0.9),
        ...Array.from({ length: 10 }, () => 0.1),
      ]);
    }
    add(tail, page('bad', 40, 1), [...Array.from({ length: 40 }, () => 0.05), 0.04]);
    const report = tail.report();
    expect(report.worstPages).toEqual([{ id: 'bad', lostChars: 400, contentChars: 400 }]);
    // Only what scores below the bad page may go; without it all noise goes.
    expect(report.withoutWorst).toBe(1);
    expect(report.pageNormalised).toBeLessThan(0.1);
    expect(report.interval[0]).toBeLessThan(report.interval[1]);
    expect(report.interval[1]).toBe(1);
    expect(report.lostLines).toMatchObject({ 'first line': 1 / 31, 'long paragraph': null });
    expect(report.lostLines['short line']).toBeCloseTo(39 / (30 * 9 + 39), 6);
  });

  it('names pages and what they lose', () => {
    const tail = new TailEvaluation();
    add(tail, page('a', 200, 4), [
      ...Array.from({ length: 199 }, () => 0.9),
      0.2,
      ...Array.from({ length: 4 }, () => 0.3),
    ]);
    add(tail, page('b', 100, 2), [...Array.from({ length: 100 }, () => 0.9), 0.1, 0.1]);
    const { worstPages } = tail.report();
    expect(worstPages[0]).toMatchObject({ id: 'a', contentChars: 2000 });
  });
});

describe('kindOf', () => {
  const long = 'x'.repeat(79);
  it.each([
    [['Title', 'a'], 0, 'first line'],
    [['a', '## Part'], 1, 'heading'],
    [['a', 'Part one', `${long}.`], 1, 'heading'],
    [['a', '- item'], 1, 'list item'],
    [['a', '12) item'], 1, 'list item'],
    [['a', 'x\ty'], 1, 'table row'],
    [['a', '| x | y |'], 1, 'table row'],
    [['a', 'return x;'], 1, 'code'],
    [['a', 'It rained.'], 1, 'short paragraph'],
    [['a', '雨が降った。'], 1, 'short paragraph'],
    [['a', 'Home'], 1, 'short line'],
    [['a', `${long}.`], 1, 'long paragraph'],
  ] as const)('%j, line %i: %s', (lines, line, kind) => {
    expect(kindOf(lines, line, 0)).toBe(kind);
  });
});

describe('what one threshold does to short pages', () => {
  it('is counted by the content of the page', () => {
    const tail = new TailEvaluation();
    // 99 long pages lose nothing; the one short page loses all that one in a hundred may.
    for (let index = 0; index < 10; index++) {
      add(tail, page(`long-${index}`, 900, 10), [
        ...Array.from({ length: 900 }, () => 0.9),
        ...Array.from({ length: 10 }, () => 0.2),
      ]);
    }
    add(tail, page('short', 20, 10), [
      ...Array.from({ length: 20 }, () => 0.1),
      ...Array.from({ length: 10 }, () => 0.95),
    ]);
    const [short, middle, , long] = tail.report().byLength;
    expect(short).toEqual({
      ...{ maxChars: 500, nPages: 1, contentKept: 0, noiseRemoved: 0, losingTenth: 1 },
    });
    expect(middle).toMatchObject({ nPages: 0, contentKept: null, losingTenth: null });
    expect(long).toMatchObject({ nPages: 10, contentKept: 1, noiseRemoved: 1, losingTenth: 0 });
  });
});
