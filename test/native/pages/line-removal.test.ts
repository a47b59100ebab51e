/**
 * What C++ makes of scored pages (native/pages/line_removal.h) against the strict executor of src/program, which is the
 * oracle: the same pages, cut by any threshold and under any bounds of what must be left, end byte for byte the same.
 */
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openPageScorer, type PageScorer, scorePages } from '../../../src/lines/page-scorer.ts';
import { PAGE_FATES } from '../../../src/native/lines.ts';
import { DIALECTS } from '../../../src/program/dialects.ts';
import { executeWith, makeExecutor } from '../../../src/program/execute.ts';
import {
  lineVerdicts,
  OPS_PER_WINDOW,
  programOf,
  windowVerdicts,
} from '../../../src/program/line-verdict.ts';
import { type ExecuteOptions, resolveOptions } from '../../../src/program/options.ts';
import { removalOps } from '../../../src/refine/removal-ops.ts';
import { removalRules } from '../../../src/refine/scoring-stages.ts';
import { evidenceAgainst } from '../../../src/scores/evidence.ts';
import { hostilePage } from '../../oracle/pages/texts.ts';

const models = join(import.meta.dirname, '../../../models');
let lines: PageScorer;
beforeAll(async () => {
  lines = await openPageScorer({ modelPath: join(models, 'default-chunk.gguf') });
});
afterAll(() => lines.dispose());

function viewsOf(pages: readonly string[]) {
  const parts = pages.map((page) => Buffer.from(page));
  const offsets = new Int32Array(parts.length + 1);
  parts.forEach((part, index) => {
    offsets[index + 1] = offsets[index]! + part.length;
  });
  return {
    data: Uint8Array.from(Buffer.concat(parts)),
    offsets,
    docs: Int32Array.from(parts, (_, index) => index),
  };
}

interface Bounds {
  readonly threshold: number;
  readonly leastEvidence: number;
}

/** What the executor makes of the verdicts of one page's scores. */
function oracle(text: string, scores: Float32Array, bounds: Bounds, options: ExecuteOptions) {
  const { threshold, leastEvidence } = bounds;
  const isActedOn = leastEvidence === 0 || evidenceAgainst(scores, threshold) >= leastEvidence;
  const verdicts = lineVerdicts(scores, isActedOn ? threshold : 0);
  const resolved = resolveOptions(options);
  const program = verdicts.map((window) => programOf(window, resolved.dialect)).join('\n');
  // Verdicts and their programs mean the same (test/program/line-verdict.test.ts).
  const windows = verdicts.map((window) => ({
    lineStart: window.lineStart,
    lineEnd: window.lineEnd,
    program: programOf(window, resolved.dialect),
  }));
  return { ...executeWith(makeExecutor(resolved), text, windows), program };
}

/** The same by C++; null where it leaves the page to the executor. */
async function removed(pages: readonly string[], bounds: Bounds, options: ExecuteOptions) {
  const resolved = resolveOptions(options);
  const rules = removalRules(resolved, bounds.threshold, bounds.leastEvidence)!;
  const views = viewsOf(pages);
  const output = new Uint8Array(views.data.length);
  const scorers = { documents: null, lines, documentThreshold: 0, nThreads: 2 };
  const { removals, lines: scores } = await scorePages(scorers, {
    ...views,
    removal: { rules, output },
  });
  expect(scores).toBeNull();
  const { fates, bytesLeft, programStarts, programs, nLines, nChars, charsLeft } = removals!;
  return pages.map((text, page) => {
    const fate = PAGE_FATES[fates[page]!]!;
    const begin = views.offsets[page]!;
    const left = Buffer.from(output.subarray(begin, begin + bytesLeft[page]!)).toString();
    const program = Buffer.from(
      programs.subarray(programStarts[page], programStarts[page + 1]),
    ).toString();
    expect(nLines[page]).toBe(text.split('\n').length);
    expect(nChars[page]).toBe([...text].length);
    if (fate === 'edited') expect(charsLeft[page]).toBe([...left].length);
    const ops = removalOps(removals!, page, resolved);
    if (fate === 'undecided') return { fate, program, outcome: null };
    const isOver = fate === 'too_much_removed' || fate === 'too_few_words';
    if (isOver && resolved.onOverRemoval === 'keep') {
      return { fate, program, outcome: { text, status: 'failed', reason: 'over_removal', ops } };
    }
    if (fate === 'kept') {
      return { fate, program, outcome: { text, status: 'kept', reason: 'keep', ops } };
    }
    const outcome =
      fate === 'edited'
        ? { text: left, status: 'edited', reason: 'edited', ops }
        : { text: '', status: 'dropped', reason: fate, ops };
    return { fate, program, outcome };
  });
}

async function scoresOf(pages: readonly string[]): Promise<Float32Array[]> {
  const scorers = { documents: null, lines, documentThreshold: 0 };
  const { lines: all, lineStarts } = await scorePages(scorers, viewsOf(pages));
  return pages.map((_, page) => all!.subarray(lineStarts![page], lineStarts![page + 1]));
}

