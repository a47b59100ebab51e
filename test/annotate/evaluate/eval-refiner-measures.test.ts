/** The measures against sets and strings written out, and on refiners whose faults are known. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  RefinerEvaluation,
  type WritingFlaw,
} from '../../../src/annotate/evaluate/eval-refiner-measures.ts';
import type { WindowExample } from '../../../src/annotate/types.ts';
import type { DialectName } from '../../../src/program/types.ts';
import { WindowExecutor } from '../../../src/program/window-execution.ts';

const LINES = [
  'Home | About',
  'A sentence of the page.',
  'Another one, 日本.',
  '',
  '(c) 2024 Somebody',
];

interface Case {
  readonly lines: readonly string[];
  readonly label: string;
  readonly prediction: string | null;
  readonly dialect?: DialectName;
  readonly way?: WindowExample['way'];
  readonly language?: string;
  readonly flaw?: WritingFlaw;
  readonly refined?: string;
}

function measure(cases: readonly Case[], execute = {}) {
  const executor = new WindowExecutor(execute);
  const evaluation = new RefinerEvaluation();
  for (const { lines, label, prediction, ...rest } of cases) {
    const { dialect = 'prox', way = 'programs', language = 'en', flaw = null } = rest;
    const at = { text: lines.join('\n'), lineStart: 7 };
    const range = { lineStart: 7, lineEnd: 7 + lines.length };
    const judged = executor.run(at, [{ ...range, program: label }], dialect);
    const refined = rest.refined ?? judged.text;
    evaluation.add({
      example: { text: at.text, refined, way, language, dialect },
      label: judged,
      prediction: executor.run(
        at,
        prediction === null ? [] : [{ ...range, program: prediction }],
        dialect,
      ),
      flaw,
    });
  }
  return evaluation.report();
}

/** `remove_lines` calls for lines of the window, which begins at line 7. */
function removing(lines: readonly number[]): string {
  if (lines.length === 0) return 'keep_chunk()';
  return lines.map((line) => `remove_lines(start=${line + 7}, end=${line + 7})`).join('\n');
}

const one = { lines: LINES, label: removing([0, 4]) };

