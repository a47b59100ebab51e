/** Verdicts on lines are executed as they are: nobody prints a program for them to be read again. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toByteString } from '../../src/program/byte-string.ts';
import { makeExecutor } from '../../src/program/execute.ts';
import { lineVerdicts, opsOf, programOf } from '../../src/program/line-verdict.ts';
import { type ExecuteOptions, resolveOptions } from '../../src/program/options.ts';
import { packPrograms, unpackPrograms } from '../../src/program/pack.ts';
import { print } from '../../src/program/parse.ts';
import type { LineVerdict } from '../../src/program/types.ts';
import type { WindowVerdict } from '../../src/program/verdict.ts';

const windows = fc.record({
  scores: fc.array(fc.constantFrom(0, 0.4, 0.6, 1), { minLength: 1, maxLength: 700 }),
  dialect: fc.constantFrom('prox' as const, 'ultrax' as const),
});

function outcome(text: string, programs: readonly WindowVerdict[], options: ExecuteOptions) {
  const source = { read: () => toByteString(text) };
  const { status, reason, output, records } = makeExecutor(resolveOptions(options)).execute(
    programs,
    source,
  );
  return { status, reason, output, records: [...records] };
}

const spelt = (verdicts: readonly LineVerdict[], dialect: 'prox' | 'ultrax') =>
  verdicts.map((verdict) => ({
    lineStart: verdict.lineStart,
    lineEnd: verdict.lineEnd,
    program: programOf(verdict, dialect),
  }));

describe('a verdict on lines', () => {
  it('is executed as its program is, whatever bounds there are', () => {
    fc.assert(
      fc.property(
        windows,
        fc.record({
          minKeptRatio: fc.constantFrom(0, 0.05, 0.9),
          maxOps: fc.constantFrom(3, 100, 256),
          maxProgramChars: fc.constantFrom(20, 400, 3_000, 65_536),
          maxErrors: fc.constantFrom(0, 2),
        }),
        ({ scores, dialect }, bounds) => {
          const verdicts = lineVerdicts(scores, 0.5);
          const text = scores.map((_, line) => (line % 5 === 4 ? '' : `line ${line}`)).join('\n');
          for (const lines of [text, text.split('\n').slice(0, -1).join('\n')]) {
            const options = { ...bounds, dialect };
            expect(outcome(lines, verdicts, options)).toEqual(
              outcome(lines, spelt(verdicts, dialect), options),
            );
          }
        },
      ),
    );
  });

  it('is spelt as its ops are printed', () => {
    fc.assert(
      fc.property(windows, ({ scores, dialect }) => {
        for (const verdict of lineVerdicts(scores, 0.5)) {
          expect(programOf(verdict, dialect)).toBe(print(opsOf(verdict, dialect), dialect));
        }
      }),
    );
  });

  it('is executed by the published executor too', () => {
    const verdicts = lineVerdicts([1, 0, 0, 1, 1], 0.5);
    const text = `${'some words of a line that stays here\n'.repeat(4)}the end`;
    const options = { executor: 'compat' } as const;
    expect(outcome(text, verdicts, options)).toEqual(
      outcome(text, spelt(verdicts, 'prox'), options),
    );
  });

  it('crosses to a thread as numbers', () => {
    fc.assert(
      fc.property(fc.array(windows, { maxLength: 8 }), (documents) => {
        const programs = documents.map(({ scores }, doc) => {
          if (doc % 4 === 1) return null;
          if (doc % 4 === 2) return 'keep_doc()';
          const verdicts: WindowVerdict[] = lineVerdicts(scores, 0.5);
          if (doc % 4 === 3)
            verdicts.push({ lineStart: 9, ownStart: 9, lineEnd: 10, program: 'x' });
          return verdicts;
        });
        const packed = packPrograms(programs, 0, programs.length);
        for (const [doc, own] of programs.entries()) {
          expect(unpackPrograms(packed, doc)).toEqual(own);
        }
      }),
    );
  });
});