async function expectSame(pages: readonly string[], bounds: Bounds, options: ExecuteOptions) {
  const scores = await scoresOf(pages);
  const found = await removed(pages, bounds, options);
  return pages.map((text, page) => {
    const { program, ...wanted } = oracle(text, scores[page]!, bounds, options);
    expect(found[page]!.program).toBe(program);
    if (found[page]!.outcome !== null) expect(found[page]!.outcome).toEqual(wanted);
    return found[page]!.fate;
  });
}

/** Pages of any text, among them such as lose nearly all: short lines, blanks, scripts without spaces. */
const page = fc.oneof(
  hostilePage.map((bytes) => Buffer.from(bytes).toString()),
  fc
    .array(
      fc.constantFrom(
        'Home',
        'Menu | Log in | Cart (0)',
        '',
        ' ',
        '\u3000',
        'The river was high that spring, and nobody in the village dared to cross it, so they waited.',
        '今日はいい天気ですね。散歩に行きましょう。',
        'สวัสดีครับ ยินดีต้อนรับ',
        'a\u00a0b “quoted”',
        '👍👍',
      ),
      { maxLength: 30 },
    )
    .map((all) => all.join('\n')),
);

const options = fc.record({
  dialect: fc.constantFrom('prox', 'ultrax'),
  minKeptRatio: fc.constantFrom(0, 0.05, 0.5, 1),
  minWords: fc.constantFrom(0, 3, 50),
  onOverRemoval: fc.constantFrom('drop', 'keep'),
}) as fc.Arbitrary<ExecuteOptions>;

describe('pages that are cut where they are scored', () => {
  it('end as the strict executor has them', async () => {
    const fates = new Set<string>();
    const same = fc.asyncProperty(
      fc.array(page, { minLength: 1, maxLength: 8 }),
      fc.integer({ min: 0, max: 100 }),
      fc.constantFrom(0, 2.5),
      options,
      async (pages, percent, leastEvidence, asked) => {
        // A threshold among the scores that there are: any share of the lines may go.
        const all = (await scoresOf(pages)).flatMap((own) => [...own]).sort((a, b) => a - b);
        const threshold = all[Math.floor((percent / 100) * all.length)] ?? 1;
        const found = await expectSame(pages, { threshold, leastEvidence }, asked);
        for (const fate of found) fates.add(fate);
      },
    );
    const all = ['kept', 'edited', 'all_removed', 'too_much_removed', 'undecided'];
    // Some fates are rare: pages are drawn until each was seen.
    for (
      let round = 0;
      round === 0 || (round < 10 && !all.every((fate) => fates.has(fate)));
      round++
    ) {
      await fc.assert(same, { numRuns: 150 });
    }
    expect([...fates]).toEqual(expect.arrayContaining(all));
  }, 120_000);

  it('have as many windows as their ops need', async () => {
    const text = Array.from({ length: 3 * OPS_PER_WINDOW }, (_, line) =>
      line % 2 === 0
        ? 'The river was high that spring, and nobody in the village dared to cross it at all.'
        : 'Menu',
    ).join('\n');
    const [scores] = await scoresOf([text]);
    const [low, high] = [scores![1]!, scores![300]!];
    expect(low).toBeLessThan(high);
    const bounds = { threshold: (low + high) / 2, leastEvidence: 0 };
    const [fate] = await expectSame([text], bounds, {});
    expect(fate).toBe('edited');
    const stretches = Int32Array.from({ length: 5 * OPS_PER_WINDOW }, (_, at) => at);
    const windows = windowVerdicts(stretches, 5 * OPS_PER_WINDOW);
    expect(windows.map(({ removed: own }) => own.length)).toEqual([
      2 * OPS_PER_WINDOW,
      2 * OPS_PER_WINDOW,
      OPS_PER_WINDOW,
    ]);
  });

  it('are left to the executor where it is the published one, or refuses long programs', () => {
    expect(removalRules(resolveOptions({ executor: 'compat' }), 0.5, 0)).toBeNull();
    expect(removalRules(resolveOptions({ maxOps: OPS_PER_WINDOW - 1 }), 0.5, 0)).toBeNull();
    expect(removalRules(resolveOptions({ maxProgramChars: 100 }), 0.5, 0)).toBeNull();
    expect(removalRules(resolveOptions(), 0.5, 0)).not.toBeNull();
  });

  it('have room for what is left', async () => {
    const views = viewsOf(['one\ntwo', 'three']);
    const rules = removalRules(resolveOptions(), 0.5, 0)!;
    const scorers = { documents: null, lines, documentThreshold: 0 };
    const removal = { rules, output: new Uint8Array(11) };
    await expect(async () => scorePages(scorers, { ...views, removal })).rejects.toMatchObject({
      code: 'OPTION_INVALID',
      details: { option: 'output' },
    });
  });

  it('spell a page that stays as its dialect does', () => {
    for (const { name, printOp, removal } of Object.values(DIALECTS)) {
      const op = name === 'prox' ? 'keep_chunk' : 'keep_all';
      expect(removal.keep).toBe(printOp({ op }));
    }
  });
});
