/**
 * Scores in the answers of experts, and what follows from them: keep or drop (ProX, arXiv 2409.17115, appendix:
 * keep where the educational score is at least 3, or is 2 and the format score is at least 4).
 *
 * An answer ends with a labelled line (`Educational score: 3`). Answers quote, decorate and ramble, so: the last
 * label counts; around the number only markdown, `/5`, `out of 5`, `points` and closing punctuation are allowed; a
 * fraction, a range or a number outside 0..5 is a failure and never rounded. Without any label the last line may be
 * a bare score, and the whole answer may be a JSON object with the label or `score` as a key. An answer that was cut is not read at all: its last label may be a quotation.
 */
import { GristmillError } from '../../errors.ts';

/** The labels that the templates ask for, in lower case. */
export const SCORE_LABELS = Object.freeze({
  educational: 'educational score',
  format: 'extraction quality score',
} as const);

/** What is scored. */
export type ScoreName = keyof typeof SCORE_LABELS;

/** Why an answer has no score, with the meaning. */
export const SCORE_PROBLEMS = Object.freeze({
  answer_cut: 'the answer reached its longest length',
  no_score: 'the answer has no line with the score',
  unclear_score: 'the line of the score says something else than one whole number',
  score_out_of_range: 'the score is not in 0..5',
} as const);

/** A key of {@link SCORE_PROBLEMS}. */
export type ScoreProblem = keyof typeof SCORE_PROBLEMS;

/** A score with its justification, or why there is none. */
export type ParsedScore =
  | { readonly score: number; readonly justification: string; readonly problem: null }
  | { readonly score: null; readonly justification: string; readonly problem: ScoreProblem };

/** Longest justification that is kept, in UTF-16 units. */
export const MAX_JUSTIFICATION_CHARS = 2000;
/** Longest line in which a score is looked for. */
const MAX_SCORE_LINE_CHARS = 4000;

/** Reads the score of an answer. */
export function parseScore(
  name: ScoreName,
  answer: { readonly text: string; readonly finish: 'stop' | 'length' },
): ParsedScore {
  const lines = answer.text.split('\n');
  const cut = (problem: ScoreProblem): ParsedScore => ({
    score: null,
    justification: bounded(answer.text.trim()),
    problem,
  });
  if (answer.finish === 'length') return cut('answer_cut');
  const json = jsonScore(answer.text, SCORE_LABELS[name]);
  const found = json ?? labelled(lines, SCORE_LABELS[name]) ?? bare(lines);
  if (!found) return cut('no_score');
  const value = wholeScore(found.value);
  if (value === null) return cut('unclear_score');
  if (value < 0 || value > 5) return cut('score_out_of_range');
  const rest = [...lines.slice(0, found.line), found.before, ...lines.slice(found.lineEnd)];
  return { score: value, justification: bounded(rest.join('\n').trim()), problem: null };
}

interface Found {
  /** The text behind the label. */
  readonly value: string;
  /** Lines `[line, lineEnd)` hold label and value. */
  readonly line: number;
  readonly lineEnd: number;
  /** What stands before the label in its line. */
  readonly before: string;
}

/** The last label that a colon or an equals sign follows. */
function labelled(lines: readonly string[], label: string): Found | null {
  for (let line = lines.length - 1; line >= 0; line--) {
    const text = lines[line]!;
    if (text.length > MAX_SCORE_LINE_CHARS) continue;
    // Same length as `text`, so that places agree.
    const lower = text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
    for (let at = lower.lastIndexOf(label); at >= 0; at = lower.lastIndexOf(label, at - 1)) {
      const behind = /^[\s*_`"']*[:=：](.*)$/s.exec(text.slice(at + label.length));
      if (behind) {
        const before = text.slice(0, at).replace(/[\s*_`#>"'-]+$/, '');
        const value = behind[1]!;
        if (undecorated(value) !== '') return { value, line, lineEnd: line + 1, before };
        // The number may stand on the next line that is not empty.
        const next = lines.findIndex((later, index) => index > line && later.trim() !== '');
        if (next < 0) return { value, line, lineEnd: line + 1, before };
        return { value: lines[next]!, line, lineEnd: next + 1, before };
      }
      if (at === 0) break;
    }
  }
  return null;
}

