/**
 * Ops from a rewritten window: line matching, then the smallest replacement that means one thing only (UltraX, arXiv
 * 2607.08646, where both steps have names of their own; RefineX, arXiv 2507.03253, for deletions only).
 *
 * Invariants
 *  1. `refined` is what the ops mean, made from the edits and not by an executor: checks hold the two together.
 *  2. Deletions only, the default: every op deletes, so that no word can enter the text. What the expert reworded or
 *     added is left out of the ops and its characters are counted.
 *  3. A source string is unique where its op looks for it: in its line (`replace_str`), in the lines of the window that
 *     stay (`normalize`), unless all its occurrences change alike. With replacements allowed it grows into its
 *     neighbourhood, piece by piece, until it is; for deletions there is nothing to grow into (the target would not be
 *     empty), and the edit is left out and counted.
 */
import type { DialectName, Op } from '../../program/types.ts';
import { alignLines } from './align-lines.ts';
import { applyEdits, type LineEdit, lineEdits, piecesOf } from './line-edits.ts';

/** Options of {@link deriveOps}. */
export interface DeriveOptions {
  readonly dialect: DialectName;
  /** Number of the window's first line in its document. */
  readonly lineStart: number;
  /** Also replace strings, and in UltraX's dialect add lines. Default false: deletions only. */
  readonly allowReplacements?: boolean;
}

/** What {@link deriveOps} found. */
export interface Derivation {
  /** None: the window is kept as it is. */
  readonly ops: readonly Op[];
  /** The window after the ops, lines joined by LF; empty when every line is removed. */
  readonly refined: string;
  /** Characters (UTF-16 units) that the rewritten text has and the ops do not bring in. */
  readonly rewordedChars: number;
  /** Edits left out because their string occurs elsewhere too. */
  readonly ambiguousEdits: number;
}

interface Site extends LineEdit {
  /** Index in the window. */
  readonly line: number;
}

/**
 * Derives ops.
 *
 * @param lines of the window
 * @param rewritten its lines as the expert left them
 * @returns null when the texts are too different and too long to compare
 */
export function deriveOps(
  lines: readonly string[],
  rewritten: readonly string[],
  { dialect, lineStart, allowReplacements = false }: DeriveOptions,
): Derivation | null {
  const match = alignLines(lines, rewritten);
  if (match === null) return null;
  const sites: Site[] = [];
  let rewordedChars = 0;
  for (const [line, other] of match.entries()) {
    if (other < 0 || lines[line] === rewritten[other]) continue;
    const edits = lineEdits(lines[line]!, rewritten[other]!);
    if (edits === null) return null;
    for (const edit of edits) {
      if (edit.replacement !== '' && !allowReplacements) {
        rewordedChars += edit.replacement.trim().length;
      } else if (edit.start === edit.end) {
        // An insertion has no string to find: it takes the piece in front, or the one behind, along.
        sites.push({ line, ...withNeighbour(lines[line]!, edit) });
      } else if (edit.replacement !== '' || lines[line]!.slice(edit.start, edit.end).trim()) {
        sites.push({ line, ...edit });
      }
    }
  }
  const stays = (line: number): boolean => match[line]! >= 0;
  const surviving = lines.map((line, index) => (stays(index) ? line : null));
  const replacing =
    dialect === 'ultrax'
      ? uniqueInLines(lines, sites, allowReplacements)
      : uniqueInWindow(surviving, sites, allowReplacements);
  const added = insertions(match, rewritten);
  const canAdd = allowReplacements && dialect === 'ultrax';
  if (!canAdd) for (const { content } of added) rewordedChars += content.trim().length;
  const ops: Op[] = [
    ...removals(match, lineStart),
    ...replacementOps(lines, replacing.sites, dialect, lineStart),
    ...(canAdd
      ? added.map(({ line, subIndex, content }): Op => {
          return { op: 'add_line', line: line + lineStart, subIndex, content };
        })
      : []),
  ];
  return {
    ops,
    refined: refinedText(lines, stays, replacing.sites, canAdd ? added : []),
    rewordedChars,
    ambiguousEdits: replacing.nAmbiguous,
  };
}

function removals(match: Int32Array, lineStart: number): Op[] {
  const ops: Op[] = [];
  for (let line = 0; line < match.length; line++) {
    if (match[line]! >= 0) continue;
    let end = line + 1;
    while (end < match.length && match[end]! < 0) end++;
    ops.push({ op: 'remove_lines', lineStart: lineStart + line, lineEnd: lineStart + end });
    line = end;
  }
  return ops;
}

interface AddedLine {
  /** Original line before which it goes. */
  readonly line: number;
  readonly subIndex: number;
  readonly content: string;
}

/** Rewritten lines that come from no original line. */
function insertions(match: Int32Array, rewritten: readonly string[]): AddedLine[] {
  const from = new Map<number, number>();
  match.forEach((other, line) => {
    if (other >= 0) from.set(other, line);
  });
  const added: AddedLine[] = [];
  let line = 0;
  let subIndex = 0;
  rewritten.forEach((content, index) => {
    const origin = from.get(index);
    if (origin === undefined) added.push({ line, subIndex: ++subIndex, content });
    else {
      line = origin + 1;
      subIndex = 0;
    }
  });
  return added;
}

