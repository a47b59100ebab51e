import { describe, expect, it } from 'vitest';
import {
  type Candidate,
  checkExample,
  EXAMPLE_BOUNDS,
  executeWindow,
} from '../../../src/annotate/derive/check-example.ts';
import type { Op } from '../../../src/program/types.ts';

const TEXT = 'Home | About\nA text about swifts.\n\n© 2020 Us';
const removeFirst: Op = { op: 'remove_lines', lineStart: 7, lineEnd: 8 };

function check(changes: Partial<Candidate>, bounds = EXAMPLE_BOUNDS) {
  const candidate = {
    text: TEXT,
    lineStart: 7,
    lineEnd: 11,
    dialect: 'prox',
    ops: [],
    intended: null,
  } as const;
  return checkExample({ ...candidate, ...changes }, bounds);
}

describe('checkExample', () => {
  it('keeps what holds, with its program and its result', () => {
    expect(check({ ops: [removeFirst], intended: 'A text about swifts.\n\n© 2020 Us' })).toEqual({
      program: 'remove_lines(start=7, end=7)',
      refined: 'A text about swifts.\n\n© 2020 Us',
    });
    expect(check({ intended: TEXT })).toEqual({ program: 'keep_chunk()', refined: TEXT });
    expect(check({ dialect: 'ultrax' })).toEqual({ program: 'keep_all()', refined: TEXT });
  });

  it('tells a window of which nothing stays from one of which an empty line stays', () => {
    const all: Op = { op: 'remove_lines', lineStart: 7, lineEnd: 11 };
    expect(check({ ops: [all], intended: '' })).toMatchObject({ refined: '' });
    const window = { text: TEXT, lineStart: 7, lineEnd: 11, dialect: 'prox' } as const;
    const some = 'remove_lines(start=7, end=8)\nremove_lines(start=10, end=10)';
    expect(executeWindow(window, some)).toEqual({ refined: '', allEffective: true });
    expect(
      executeWindow({ ...window, lineStart: 0, lineEnd: 4 }, 'remove_lines(start=0, end=3)'),
    ).toEqual({
      refined: '',
      allEffective: true,
    });
  });

  it('finds an op that does something else than intended', () => {
    expect(check({ ops: [removeFirst], intended: TEXT })).toEqual({ reason: 'differs' });
  });

  it.each<[string, readonly Op[], string]>([
    [
      'a string that is not there',
      [{ op: 'normalize', source: 'nowhere', target: '' }],
      'no_effect',
    ],
    ['a line of another window', [{ op: 'remove_lines', lineStart: 3, lineEnd: 4 }], 'no_effect'],
    ['a line twice', [removeFirst, removeFirst], 'no_effect'],
    ['a string of white space', [{ op: 'normalize', source: ' ', target: '' }], 'does_not_parse'],
    [
      'a string over a line break',
      [{ op: 'normalize', source: 'About\nA', target: '' }],
      'does_not_parse',
    ],
    [
      'a string too long',
      [{ op: 'normalize', source: 'x'.repeat(151), target: '' }],
      'source_too_long',
    ],
    ['too many ops', Array.from({ length: 13 }, () => removeFirst), 'too_many_ops'],
  ])('refuses %s', (_, ops, reason) => {
    expect(check({ ops })).toEqual({ reason });
  });

  it('bounds the window and what may go', () => {
    expect(check({ text: 'short', lineEnd: 8 })).toEqual({ reason: 'too_short' });
    expect(check({ ops: [removeFirst] }, { ...EXAMPLE_BOUNDS, maxRemovedShare: 0.1 })).toEqual({
      reason: 'removes_too_much',
    });
  });
});
