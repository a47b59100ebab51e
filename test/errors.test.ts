import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ERRORS, type ErrorCode, formatMessage, GristmillError, printable } from '../src/errors.ts';
import { ALL_REASONS } from '../src/refine/reasons.ts';

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
const codes = Object.keys(ERRORS) as ErrorCode[];
/** The first two cells of the rows of README.md's tables. */
const rows = new Map(
  readme
    .split('\n')
    .map((line) => /^\| `(\w+)` \| (.*) \|$/.exec(line))
    .flatMap((match) => (match ? [[match[1]!, match[2]!] as const] : [])),
);

describe('ERRORS', () => {
  it('are all in the README, word for word', () => {
    for (const code of codes)
      expect([code, rows.get(code)]).toEqual([code, ERRORS[code].replaceAll('|', '\\|')]);
  });

  it('are the only codes there, beside the reasons', () => {
    const known = new Set<string>([...codes, ...Object.keys(ALL_REASONS)]);
    expect(
      [...rows.keys()].filter((name) => /^[A-Z]+_[A-Z_]+$/.test(name) && !known.has(name)),
    ).toEqual([...rows.keys()].filter((name) => name.startsWith('GRISTMILL_')));
  });

  it('fill their templates and keep their details', () => {
    const error = new GristmillError('OPTION_INVALID', { option: 'n', expected: '1', received: 2 });
    expect(error.message).toBe('option n: expected 1, received 2');
    expect(error.details).toEqual({ option: 'n', expected: '1', received: 2 });
    expect(formatMessage('DISPOSED', {})).toBe('? was used after dispose()');
  });
});

describe('reasons', () => {
  it('are all in the README, word for word', () => {
    for (const [reason, meaning] of Object.entries(ALL_REASONS)) {
      expect([reason, rows.get(reason)]).toEqual([reason, meaning]);
    }
  });
});

describe('printable', () => {
  it('escapes control characters and bounds the length', () => {
    expect(printable('a\u001b[31m\nb\u2028')).toBe('a\\u001b[31m\\u000ab\\u2028');
    expect(printable('x'.repeat(500))).toHaveLength(200);
    expect(printable(undefined)).toBe('undefined');
  });
});
