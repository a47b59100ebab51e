/**
 * The three ways to a program for a window (ProX §2.3; UltraX and RefineX for `rewrite`), each a function from a window
 * to ops and what they are to give; check-example.ts decides whether the two are an example.
 *
 *     gold      labels of lines (people's, or read off a clean text)       → remove_lines
 *     programs  an expert's programs for navigation, URLs and footers      → merged
 *     rewrite   an expert's copy of the window without what does not belong → derived, deletions only by default
 */

import { isGristmillError } from '../../errors.ts';
import { DIALECTS } from '../../program/dialects.ts';
import type { DialectName, Op } from '../../program/types.ts';
import { deriveOps } from '../derive/derive-ops.ts';
import { mergeAnswers } from '../derive/merge-programs.ts';
import type { Expert, ExpertAnswer } from '../expert/expert.ts';
import { loadTemplate, type PromptTemplate, REWRITE_MARKERS } from '../templates.ts';
import type { RejectReason } from './reject-reasons.ts';
import { type DocumentWindow, linesOf } from './windows.ts';

/** What a way says of a window. */
export type Proposal = {
  /** Hashes of the requests behind it, separated by spaces. */
  readonly requests: string;
} & (
  | {
      readonly ops: readonly Op[];
      /** What the ops are to give; null to take what they give. */
      readonly intended: string | null;
      readonly ambiguousEdits: number;
      readonly rewordedChars: number;
    }
  | {
      readonly reason: RejectReason;
      /** What the server said of a request that failed. */
      readonly cause?: string;
    }
);

/** A way to a program. @throws ANNOTATE_EXPERT_REFUSED, ANNOTATE_EXPERT_DOWN, ANNOTATE_EXPERT_QUOTA, ANNOTATE_BUDGET_SPENT, ABORTED */
export type Propose = (window: DocumentWindow) => Promise<Proposal>;

/** Options of the ways that ask an expert. */
export interface ExpertWayOptions {
  readonly expert: Expert;
  readonly dialect: DialectName;
  /** Folder of edited prompts. */
  readonly prompts?: string | undefined;
  readonly allowReplacements: boolean;
  /** Longest program that is asked for, in tokens. */
  readonly maxProgramTokens: number;
  /** Longest answer in tokens; default: of `programs` `maxProgramTokens`, of `rewrite` what a copy takes. */
  readonly answerTokens?: number | undefined;
  /** Characters that `rewrite` may bring in before a window is no example; they are left out of its ops. */
  readonly maxRewordedChars: number;
  readonly signal?: AbortSignal | undefined;
}

/** Templates of the prompts of `programs`, one for each kind of noise. */
const NOISE_TEMPLATES = ['navigation', 'urls', 'footers'] as const;
/** A copy is as long as its window, in tokens of another model. */
const COPY_TOKENS_PER_CHAR = 0.6;

/** Ops from the labels that the window was cut with. */
export async function proposeGold(window: DocumentWindow): Promise<Proposal> {
  const { removals, lineStart, lineEnd, document } = window;
  const gone = new Uint8Array(lineEnd - lineStart);
  for (const op of removals) {
    if (op.op === 'remove_lines') gone.fill(1, op.lineStart - lineStart, op.lineEnd - lineStart);
  }
  const kept = document.lines.slice(lineStart, lineEnd).filter((_, line) => gone[line] === 0);
  return {
    ops: removals,
    intended: kept.join('\n'),
    requests: '',
    ambiguousEdits: 0,
    rewordedChars: 0,
  };
}

/** Programs of an expert for each kind of noise, merged. @throws ANNOTATE_TEMPLATE_INVALID */
export function proposePrograms(options: ExpertWayOptions): Propose {
  const { dialect, allowReplacements, maxProgramTokens, answerTokens = maxProgramTokens } = options;
  const templates = NOISE_TEMPLATES.map((name) => loadTemplate(name, options.prompts));
  const { lineMarker } = DIALECTS.prox;
  return async (window) => {
    const lines = linesOf(window);
    const numbered = lines.map((line, index) => `${lineMarker(index)}${line}`).join('\n');
    const asked = await Promise.all(
      templates.map((template) => ask(template, { lines: numbered }, answerTokens, options)),
    );
    const answers = asked.filter((answer) => typeof answer !== 'string');
    const requests = answers.map(({ hash }) => hash).join(' ');
    const cause = asked.find((answer) => typeof answer === 'string');
    if (cause !== undefined) return { requests, reason: 'expert_failed', cause };
    if (answers.some(({ finish }) => finish === 'length'))
      return { requests, reason: 'answer_cut' };
    const merged = mergeAnswers(
      lines,
      answers.map(({ text }) => text),
      { dialect, lineStart: window.lineStart, allowReplacements },
    );
    if ('reason' in merged) return { requests, ...merged };
    return { requests, ops: merged.ops, intended: null, ambiguousEdits: 0, rewordedChars: 0 };
  };
}

/** Ops that make the expert's copy of a window out of the window. @throws ANNOTATE_TEMPLATE_INVALID */
export function proposeRewrite(options: ExpertWayOptions): Propose {
  const template = loadTemplate('rewrite', options.prompts);
  const { dialect, allowReplacements, maxRewordedChars } = options;
  return async (window) => {
    const lines = linesOf(window);
    const text = lines.join('\n');
    const maxTokens = options.answerTokens ?? 256 + Math.ceil(text.length * COPY_TOKENS_PER_CHAR);
    const answer = await ask(template, { text }, maxTokens, options);
    if (typeof answer === 'string') {
      return { requests: '', reason: 'expert_failed', cause: answer };
    }
    const requests = answer.hash;
    if (answer.finish === 'length') return { requests, reason: 'answer_cut' };
    const rewritten = betweenMarkers(answer.text);
    if (rewritten === null) return { requests, reason: 'no_markers' };
    const derived = deriveOps(lines, rewritten, {
      dialect,
      lineStart: window.lineStart,
      allowReplacements,
    });
    if (derived === null) return { requests, reason: 'too_different' };
    const { ops, refined: intended, rewordedChars, ambiguousEdits } = derived;
    if (rewordedChars > maxRewordedChars) return { requests, reason: 'rewords' };
    return { requests, ops, intended, ambiguousEdits, rewordedChars };
  };
}

/** Lines between the first begin marker and the last end marker; null where one is missing. */
export function betweenMarkers(answer: string): string[] | null {
  const lines = answer.split('\n').map((line) => (line.endsWith('\r') ? line.slice(0, -1) : line));
  const begin = lines.findIndex((line) => line.trim() === REWRITE_MARKERS.begin);
  const end = lines.findLastIndex((line) => line.trim() === REWRITE_MARKERS.end);
  return begin < 0 || end <= begin ? null : lines.slice(begin + 1, end);
}

/** One request; the cause when it failed for good, which costs the window and not the run. */
async function ask(
  template: PromptTemplate,
  values: Readonly<Record<string, string>>,
  maxTokens: number,
  { expert, signal }: ExpertWayOptions,
): Promise<ExpertAnswer | string> {
  try {
    return await expert.ask({ ...template.fill(values), maxTokens }, signal ? { signal } : {});
  } catch (error) {
    if (isGristmillError(error, 'ANNOTATE_EXPERT_FAILED')) return String(error.details['reason']);
    throw error;
  }
}