/** The score of an answer that is one JSON object, in a code block or not. */
function jsonScore(text: string, label: string): Found | null {
  const body = text
    .trim()
    .replace(/^```[a-z]{0,16}\s*\n/i, '')
    .replace(/\n\s*```$/, '')
    .trim();
  if (!body.startsWith('{') || !body.endsWith('}')) return null;
  let fields: Record<string, unknown>;
  try {
    fields = JSON.parse(body);
  } catch {
    return null;
  }
  const named = (wanted: string): unknown =>
    Object.entries(fields).find(
      ([key]) =>
        key
          .trim()
          .toLowerCase()
          .replace(/[\s_-]+/g, ' ') === wanted,
    )?.[1];
  const [first = ''] = label.split(' ');
  const value = named(label) ?? named(label.replaceAll(' ', '')) ?? named(first) ?? named('score');
  if (typeof value !== 'number' && typeof value !== 'string') return null;
  const reason = ['justification', 'reason', 'reasoning', 'explanation', 'rationale']
    .map(named)
    .find((each) => typeof each === 'string');
  const before = typeof reason === 'string' ? reason : body;
  return { value: String(value), line: 0, lineEnd: Number.POSITIVE_INFINITY, before };
}

/** A last line that is nothing but a score, maybe with a word for it. */
function bare(lines: readonly string[]): Found | null {
  const line = lines.findLastIndex((text) => text.trim() !== '');
  const text = lines[line];
  if (text === undefined || text.length > 64) return null;
  const match = /^(?:(?:final |total )?score|total)\s*[:=](.*)$/is.exec(undecorated(text));
  const value = match ? match[1]! : text;
  return wholeScore(value) === null ? null : { value, line, lineEnd: line + 1, before: '' };
}

/** A whole number with what may stand around one; null for everything else. */
function wholeScore(text: string): number | null {
  if (text.length > 128) return null;
  const match =
    /^["'([{<]*([+-]?\d{1,9})(?:\s*\/\s*5|\s+out\s+of\s+5)?(?:\s+points?)?\s*(?:\([^()\d]*\))?[\s.!;,"')\]}>]*$/i.exec(
      undecorated(text),
    );
  // `+ 0` makes a 0 of "-0".
  return match ? Number(match[1]) + 0 : null;
}

/** Without markdown, the signs of formulas, and pictures. */
function undecorated(text: string): string {
  // Braces stay: they are taken as any brackets around a number.
  return text
    .replace(/\\(?:boxed|text|mathbf|textbf|mathrm)(?=\s*\{)/g, '')
    .replace(/[*_`$]|\\[()[\]]/g, '')
    .replace(PICTURES, '')
    .trim();
}

/** What is drawn as a picture, with its joiners and tints; digits are none of it, the keycap around one goes. */
const PICTURES =
  /\p{Emoji_Presentation}|\p{Extended_Pictographic}|\p{Emoji_Modifier}|\ufe0f|\u200d|\u20e3/gu;

function bounded(text: string): string {
  return cutText(text, MAX_JUSTIFICATION_CHARS);
}

/** The first `maxChars` UTF-16 units, one less where a character would be halved. */
export function cutText(text: string, maxChars: number): string {
  if (text.length <= maxChars) return text;
  const last = text.charCodeAt(maxChars - 1);
  return text.slice(0, last >= 0xd800 && last <= 0xdbff ? maxChars - 1 : maxChars);
}

/** When a document is kept: `prox` needs both scores, `edu:N` the educational one. */
export type KeepRule =
  | { readonly kind: 'prox' }
  | { readonly kind: 'edu'; readonly minimum: number };

/** @param text `prox` or `edu:N` with N in 0..5; @throws OPTION_INVALID */
export function parseKeepRule(text: string): KeepRule {
  if (text === 'prox') return { kind: 'prox' };
  const match = /^edu:([0-5])$/.exec(text);
  if (match) return { kind: 'edu', minimum: Number(match[1]) };
  throw new GristmillError('OPTION_INVALID', {
    option: 'keepRule',
    expected: 'prox or edu:N with N in 0..5',
    received: text,
  });
}

/** The scores that a rule needs. */
export function scoresOf(rule: KeepRule): readonly ScoreName[] {
  return rule.kind === 'prox' ? ['educational', 'format'] : ['educational'];
}

/** Applies a rule to scores of 0..5; `format` is not looked at where the rule does not need it. */
export function isKept(rule: KeepRule, educational: number, format: number): boolean {
  if (rule.kind === 'edu') return educational >= rule.minimum;
  return educational >= 3 || (educational === 2 && format >= 4);
}
