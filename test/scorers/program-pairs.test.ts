import { describe, expect, it } from 'vitest';
import { execute } from '../../src/program/execute.ts';
import { KEEP, REMOVE, UNSCORED } from '../../src/scorers/gold.ts';
import { programPairs, removedLines } from '../../src/scorers/program-pairs.ts';
import { syntheticPages } from '../train/support.ts';

const options = {
  dialect: 'prox',
  user: '[doc]\n{lines}\n[/doc]\n',
  maxWindowTokens: 60,
  countTokens: (text: string) => text.split(/\s+/).filter((word) => word !== '').length,
} as const;

describe('programPairs', () => {
  it('writes programs that leave the lines to keep, window by window', () => {
    for (const page of syntheticPages(30, 7)) {
      const pairs = programPairs(page, options);
      expect(pairs.length).toBeGreaterThan(0);
      const shown = pairs.flatMap(({ prompt }) => prompt.split('\n').slice(1, -2));
      expect(shown).toEqual(
        page.lines.map((line, index) => `[${String(index).padStart(3, '0')}]${line}`),
      );
      const program = pairs.map(({ answer }) => answer).join('\n');
      const kept = page.lines.filter((_, line) => page.labels[line] === KEEP).join('\n');
      const outcome = execute(page.text, program, { executor: 'compat' });
      if (outcome.status === 'dropped') {
        // The published executor drops what has ten words or fewer left.
        expect(kept.split(/\s+/).length).toBeLessThanOrEqual(10);
      } else {
        expect(outcome.text).toBe(kept);
      }
    }
  });

  it('keeps what has nothing to remove, and cuts a window of too many runs', () => {
    const page = syntheticPages(1, 1)[0]!;
    const lines = Array.from({ length: 12 }, (_, line) => `line ${line}`);
    const text = lines.join('\n');
    const all = { ...page, lines, text, labels: new Uint8Array(12).fill(KEEP) };
    expect(programPairs(all, options).map(({ answer }) => answer)).toEqual(['keep_chunk()']);
    const alternate = { ...all, labels: all.labels.map((_, line) => line % 2) };
    const pairs = programPairs(alternate, { ...options, maxOps: 3 });
    expect(pairs.map(({ answer }) => answer.split('\n').length)).toEqual([3, 3]);
    expect(pairs[1]!.answer.split('\n')[0]).toBe('remove_lines(start=6, end=6)');
  });

  it('leaves a line out that no window can hold', () => {
    const page = syntheticPages(1, 1)[0]!;
    const lines = ['short one', new Array(100).fill('word').join(' '), 'short two'];
    const labels = Uint8Array.of(REMOVE, KEEP, REMOVE);
    const pairs = programPairs({ ...page, lines, labels, text: lines.join('\n') }, options);
    expect(pairs.map(({ answer }) => answer)).toEqual([
      'remove_lines(start=0, end=0)',
      'remove_lines(start=2, end=2)',
    ]);
  });
});

describe('removedLines', () => {
  it('lets a line without a label go with its neighbours', () => {
    const [K, R, U] = [KEEP, REMOVE, UNSCORED];
    const labels = Uint8Array.of(U, R, U, U, R, U, K, U, K, R, U);
    expect([...removedLines(labels)]).toEqual([1, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1]);
    expect([...removedLines(Uint8Array.of(U, U))]).toEqual([0, 0]);
  });
});