interface Unique {
  readonly sites: readonly Site[];
  readonly nAmbiguous: number;
}

/** Sites whose string occurs once in its line, grown where that is allowed. */
function uniqueInLines(lines: readonly string[], sites: readonly Site[], grows: boolean): Unique {
  const isUnique = ({ line, start, end }: Site): boolean =>
    occursOnce(lines[line]!, lines[line]!.slice(start, end));
  return settleSites(lines, sites, grows, isUnique);
}

/** Sites whose string means one thing in the lines that stay. */
function uniqueInWindow(
  surviving: readonly (string | null)[],
  sites: readonly Site[],
  grows: boolean,
): Unique {
  const lines = surviving.map((line) => line ?? '');
  // A line feed is in no source string, so lines joined by one are searched as the executor searches them.
  const text = lines.join('\n');
  const alike = new Map<string, number>();
  const keyOf = ({ line, start, end, replacement }: Site): string =>
    `${lines[line]!.slice(start, end)}\n${replacement}`;
  for (const site of sites) alike.set(keyOf(site), (alike.get(keyOf(site)) ?? 0) + 1);
  const isUnique = (site: Site): boolean => {
    const source = lines[site.line]!.slice(site.start, site.end);
    const nAlike = alike.get(keyOf(site)) ?? 0;
    return countOccurrences(text, source, nAlike + 2) === Math.max(1, nAlike);
  };
  return settleSites(lines, sites, grows, isUnique);
}

function settleSites(
  lines: readonly string[],
  sites: readonly Site[],
  grows: boolean,
  isUnique: (site: Site) => boolean,
): Unique {
  const settled: Site[] = [];
  let nAmbiguous = 0;
  for (const [index, site] of sites.entries()) {
    const previous = settled.at(-1);
    const floor = previous?.line === site.line ? previous.end : 0;
    const next = sites[index + 1];
    const ceiling = next?.line === site.line ? next.start : lines[site.line]!.length;
    let grown: Site | null = site;
    // Executors refuse to look for white space alone.
    const isBlank = ({ start, end }: Site): boolean =>
      lines[site.line]!.slice(start, end).trim() === '';
    while (grown !== null && (isBlank(grown) || !isUnique(grown))) {
      grown = grows ? grow(lines[site.line]!, grown, floor, ceiling) : null;
    }
    if (grown === null) nAmbiguous++;
    else settled.push(grown);
  }
  return { sites: settled, nAmbiguous };
}

/** A site with one piece more on the left, or on the right where the left has none; null at both bounds. */
function grow(line: string, site: Site, floor: number, ceiling: number): Site | null {
  const before = site.start > floor ? piecesOf(line.slice(floor, site.start)).at(-1) : undefined;
  if (before !== undefined) {
    return { ...site, start: site.start - before.length, replacement: before + site.replacement };
  }
  const after = site.end < ceiling ? piecesOf(line.slice(site.end, ceiling))[0] : undefined;
  if (after === undefined) return null;
  return { ...site, end: site.end + after.length, replacement: site.replacement + after };
}

function withNeighbour(line: string, edit: LineEdit): LineEdit {
  const before = piecesOf(line.slice(0, edit.start)).at(-1);
  if (before !== undefined) {
    return {
      ...edit,
      start: edit.start - before.length,
      replacement: before + edit.replacement,
    };
  }
  const after = piecesOf(line.slice(edit.end))[0] ?? '';
  return { ...edit, end: edit.end + after.length, replacement: edit.replacement + after };
}

function replacementOps(
  lines: readonly string[],
  sites: readonly Site[],
  dialect: DialectName,
  lineStart: number,
): Op[] {
  const ops: Op[] = [];
  const known = new Set<string>();
  for (const { line, start, end, replacement } of sites) {
    const source = lines[line]!.slice(start, end);
    if (dialect === 'ultrax') {
      ops.push({ op: 'replace_str', line: lineStart + line, source, target: replacement });
    } else if (!known.has(`${source}\n${replacement}`)) {
      known.add(`${source}\n${replacement}`);
      ops.push({ op: 'normalize', source, target: replacement });
    }
  }
  return ops;
}

function refinedText(
  lines: readonly string[],
  stays: (line: number) => boolean,
  sites: readonly Site[],
  added: readonly AddedLine[],
): string {
  const output: string[] = [];
  for (let line = 0; line <= lines.length; line++) {
    for (const each of added) if (each.line === line) output.push(each.content);
    if (line === lines.length || !stays(line)) continue;
    output.push(
      applyEdits(
        lines[line]!,
        sites.filter((site) => site.line === line),
      ),
    );
  }
  return output.join('\n');
}

function occursOnce(text: string, source: string): boolean {
  const first = text.indexOf(source);
  return first >= 0 && text.indexOf(source, first + 1) < 0;
}

/** Occurrences, overlapping ones too, up to a bound. */
function countOccurrences(text: string, source: string, bound: number): number {
  let count = 0;
  for (let at = text.indexOf(source); at >= 0 && count < bound; at = text.indexOf(source, at + 1)) {
    count++;
  }
  return count;
}
