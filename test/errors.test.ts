import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  abortError,
  ERRORS,
  type ErrorCode,
  formatMessage,
  GristmillError,
  isGristmillError,
  printable,
  throwIfAborted,
  untilAborted,
} from '../src/errors.ts';
import { ALL_REASONS } from '../src/refine/reasons.ts';

const page = readFileSync(new URL('../docs/errors.md', import.meta.url), 'utf8');
/** Codes are headings of docs/errors.md with their message in a fence below, and what to do; then comes the table of reasons. */
const codes = [...page.matchAll(/^### (\w+)\n\n```text\n(.*)\n```\n\n(?=\S)/gm)].map(
  ([, code, message]) => [code!, message!],
);
const reasons = [...page.matchAll(/^\| `(\w+)` +\| (.*?) *\|$/gm)].map(([, reason, meaning]) => [
  reason!,
  meaning!.replaceAll('\\|', '|'),
]);

describe('ERRORS and reasons', () => {
  it('are what docs/errors.md lists, word for word and in order', () => {
    expect(codes).toEqual(Object.entries(ERRORS));
    expect(reasons).toEqual(Object.entries(ALL_REASONS));
    expect(page.match(/^### /gm)).toHaveLength(codes.length);
  });
});

describe('GristmillError', () => {
  it('fills its template and keeps its details', () => {
    const error = new GristmillError('OPTION_INVALID', { option: 'n', expected: '1', received: 2 });
    expect(error.message).toBe('option n: expected 1, received 2');
    expect(error.details).toEqual({ option: 'n', expected: '1', received: 2 });
    expect(isGristmillError(error, 'OPTION_INVALID')).toBe(true);
    expect(isGristmillError(error, 'DISPOSED')).toBe(false);
    expect(isGristmillError(new Error('other'))).toBe(false);
  });

  it('shows a missing detail instead of hiding the message', () => {
    for (const code of Object.keys(ERRORS) as ErrorCode[]) {
      expect(formatMessage(code, {})).not.toMatch(/\{\w+\}/);
    }
    expect(formatMessage('DISPOSED', {})).toBe('? was used after dispose()');
  });
});

describe('aborts', () => {
  // They were named GristmillError and dropped the signal's reason.
  it('are AbortErrors with the code ABORTED and the reason of their signal as the cause', () => {
    const reason = new Error('the client has gone');
    const error = abortError('refining', AbortSignal.abort(reason));
    expect(error).toMatchObject({ name: 'AbortError', code: 'ABORTED', cause: reason });
    expect(error.message).toBe('refining was aborted');
    expect(isGristmillError(error, 'ABORTED')).toBe(true);
    expect(new GristmillError('DISPOSED').name).toBe('GristmillError');
    expect(() => throwIfAborted(undefined, 'x')).not.toThrow();
    expect(() => throwIfAborted(new AbortController().signal, 'x')).not.toThrow();
    expect(() => throwIfAborted(AbortSignal.abort('gone'), 'x')).toThrow('x was aborted');
  });

  it('come at once, whatever the work behind a promise does', async () => {
    const controller = new AbortController();
    let fail: (error: Error) => void = () => undefined;
    const work = new Promise<number>((_, reject) => {
      fail = reject;
    });
    const waiting = untilAborted(work, controller.signal, 'work');
    controller.abort('gone');
    await expect(waiting).rejects.toMatchObject({ name: 'AbortError', cause: 'gone' });
    // The failure of dropped work is nobody's: it must not end the process.
    fail(new Error('late'));
    await new Promise((resolve) => setImmediate(resolve));
    await expect(untilAborted(Promise.resolve(3), undefined, 'work')).resolves.toBe(3);
    const other = new AbortController();
    await expect(untilAborted(Promise.resolve(4), other.signal, 'work')).resolves.toBe(4);
  });
});

describe('printable', () => {
  it('escapes control characters and bounds the length', () => {
    expect(printable('a\u001b[31m\nb\u2028')).toBe('a\\u001b[31m\\u000ab\\u2028');
    expect(printable('x'.repeat(500))).toHaveLength(400);
    expect(printable(undefined)).toBe('undefined');
  });
});
