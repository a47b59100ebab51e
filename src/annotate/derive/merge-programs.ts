/**
 * One program from several: what an expert answered to the prompts for navigation, URLs and footers of one window
 * (ProX, arXiv 2409.17115, §2.3 and appendix A: programs by noise type, merged, checked).
 *
 * Answers are numbered from the window's first line, 0. Removed lines are united; strings to delete are listed once;
 * strings that occur in removed lines only are left out.
 */
import { parse } from '../../program/parse.ts';
import { isDrop, isKeep } from '../../program/plan.ts';
import type { DialectName, Op } from '../../program/types.ts';
import type { RejectReason } from '../chunks/reject-reasons.ts';

/** Options of {@link mergeAnswers}. */
export interface MergeOptions {
  readonly dialect: DialectName;
  /** Number of the window's first line in its document. */
  readonly lineStart: number;
  /** Accept targets that are not empty. Default false: deletions only. */
  readonly allowReplacements?: boolean;
}

/**
 * Merges answers.
 *
 * @param lines of the window
 * @param answers programs in ProX's dialect, with comments and code fences or without
 * @returns the ops in document coordinates, or why the window is no example
 */
export function mergeAnswers(
  lines: readonly string[],
  answers: readonly string[],
  { dialect, lineStart, allowReplacements = false }: MergeOptions,
): { readonly ops: readonly Op[] } | { readonly reason: RejectReason } {
  const removed = new Uint8Array(lines.length);
  const replacements = new Map<string, { readonly source: string; readonly target: string }>();
  for (const answer of answers) {
    const { statements, tooManyOps } = parse(withoutFences(answer));
    if (tooManyOps) return { reason: 'too_many_ops' };
    if (statements.length === 0) return { reason: 'empty_answer' };
    let keeps = false;
    let edits = false;
    for (const { op, problem } of statements) {
      if (op === null) return { reason: problem === 'truncated' ? 'cut_off' : 'malformed_program' };
      if (isKeep(op)) {
        keeps = true;
        continue;
      }
      edits = true;
      if (isDrop(op)) removed.fill(1);
      else if (op.op === 'remove_lines') {
        if (op.lineEnd > lines.length) return { reason: 'out_of_window' };
        removed.fill(1, op.lineStart, op.lineEnd);
      } else if (op.op === 'normalize') {
        if (op.target !== '' && !allowReplacements) return { reason: 'rewords' };
        replacements.set(`${op.source}\n${op.target}`, op);
      }
    }
    if (keeps && edits) return { reason: 'contradiction' };
  }
  const ops: Op[] = removedRanges(removed, lineStart);
  for (const { source, target } of replacements.values()) {
    const places = lines.flatMap((line, index) => (line.includes(source) ? [index] : []));
    if (places.length === 0) return { reason: 'source_missing' };
    const staying = places.filter((line) => removed[line] === 0);
    if (staying.length === 0) continue;
    if (dialect === 'prox') ops.push({ op: 'normalize', source, target });
    else {
      for (const line of staying) {
        if (lines[line]!.indexOf(source) !== lines[line]!.lastIndexOf(source)) {
          return { reason: 'source_not_unique' };
        }
        ops.push({ op: 'replace_str', line: lineStart + line, source, target });
      }
    }
  }
  return { ops };
}

function removedRanges(removed: Uint8Array, lineStart: number): Op[] {
  const ops: Op[] = [];
  for (let line = 0; line < removed.length; line++) {
    if (removed[line] === 0) continue;
    let end = line + 1;
    while (end < removed.length && removed[end] === 1) end++;
    ops.push({ op: 'remove_lines', lineStart: lineStart + line, lineEnd: lineStart + end });
    line = end;
  }
  return ops;
}

/** The text without lines that open or close a code block, which chat models like to put around programs. */
function withoutFences(answer: string): string {
  return answer
    .split('\n')
    .filter((line) => !line.trimStart().startsWith('```'))
    .join('\n');
}
