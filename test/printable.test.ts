/**
 * What the bugs were: names of files with escapes and line breaks reached the terminal raw in closing tables, in messages of more
 * than 200 characters and in stacks; marks that turn the reading direction or are not seen passed everywhere; messages of ours
 * lost their line breaks and their ends, with the key that was wrong.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { summaryTable } from '../src/cli/progress.ts';
import { columns } from '../src/cli/say.ts';
import { GristmillError } from '../src/errors.ts';
import { escapeHidden, printable, printableLines } from '../src/printable.ts';
import type { RunSummary } from '../src/refine/statistics.ts';

const HIDDEN = [
  ...['\0', '\u0007', '\u0008', '\r', '\u001b', '\u007f', '\u0085', '\u009b', '\u2028', '\u2029'],
  ...[
    '\u00ad',
    '\u061c',
    '\u180e',
    '\u200b',
    '\u200d',
    '\u200e',
    '\u200f',
    '\u202a',
    '\u202e',
    '\u2060',
  ],
  ...['\u2066', '\u2069', '\ufeff', '\ufff9', '\ud800', '\udfff', '\u{e0041}', '\u{1d173}'],
];

/** What may never be shown, written without the expression that is under test. */
function isHidden(code: number): boolean {
  return (
    code < 0x20 ||
    (code >= 0x7f && code <= 0x9f) ||
    (code >= 0xd800 && code <= 0xdfff) ||
    (code >= 0x200b && code <= 0x200f) ||
    (code >= 0x2028 && code <= 0x202e) ||
    (code >= 0x2060 && code <= 0x206f) ||
    (code >= 0xe0000 && code <= 0xe007f) ||
    [0xad, 0x61c, 0x180e, 0xfeff, 0xfff9, 0xfffa, 0xfffb].includes(code)
  );
}
const clean = (text: string) => [...text].every((one) => !isHidden(one.codePointAt(0)!));
const anyText = fc.string({
  unit: fc.oneof(
    fc.constantFrom(...HIDDEN, '\n', '\t', 'é', '漢', '🙂'),
    fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
  ),
  maxLength: 900,
});

describe('printable', () => {
  it.each(HIDDEN)('escapes %j', (hidden) => {
    expect(clean(printable(`a${hidden}b`))).toBe(true);
    expect(printable(`a${hidden}b`)).toMatch(/^a\\u(\{[0-9a-f]+\}|[0-9a-f]{4})b$/);
    expect(printableLines(`a${hidden}b`)).toBe(printable(`a${hidden}b`));
  });

  it('leaves text of any script as it is', () => {
    const text = 'é 漢字 🙂 שלום سلام \u0600123 हिन्दी\u00a0 \\u001b';
    expect(printable(text)).toBe(text);
  });

  it('is one line without anything hidden, whatever it is given', () => {
    fc.assert(fc.property(anyText, (text) => clean(printable(text))));
    fc.assert(
      fc.property(anyText, (text) => {
        const lines = printableLines(text, 10_000);
        expect(lines.split('\n').length).toBe(text.split('\n').length);
        return clean(lines.replaceAll('\n', '').replaceAll('\t', ''));
      }),
    );
  });

  it('leaves the middle out of what is long: both ends are seen', () => {
    const long = printable(`first${'x'.repeat(1000)}last`);
    expect(long).toHaveLength(400);
    expect(long).toMatch(/^firstx+ … x+last$/);
    expect(printable('🙂'.repeat(900))).toMatch(/^(🙂)+ … (🙂)+$/u);
    expect(printable(`${'x'.repeat(390)}\u001b${'y'.repeat(9)}`)).toMatch(/\\u001by{9}$/);
  });

  it('shows values that are no text as JSON, or at all', () => {
    expect(printable({ a: '\u001b' })).toBe('{"a":"\\u001b"}');
    expect(printable(3n)).toBe('3');
    const loop: Record<string, unknown> = {};
    loop['loop'] = loop;
    expect(printable(loop)).toBe('[object Object]');
  });
});

describe('messages', () => {
  it('are whole, with their line breaks, where they hold a reason', () => {
    const reason = `line 3:\n${'  key: value\n'.repeat(60)}    ^ nHeads is unknown`;
    const { message } = new GristmillError('TRAIN_CONFIG_INVALID', { file: 'a\nb', reason });
    expect(message).toBe(`configuration a\\u000ab: ${reason}`);
    const evil = new GristmillError('TRAIN_CONFIG_INVALID', {
      file: 'f',
      reason: 'x\n\u001b[31m\r',
    });
    expect(evil.message).toBe('configuration f: x\n\\u001b[31m\\u000d');
  });
});

describe('tables', () => {
  it('have a line a row, whatever the cells hold', () => {
    expect(
      columns([
        ['a\nb', '1'],
        ['\u001b[2J', '\u202e2'],
      ]),
    ).toBe('a\\u000ab   1\n\\u001b[2J  \\u202e2\n');
  });

  it('of a run escape files, reasons and messages', () => {
    const numbers = {
      rowsIn: 1,
      kept: 0,
      edited: 0,
      dropped: 1,
      failed: 0,
      charsIn: 1,
      charsOut: 0,
    };
    const text = summaryTable({
      ...numbers,
      ...{
        windows: 0,
        units: 1,
        unitsResumed: 0,
        unitsDone: 1,
        newTokens: 0,
        seconds: 1,
        docsPerSecond: 1,
        tokensPerSecond: 1,
      },
      reasons: { '\u001b]0;evil\u0007\nrows in  9': 1 },
      errors: [{ input: 'a\u001b[31m\nb', code: 'CORPUS_READ_FAILED', message: 'one\ntwo \u202e' }],
      interrupted: false,
      thresholds: { document: null, documentRetention: null, line: null },
    } as unknown as RunSummary);
    expect(clean(text.replaceAll('\n', ''))).toBe(true);
    expect(text).toContain(
      'failed: a\\u001b[31m\\u000ab: CORPUS_READ_FAILED: one\n  two \\u202e\n',
    );
    expect(text.split('\n').filter((line) => line.startsWith('rows in'))).toHaveLength(1);
  });
});

it('escapeHidden never cuts', () => {
  expect(escapeHidden('\u001b'.repeat(5000))).toHaveLength(30_000);
});
