import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { alignLines } from '../../../src/annotate/derive/align-lines.ts';
import {
  checkExample,
  EXAMPLE_BOUNDS,
  executeWindow,
} from '../../../src/annotate/derive/check-example.ts';
import { type DeriveOptions, deriveOps } from '../../../src/annotate/derive/derive-ops.ts';
import { applyEdits, lineEdits } from '../../../src/annotate/derive/line-edits.ts';
import { print } from '../../../src/program/parse.ts';
import type { DialectName } from '../../../src/program/types.ts';

const PAGE = [
  'Home | About | Contact',
  'The bridge at the mill is closed until May.',
  'Read the full report Share on X and send us a note.',
  '',
  'Advertisement',
  'It opens again in June, the town says. Share on X',
];

function derive(rewritten: readonly string[], options: Partial<DeriveOptions> = {}) {
  return deriveOps(PAGE, rewritten, { dialect: 'prox', lineStart: 10, ...options })!;
}

describe('lineEdits', () => {
  it('finds the words that went', () => {
    expect(lineEdits('Read it Share on X today', 'Read it today')).toEqual([
      { start: 8, end: 19, replacement: '' },
    ]);
    expect(lineEdits('same', 'same')).toEqual([]);
  });

  it('gives edits that make one line the other, whatever the lines', () => {
    const word = fc.constantFrom('a', 'bb', 'ccc', ' ', '  ', '.', '|', '日本', 'é', '\u{1f600}');
    const line = fc.array(word, { maxLength: 25 }).map((words) => words.join(''));
    fc.assert(
      fc.property(line, line, (original, rewritten) => {
        const edits = lineEdits(original, rewritten)!;
        expect(applyEdits(original, edits)).toBe(rewritten);
        for (const [index, { start, end }] of edits.entries()) {
          expect(start).toBeLessThanOrEqual(end);
          expect(start).toBeGreaterThanOrEqual(edits[index - 1]?.end ?? 0);
        }
      }),
    );
  });

  it('refuses to compare what would take too long', () => {
    const long = (word: string) =>
      Array.from({ length: 3000 }, (_, at) => `${word}${at}`).join(' ');
    expect(lineEdits(long('a'), long('b'))).toBeNull();
  });
});

describe('alignLines', () => {
  it('matches lines that stay, also with words taken out, and never crosses', () => {
    const rewritten = [PAGE[1]!, 'Read the full report and send us a note.', PAGE[5]!];
    expect(Array.from(alignLines(PAGE, rewritten)!)).toEqual([-1, 0, 1, -1, -1, 2]);
    expect(Array.from(alignLines(['a', 'b'], ['b', 'a'])!).filter((at) => at >= 0)).toHaveLength(1);
  });

  it('does not match a line with other words', () => {
    expect(Array.from(alignLines([PAGE[1]!], ['Nothing of this is known to anyone.'])!)).toEqual([
      -1,
    ]);
  });

  it('matches every line of any subset of the lines (all different)', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.nat(10_000), { maxLength: 40 }),
        fc.infiniteStream(fc.boolean()),
        (ids, coin) => {
          const lines = ids.map((id) => `line ${id} of number${id}`);
          const kept = lines.map(() => coin.next().value as boolean);
          const match = alignLines(
            lines,
            lines.filter((_, line) => kept[line]),
          );
          expect(Array.from(match!, (at) => at >= 0)).toEqual(kept);
        },
      ),
    );
  });

  it('gives up on texts that would take too long', () => {
    const lines = (word: string) => Array.from({ length: 2500 }, (_, at) => `${word} ${at}`);
    expect(alignLines(lines('a'), lines('b'))).toBeNull();
  });
});

