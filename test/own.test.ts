import { describe, expect, it } from 'vitest';
import { Counts, own } from '../src/own.ts';
import { loadProfile } from '../src/refine/find-profile.ts';

const INHERITED = ['constructor', 'toString', 'hasOwnProperty', 'valueOf', '__proto__'];

describe.each(INHERITED)('the name %s', (name) => {
  it('is not there unless somebody put it there', () => {
    expect(own({}, name)).toBeUndefined();
    expect(own(JSON.parse(`{"${name}":3}`) as Record<string, number>, name)).toBe(3);
  });

  it('is counted like any other', () => {
    const counts = new Counts({ a: 1 });
    counts.add(name);
    counts.add(name, 2);
    expect(JSON.stringify(counts.toObject())).toBe(`{"a":1,"${name}":3}`);
    expect(new Counts(counts.toObject()).toObject()).toEqual(counts.toObject());
  });

  it('is no profile', () => {
    // `--profile constructor` ended in an error without a code.
    expect(() => loadProfile(name, undefined)).toThrow(/neither a file nor one of: prox/);
  });
});