describe('measures of refiners', () => {
  it('are those of sets of lines and characters', () => {
    const lines = fc.array(fc.constantFrom('aa', 'b é', '日本 語', '', 'x'), {
      minLength: 1,
      maxLength: 5,
    });
    const removed = fc.uniqueArray(fc.nat(4), { maxLength: 4 });
    const windows = fc.array(fc.tuple(lines, removed, removed), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(windows, (all) => {
        // One line that stays, so that no window is dropped whole.
        const cases = all.map(([body, label, prediction]) => {
          const inside = (set: number[]) => set.filter((line) => line < body.length);
          return { lines: [...body, 'stays'], L: inside(label), P: inside(prediction) };
        });
        const report = measure(
          cases.map(({ lines: body, L, P }) => ({
            lines: body,
            label: removing(L),
            prediction: removing(P),
          })),
        );
        const sum = (of: (c: (typeof cases)[number]) => number) =>
          cases.reduce((total, c) => total + of(c), 0);
        const chars = (c: (typeof cases)[number], set: readonly number[]) =>
          [...set.map((line) => c.lines[line]!).join('')].length;
        const both = (c: (typeof cases)[number]) => c.P.filter((line) => c.L.includes(line));
        const quotient = (part: number, whole: number) => (whole === 0 ? 0 : part / whole);
        const hits = sum((c) => both(c).length);
        const nP = sum((c) => c.P.length);
        const nL = sum((c) => c.L.length);
        const n = sum((c) => c.lines.length);
        expect(report.lines.precision).toBeCloseTo(quotient(hits, nP), 12);
        expect(report.lines.recall).toBeCloseTo(quotient(hits, nL), 12);
        expect(report.lines.f1).toBeCloseTo(quotient(2 * hits, nP + nL), 12);
        const f1 = (c: (typeof cases)[number]) => (2 * both(c).length) / (c.P.length + c.L.length);
        const edited = cases.filter((c) => c.P.length + c.L.length > 0);
        const means = edited.reduce((total, c) => total + f1(c), 0);
        expect(report.lineF1Mean).toBeCloseTo(
          (means + cases.length - edited.length) / cases.length,
          12,
        );
        if (edited.length === 0) expect(report.lineF1MeanEdited).toBeNull();
        else expect(report.lineF1MeanEdited).toBeCloseTo(means / edited.length, 12);
        const agree = sum(
          (c) => c.lines.filter((_, line) => c.P.includes(line) === c.L.includes(line)).length,
        );
        expect(report.rawAgreement).toBeCloseTo(agree / n, 12);
        const chance = (nP / n) * (nL / n) + (1 - nP / n) * (1 - nL / n);
        if (nP === 0 && nL === 0) expect(report.kappa).toBeNull();
        else expect(report.kappa).toBeCloseTo((agree / n - chance) / (1 - chance), 9);
        const charsBoth = sum((c) => chars(c, both(c)));
        const charsP = sum((c) => chars(c, c.P));
        const charsL = sum((c) => chars(c, c.L));
        const charsAll = sum((c) => [...c.lines.join('')].length);
        expect(report.chars.f1).toBeCloseTo(quotient(2 * charsBoth, charsP + charsL), 12);
        expect(report.charCounts).toEqual({
          total: charsAll,
          both: charsBoth,
          predicted: charsP,
          labelled: charsL,
        });
        expect(report.overDeletion.chars).toBeCloseTo(
          quotient(charsP - charsBoth, charsAll - charsL),
          12,
        );
        expect(report.overDeletion.lines).toBeCloseTo(quotient(nP - hits, n - nL), 12);
        const over = cases.filter((c) => chars(c, c.P) > chars(c, both(c))).length;
        expect(report.overDeletion.windows).toBeCloseTo(over / cases.length, 12);
        expect(report.failureRatio).toBe(0);
        expect(report.newWords).toMatchObject({ added: 0, cut: 0 });
      }),
    );
  });

  it('are perfect for the labels themselves', () => {
    const report = measure([
      { ...one, prediction: one.label },
      {
        ...one,
        label: 'normalize(source_str=" | About")',
        prediction: 'normalize(" | About", "")',
      },
    ]);
    expect(report).toMatchObject({
      nWindows: 2,
      failureRatio: 0,
      lines: { precision: 1, recall: 1, f1: 1 },
      chars: { precision: 1, recall: 1, f1: 1 },
      lineF1Mean: 1,
      kappa: 1,
      exactMatchRate: 1,
      unchangedRate: 0,
      unchangedMissed: null,
      overDeletion: { windows: 0, chars: 0, lines: 0 },
      failures: {},
      labels: { nFailed: 0, nNotReproduced: 0 },
      ops: { mean: 1.5, p50: 1, p95: 2 },
    });
    expect(report.ops.byFunction).toEqual({
      normalize: { written: 1, applied: 1 },
      remove_lines: { written: 2, applied: 2 },
    });
  });

  it('see a refiner that keeps everything', () => {
    const report = measure([
      { ...one, prediction: 'keep_chunk()' },
      { ...one, label: 'keep_chunk()', prediction: 'keep_chunk()' },
    ]);
    expect(report).toMatchObject({
      lines: { precision: 0, recall: 0, f1: 0 },
      lineF1Mean: 0.5,
      lineF1MeanEdited: 0,
      kappa: 0,
      unchangedRate: 1,
      unchangedMissed: 0.5,
      exactMatchRate: 0.5,
      keptWords: 1,
      failureRatio: 0,
    });
  });

  it('see a refiner that deletes too much, inside lines too', () => {
    const report = measure([{ ...one, prediction: 'remove_lines(7, 8)\nnormalize(", 日本")' }]);
    const kept = [...'A sentence of the page.Another one, 日本.'].length;
    expect(report.overDeletion).toEqual({
      windows: 1,
      chars: ('A sentence of the page.'.length + 4) / kept,
      lines: 1 / 3,
    });
    expect(report.lines).toEqual({ precision: 0.5, recall: 0.5, f1: 0.5 });
  });

  it('count new words where text is put in, apart from those that deleting makes', () => {
    const ultrax = { lines: LINES, label: 'keep_all()', dialect: 'ultrax' as const };
    const added = measure([
      { ...ultrax, prediction: "remove_lines(8, 8)\nadd_line(9, 1, 'Brand new')" },
      { ...ultrax, prediction: "replace_str(9, 'sentence', 'phrase')" },
    ]);
    expect(added.newWords).toMatchObject({ added: 3, cut: 0 });
    expect(added.newWords.addedPer1000).toBeCloseTo(3000 / added.newWords.nOutputWords, 12);
    expect(added.ops.byFunction['add_line']).toEqual({ written: 1, applied: 1 });
    const cut = measure([{ ...one, prediction: 'normalize(" | ")' }]);
    expect(cut.newWords).toMatchObject({ added: 0, cut: 1, addedPer1000: 0 });
  });

  it('count failures by reason, and failed windows as unchanged', () => {
    const loop = 'normalize("Home")\n'.repeat(4);
    const report = measure([
      { ...one, prediction: 'remove_lines(start=7, e' },
      { ...one, prediction: 'I removed the menu for you.' },
      { ...one, prediction: '' },
      { ...one, prediction: null, flaw: 'does_not_fit' },
      { ...one, prediction: loop, flaw: 'token_cap' },
      { ...one, prediction: 'sing()\ndance()\nremove_lines(7, 7)' },
      { ...one, prediction: 'keep_chunk()\nremove_lines(all=True)' },
      { ...one, prediction: 'remove_lines(start=500, end=501)' },
      // Not failures: something was done, or there was nothing to do.
      { ...one, prediction: 'remove_lines(7, 7)\nremove_lines(start=1', flaw: 'token_cap' },
      { ...one, prediction: 'normalize("not there")' },
    ]);
    expect(report.failures).toEqual({
      contradiction: 1,
      does_not_fit: 1,
      empty_program: 1,
      malformed: 2,
      repeated_ops: 1,
      too_many_errors: 1,
      truncated: 1,
    });
    expect(report.failureRatio).toBe(0.8);
    expect(report.nTokenCap).toBe(2);
    // empty, both at the cap, not there
    expect(report.paperFailureRatio).toBe(0.4);
    expect(report.unchangedRate).toBe(0.9);
    expect(report.unchangedMissed).toBe(1);
    expect(report.lines).toEqual({ precision: 1, recall: 1 / 20, f1: 2 / 21 });
    expect(report.refusedOps).toMatchObject({ out_of_window: 1, not_found: 1, truncated: 2 });
  });

  it('report the labels’ own faults', () => {
    const report = measure([
      { ...one, label: 'nonsense', prediction: 'keep_chunk()' },
      { ...one, label: 'a()\nb()', prediction: 'keep_chunk()' },
      { ...one, prediction: 'keep_chunk()', refined: 'something else' },
    ]);
    expect(report.labels).toMatchObject({ nFailed: 1, nNotReproduced: 1, unchangedRate: 2 / 3 });
  });

  it('are broken down by way, language and dialect', () => {
    const report = measure([
      { ...one, prediction: one.label, way: 'gold', language: 'de' },
      { ...one, prediction: 'keep_chunk()', language: '' },
      { lines: LINES, label: 'keep_all()', prediction: 'keep_all()', dialect: 'ultrax' },
    ]);
    expect(Object.keys(report.byWay)).toEqual(['gold', 'programs']);
    expect(Object.keys(report.byLanguage)).toEqual(['de', 'en', 'unknown']);
    expect(report.byLanguage['de']).toMatchObject({ nWindows: 1, lines: { f1: 1 } });
    expect(report.byLanguage['unknown']).toMatchObject({ lines: { f1: 0 }, lineF1Mean: 0 });
    expect(report.byDialect['ultrax']).toMatchObject({
      nWindows: 1,
      exactMatchRate: 1,
      kappa: null,
    });
    expect(JSON.parse(JSON.stringify(report))).toEqual(report);
  });
});