describe('deriveOps', () => {
  it('removes lines and deletes a string that occurs once', () => {
    const { ops, refined } = derive([
      PAGE[1]!,
      'Read the full report Share on X and send a note.',
      '',
      PAGE[5]!,
    ]);
    expect(print(ops)).toBe(
      [
        'remove_lines(start=10, end=10)',
        'remove_lines(start=14, end=14)',
        'normalize(source_str="us ", target_str="")',
      ].join('\n'),
    );
    expect(refined).toBe(
      [PAGE[1], 'Read the full report Share on X and send a note.', '', PAGE[5]].join('\n'),
    );
  });

  it('leaves a string out that stays elsewhere in the window, and deletes it where all of them go', () => {
    const once = derive([...PAGE.slice(0, 5), 'It opens again in June, the town says.']);
    expect(once).toMatchObject({ ops: [], ambiguousEdits: 1, refined: PAGE.join('\n') });
    const spaced = PAGE.map((line) =>
      line.replace('town says. Share on X', 'town says Share on X here.'),
    );
    const all = deriveOps(
      spaced,
      spaced.map((line) => line.replace('Share on X ', '')),
      {
        dialect: 'prox',
        lineStart: 0,
      },
    )!;
    expect(print(all.ops)).toBe('normalize(source_str="Share on X ", target_str="")');
    expect(all.ambiguousEdits).toBe(0);
  });

  it('deletes in one line only in UltraX’s dialect', () => {
    const { ops } = derive([...PAGE.slice(0, 5), 'It opens again in June, the town says.'], {
      dialect: 'ultrax',
    });
    expect(print(ops, 'ultrax')).toBe("replace_str(16, ' Share on X', '')");
  });

  it('counts what an expert reworded or added, and brings none of it in', () => {
    const { ops, refined, rewordedChars } = derive([
      'A headline of mine',
      ...PAGE.slice(0, 1),
      'The bridge at the mill is shut until May.',
      ...PAGE.slice(2),
    ]);
    expect(ops).toEqual([]);
    expect(refined).toBe(PAGE.join('\n'));
    expect(rewordedChars).toBe('A headline of mine'.length + 'shut'.length);
  });

  it('grows a string until it is unique, with replacements allowed', () => {
    const lines = ['the cat and the dog and the cow'];
    const { ops, refined } = deriveOps(lines, ['the cat and a dog and the cow'], {
      dialect: 'ultrax',
      lineStart: 0,
      allowReplacements: true,
    })!;
    expect(refined).toBe('the cat and a dog and the cow');
    expect(print(ops, 'ultrax')).toBe("replace_str(1, 'cat and the', 'cat and a')");
  });

  it('adds lines in UltraX’s dialect, with replacements allowed', () => {
    const { ops, refined } = derive(['Title', ...PAGE.slice(1)], {
      dialect: 'ultrax',
      allowReplacements: true,
    });
    expect(print(ops, 'ultrax')).toBe("remove_lines(11, 11)\nadd_line(10, 1, 'Title')");
    expect(refined).toBe(['Title', ...PAGE.slice(1)].join('\n'));
  });

  it.each<[DialectName, boolean]>([
    ['prox', false],
    ['prox', true],
    ['ultrax', false],
    ['ultrax', true],
  ])(
    'means by its ops what it says they give (%s, replacements %s)',
    (dialect, allowReplacements) => {
      const word = fc.constantFrom(
        'the',
        'cat',
        'and',
        'dog',
        'Share',
        'on',
        'X',
        '|',
        '日本',
        '"q"',
        "'s'",
        '\\',
      );
      const line = fc.array(word, { maxLength: 9 }).map((words) => words.join(' '));
      const page = fc.array(line, { minLength: 1, maxLength: 9 });
      const change = fc.array(
        fc.record({
          line: fc.nat(8),
          at: fc.nat(8),
          kind: fc.constantFrom('drop', 'delete', 'insert', 'swap'),
          word,
        }),
        { maxLength: 5 },
      );
      let nExecuted = 0;
      fc.assert(
        fc.property(page, change, fc.nat(20), (lines, changes, lineStart) => {
          const rewritten: (string | null)[] = [...lines];
          for (const { line: at, at: place, kind, word: other } of changes) {
            const words = rewritten[at]?.split(' ');
            if (!words) continue;
            if (kind === 'drop') rewritten[at] = null;
            else {
              words.splice(place, kind === 'insert' ? 0 : 1, ...(kind === 'delete' ? [] : [other]));
              rewritten[at] = words.join(' ');
            }
          }
          const found = deriveOps(
            lines,
            rewritten.filter((each) => each !== null),
            { dialect, lineStart, allowReplacements },
          )!;
          const window = {
            text: lines.join('\n'),
            lineStart,
            lineEnd: lineStart + lines.length,
            dialect,
          };
          const checked = checkExample(
            { ...window, ops: found.ops, intended: found.refined },
            { ...EXAMPLE_BOUNDS, minChars: 0, maxOps: 100 },
          );
          // Ops of one window may hide each other; then the check says so, and nothing wrong gets through.
          if ('reason' in checked) {
            expect(['differs', 'no_effect']).toContain(checked.reason);
            return;
          }
          nExecuted++;
          expect(executeWindow(window, checked.program).refined).toBe(found.refined);
          if (!allowReplacements) expect(newWords(window.text, checked.refined)).toEqual([]);
        }),
        { numRuns: 300 },
      );
      expect(nExecuted).toBeGreaterThan(240);
    },
  );
});

/** Characters of the output are a subsequence of the input's: then no word is new. */
function newWords(before: string, after: string): string[] {
  let at = 0;
  for (const character of after) {
    at = before.indexOf(character, at);
    if (at < 0) return [after];
    at += character.length;
  }
  return [];
}
