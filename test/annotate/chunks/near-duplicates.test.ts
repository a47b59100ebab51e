import { describe, expect, it } from 'vitest';
import {
  NearDuplicates,
  signatureOf,
  similarity,
} from '../../../src/annotate/chunks/near-duplicates.ts';
import { seededRandom } from '../../../src/seeded.ts';

function words(count: number, seed: number): string[] {
  const random = seededRandom(seed);
  return Array.from({ length: count }, () => `w${Math.floor(random() * 5000)}`);
}

/** Jaccard similarity of the runs of three words, from the definition. */
function jaccard(one: readonly string[], other: readonly string[]): number {
  const runs = (all: readonly string[]) =>
    new Set(all.slice(2).map((_, at) => all.slice(at, at + 3).join(' ')));
  const left = runs(one);
  const right = runs(other);
  const shared = [...left].filter((run) => right.has(run)).length;
  return shared / (left.size + right.size - shared);
}

describe('near duplicates', () => {
  it('estimates the Jaccard similarity within four standard errors', () => {
    for (let seed = 0; seed < 40; seed++) {
      const one = words(200, seed);
      const other = [...one.slice(0, 200 - 4 * seed), ...words(4 * seed, seed + 1000)];
      const estimated = similarity(signatureOf(one.join(' ')), signatureOf(other.join(' ')));
      expect(Math.abs(estimated - jaccard(one, other))).toBeLessThan(0.25);
    }
  });

  it('finds a window again with a few words changed, and no other', () => {
    const seen = new NearDuplicates(0.8);
    const texts = Array.from({ length: 300 }, (_, seed) => words(120, seed));
    expect(texts.filter((text) => seen.seen(text.join(' ')))).toEqual([]);
    const changed = texts.map((text) => text.with(60, 'changed').join(' '));
    expect(changed.filter((text) => !seen.seen(text)).length).toBeLessThanOrEqual(2);
  });

  it('compares short texts by their words and empty ones with each other', () => {
    const seen = new NearDuplicates(0.8);
    expect(['Menu', 'menu!', 'Home', '', '…'].map((text) => seen.seen(text))).toEqual([
      false,
      true,
      false,
      false,
      true,
    ]);
  });

  it('stays linear when everything looks alike', () => {
    const seen = new NearDuplicates(1);
    const base = words(100, 1);
    for (let at = 0; at < 5000; at++) seen.seen([...base, `tail${at}`].join(' '));
    expect(seen.seen('something else entirely')).toBe(false);
  });
});
