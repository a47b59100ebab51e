/**
 * Measures of refiners on labelled windows.
 *
 * For every window there is what the label's program makes of it and what the prediction's makes (window-execution.ts).
 * A quotient by nothing is 0, except where null is said. A failed window is unchanged, and counts as such everywhere.
 *
 * Lines (ProX, arXiv 2409.17115, Table 4): P and L are the sets of lines that prediction and label remove.
 *   precision = |P∩L| / |P|,  recall = |P∩L| / |L|,  F1 = 2|P∩L| / (|P|+|L|);  `lines` pools all windows,
 *   `lineF1Mean` is the mean of the windows' F1 with 1 where P and L are both empty, `lineF1MeanEdited` the mean over
 *   the windows where they are not. Table 4 does not say which of the three it is, and leaves normalize out.
 *   rawAgreement = (|P∩L| + lines that both keep) / lines;
 *   kappa = (rawAgreement − chance) / (1 − chance), chance = p·l + (1−p)(1−l) with p, l the shares of removed lines
 *   (Cohen); null where chance is 1.
 * Characters (code points other than line feeds): the same with the characters that are removed, normalize included.
 * Over-deletion: characters that the label keeps and the prediction removes, by the characters that the label keeps;
 *   the share of windows with at least one such character; the same for whole lines.
 * New words: words of the output that are not among the words of the window (src/program/words.ts), by 1,000 words of
 *   output. `added` counts windows in which some op put text in: 0 for deletion-only refiners. `cut` counts the others:
 *   deleting inside a line can join two words or cut one, which makes a word without adding a character.
 * Failures: `failures` has one reason a failed window: the executor's, or does_not_fit (the prompt), empty_program
 *   (no call), malformed (every call was refused). `paperFailureRatio` is the share of windows with what the paper
 *   counts: repeated or empty output (repeated_ops, token_cap, empty_program) or a string that does not exist.
 */

import type { JudgedWindow } from '../../program/window-execution.ts';
import { listWords } from '../../program/words.ts';
import { type Agreement, agreement } from '../../scorers/eval-lines.ts';
import type { WindowExample } from '../types.ts';

/** Why a refiner wrote no program, or one that was cut off; null otherwise. */
export type WritingFlaw = 'does_not_fit' | 'token_cap' | null;

/** One window with its two outcomes. */
export interface JudgedPair {
  readonly example: Pick<WindowExample, 'text' | 'refined' | 'way' | 'language' | 'dialect'>;
  readonly label: JudgedWindow;
  readonly prediction: JudgedWindow;
  readonly flaw: WritingFlaw;
}

/** Main measures of a set of windows. Ratios are 0..1. */
export interface WindowMeasures {
  readonly nWindows: number;
  readonly failureRatio: number;
  /** Removed lines, pooled (Table 4). */
  readonly lines: Agreement;
  readonly lineF1Mean: number;
  /** Null where no window has a removed line. */
  readonly lineF1MeanEdited: number | null;
  readonly rawAgreement: number;
  readonly kappa: number | null;
  /** Removed characters, pooled. */
  readonly chars: Agreement;
  readonly overDeletion: {
    readonly windows: number;
    readonly chars: number;
    readonly lines: number;
  };
  /** Share of windows that the prediction leaves as they are. */
  readonly unchangedRate: number;
  /** Share of those that the label changes; null where there are none. */
  readonly unchangedMissed: number | null;
  /** Share of windows whose text comes out as the label's. */
  readonly exactMatchRate: number;
  /** Words of the output by words of the windows. */
  readonly keptWords: number;
}

/** Removed units of both sides. */
export interface RemovedCounts {
  readonly total: number;
  readonly both: number;
  readonly predicted: number;
  readonly labelled: number;
}

/** Calls by one function's name. */
export interface OpCounts {
  readonly written: number;
  /** Calls that changed something. */
  readonly applied: number;
}

/** All measures of a set of windows. */
export interface RefinerMeasures extends WindowMeasures {
  /** UTF-8 bytes of the windows. */
  readonly nBytes: number;
  readonly lineCounts: RemovedCounts;
  readonly charCounts: RemovedCounts;
  /** Failed windows by reason. */
  readonly failures: Readonly<Record<string, number>>;
  readonly paperFailureRatio: number;
  /** Windows that stopped at the most tokens of a program, whether or not they failed. */
  readonly nTokenCap: number;
  /** Calls that were not applied, by reason code of src/program/reasons.ts. */
  readonly refusedOps: Readonly<Record<string, number>>;
  /** Calls of a window's program, those that keep included. */
  readonly ops: {
    readonly mean: number;
    readonly p50: number;
    readonly p95: number;
    readonly byFunction: Readonly<Record<string, OpCounts>>;
  };
  readonly newWords: {
    readonly nOutputWords: number;
    readonly added: number;
    readonly cut: number;
    readonly addedPer1000: number;
    readonly cutPer1000: number;
  };
  /** The labels themselves. */
  readonly labels: {
    /** Programs that fail: their windows are unchanged. */
    readonly nFailed: number;
    /** Examples whose program does not make `refined` of their text under these options. */
    readonly nNotReproduced: number;
    readonly opsMean: number;
    readonly unchangedRate: number;
    readonly keptWords: number;
  };
  readonly byWay: Readonly<Record<string, WindowMeasures>>;
  /** `unknown` where the example names none. */
  readonly byLanguage: Readonly<Record<string, WindowMeasures>>;
  readonly byDialect: Readonly<Record<string, WindowMeasures>>;
}

const GROUPINGS = ['way', 'language', 'dialect'] as const;

/** Collects windows one by one; holds a few numbers a window, no text. */
export class RefinerEvaluation {
  readonly #all = new Pool();
  readonly #groups: Readonly<Record<(typeof GROUPINGS)[number], Map<string, Pool>>> = {
    way: new Map(),
    language: new Map(),
    dialect: new Map(),
  };
  readonly #nOps: number[] = [];
  readonly #failures = new Map<string, number>();
  readonly #refused = new Map<string, number>();
  readonly #functions = new Map<string, { written: number; applied: number }>();
  #nBytes = 0;
  #nPaperFailed = 0;
  #nTokenCap = 0;
  readonly #new = { added: 0, cut: 0 };
  readonly #labels = { nFailed: 0, nNotReproduced: 0, nOps: 0, nUnchanged: 0 };

  /** Adds a window. */
  add({ example, label, prediction, flaw }: JudgedPair): void {
    const failure = failureOf(prediction, flaw);
    const words = wordsOf(example.text, label, prediction);
    const counts = compare(example.text, { label, prediction, failed: failure !== null, words });
    this.#all.add(counts);
    for (const grouping of GROUPINGS) {
      const pools = this.#groups[grouping];
      const name = example[grouping] || 'unknown';
      let pool = pools.get(name);
      if (!pool) {
        pool = new Pool();
        pools.set(name, pool);
      }
      pool.add(counts);
    }
    this.#nBytes += prediction.removedBytes.length;
    if (failure !== null) count(this.#failures, failure);
    if (flaw === 'token_cap') this.#nTokenCap++;
    if (isPaperFailure(prediction, failure, flaw)) this.#nPaperFailed++;
    this.#addOps(prediction);
    this.#new[prediction.adds ? 'added' : 'cut'] += words.nNew;
    this.#labels.nOps += label.ops.length;
    if (label.status === 'failed') this.#labels.nFailed++;
    if (label.text !== example.refined) this.#labels.nNotReproduced++;
    if (label.text === example.text) this.#labels.nUnchanged++;
  }

  #addOps({ ops }: JudgedWindow): void {
    this.#nOps.push(ops.length);
    for (const { op, count: nPlaces, skipped } of ops) {
      const counts = this.#functions.get(op) ?? { written: 0, applied: 0 };
      this.#functions.set(op, counts);
      counts.written++;
      if (skipped !== null) count(this.#refused, skipped);
      else if (nPlaces > 0) counts.applied++;
    }
  }

  /** The measures of all windows so far. */
  report(): RefinerMeasures {
    const all = this.#all;
    const { nWindows, nInputWords, nOutputWords, nLabelWords } = all;
    const nOps = this.#nOps.toSorted((left, right) => left - right);
    return {
      ...all.measures(),
      nBytes: this.#nBytes,
      lineCounts: { ...all.lines },
      charCounts: { ...all.chars },
      failures: sorted(this.#failures),
      paperFailureRatio: ratio(this.#nPaperFailed, nWindows),
      nTokenCap: this.#nTokenCap,
      refusedOps: sorted(this.#refused),
      ops: {
        mean: ratio(
          nOps.reduce((sum, number) => sum + number, 0),
          nWindows,
        ),
        p50: quantile(nOps, 0.5),
        p95: quantile(nOps, 0.95),
        byFunction: sorted(this.#functions),
      },
      newWords: {
        nOutputWords,
        ...this.#new,
        addedPer1000: 1000 * ratio(this.#new.added, nOutputWords),
        cutPer1000: 1000 * ratio(this.#new.cut, nOutputWords),
      },
      labels: {
        nFailed: this.#labels.nFailed,
        nNotReproduced: this.#labels.nNotReproduced,
        opsMean: ratio(this.#labels.nOps, nWindows),
        unchangedRate: ratio(this.#labels.nUnchanged, nWindows),
        keptWords: ratio(nLabelWords, nInputWords),
      },
      byWay: measuresOf(this.#groups.way),
      byLanguage: measuresOf(this.#groups.language),
      byDialect: measuresOf(this.#groups.dialect),
    };
  }
}

/** Why a window counts as failed, or null. */
function failureOf({ status, reason, ops }: JudgedWindow, flaw: WritingFlaw): string | null {
  if (flaw === 'does_not_fit') return flaw;
  if (status === 'failed') return reason;
  if (ops.length === 0) return 'empty_program';
  return ops.every(({ op, skipped }) => op === 'invalid' || isRefusal(skipped))
    ? 'malformed'
    : null;
}

/** Reasons of calls that could be read but had nothing to do, or too much. */
const WELL_FORMED: ReadonlySet<string> = new Set([
  'not_found',
  'not_unique',
  'overlap',
  'already_removed',
  'no_change',
  'would_grow',
  'over_removal',
]);

function isRefusal(skipped: string | null): boolean {
  return skipped !== null && !WELL_FORMED.has(skipped);
}

function isPaperFailure({ ops }: JudgedWindow, failure: string | null, flaw: WritingFlaw): boolean {
  if (flaw === 'token_cap' || failure === 'empty_program' || failure === 'repeated_ops')
    return true;
  return ops.some(({ skipped }) => skipped === 'not_found');
}

interface Words {
  readonly nInput: number;
  readonly nOutput: number;
  readonly nLabel: number;
  /** Of the output, not of the input. */
  readonly nNew: number;
}

function wordsOf(text: string, label: JudgedWindow, prediction: JudgedWindow): Words {
  const input = listWords(text);
  const nInput = input.length;
  const nLabel = label.text === text ? nInput : listWords(label.text).length;
  if (prediction.text === text) return { nInput, nOutput: nInput, nLabel, nNew: 0 };
  const known = new Set(input);
  const output = listWords(prediction.text);
  const nNew = output.filter((word) => !known.has(word)).length;
  return { nInput, nOutput: output.length, nLabel, nNew };
}

/** What one window adds to a pool. */
interface WindowCounts {
  readonly lines: RemovedCounts;
  readonly chars: RemovedCounts;
  readonly failed: boolean;
  readonly unchanged: boolean;
  readonly labelChanges: boolean;
  readonly exact: boolean;
  readonly words: Words;
}

function compare(
  text: string,
  {
    label,
    prediction,
    failed,
    words,
  }: {
    readonly label: JudgedWindow;
    readonly prediction: JudgedWindow;
    readonly failed: boolean;
    readonly words: Words;
  },
): WindowCounts {
  const bytes = Buffer.from(text);
  return {
    lines: countRemoved(prediction.removedLines, label.removedLines, null),
    chars: countRemoved(prediction.removedBytes, label.removedBytes, bytes),
    failed,
    unchanged: prediction.text === text,
    labelChanges: label.text !== text,
    exact: prediction.text === label.text,
    words,
  };
}

/** @param bytes counts the first byte of every character but line feeds; null counts all positions */
function countRemoved(
  predicted: Uint8Array,
  labelled: Uint8Array,
  bytes: Uint8Array | null,
): RemovedCounts {
  const counts = { total: 0, both: 0, predicted: 0, labelled: 0 };
  for (let at = 0; at < predicted.length; at++) {
    const byte = bytes?.[at];
    if (byte !== undefined && (byte === 10 || (byte & 0xc0) === 0x80)) continue;
    counts.total++;
    counts.predicted += predicted[at]!;
    counts.labelled += labelled[at]!;
    counts.both += predicted[at]! & labelled[at]!;
  }
  return counts;
}

class Pool {
  readonly lines = { total: 0, both: 0, predicted: 0, labelled: 0 };
  readonly chars = { total: 0, both: 0, predicted: 0, labelled: 0 };
  nWindows = 0;
  nInputWords = 0;
  nOutputWords = 0;
  nLabelWords = 0;
  #nFailed = 0;
  #nUnchanged = 0;
  #nMissed = 0;
  #nExact = 0;
  #nOverDeleted = 0;
  #lineF1 = 0;
  #nEdited = 0;

  add({ lines, chars, failed, unchanged, labelChanges, exact, words }: WindowCounts): void {
    this.nWindows++;
    addCounts(this.lines, lines);
    addCounts(this.chars, chars);
    this.nInputWords += words.nInput;
    this.nOutputWords += words.nOutput;
    this.nLabelWords += words.nLabel;
    if (failed) this.#nFailed++;
    if (unchanged) this.#nUnchanged++;
    if (unchanged && labelChanges) this.#nMissed++;
    if (exact) this.#nExact++;
    if (chars.predicted > chars.both) this.#nOverDeleted++;
    if (lines.predicted + lines.labelled > 0) {
      this.#nEdited++;
      this.#lineF1 += agreementOf(lines).f1;
    }
  }

  measures(): WindowMeasures {
    const { nWindows, lines, chars } = this;
    const raw = lines.total - lines.predicted - lines.labelled + 2 * lines.both;
    return {
      nWindows,
      failureRatio: ratio(this.#nFailed, nWindows),
      lines: agreementOf(lines),
      lineF1Mean: ratio(this.#lineF1 + nWindows - this.#nEdited, nWindows),
      lineF1MeanEdited: this.#nEdited === 0 ? null : this.#lineF1 / this.#nEdited,
      rawAgreement: ratio(raw, lines.total),
      kappa: kappaOf(lines, raw),
      chars: agreementOf(chars),
      overDeletion: {
        windows: ratio(this.#nOverDeleted, nWindows),
        chars: ratio(chars.predicted - chars.both, chars.total - chars.labelled),
        lines: ratio(lines.predicted - lines.both, lines.total - lines.labelled),
      },
      unchangedRate: ratio(this.#nUnchanged, nWindows),
      unchangedMissed: this.#nUnchanged === 0 ? null : this.#nMissed / this.#nUnchanged,
      exactMatchRate: ratio(this.#nExact, nWindows),
      keptWords: ratio(this.nOutputWords, this.nInputWords),
    };
  }
}

function agreementOf({ both, predicted, labelled }: RemovedCounts): Agreement {
  return agreement(both, predicted - both, labelled - both);
}

function kappaOf({ total, predicted, labelled }: RemovedCounts, agreeing: number): number | null {
  // Scaled by total², so that a chance of exactly 1 is seen as such.
  const chance = predicted * labelled + (total - predicted) * (total - labelled);
  const square = total * total;
  return square === chance ? null : (agreeing * total - chance) / (square - chance);
}

function addCounts(into: { -readonly [Key in keyof RemovedCounts]: number }, more: RemovedCounts) {
  into.total += more.total;
  into.both += more.both;
  into.predicted += more.predicted;
  into.labelled += more.labelled;
}

/** Nearest rank. */
function quantile(ascending: readonly number[], share: number): number {
  return ascending[Math.max(0, Math.ceil(share * ascending.length) - 1)] ?? 0;
}

function count(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}

function sorted<Value>(entries: ReadonlyMap<string, Value>): Record<string, Value> {
  return Object.fromEntries([...entries].sort(([left], [right]) => (left < right ? -1 : 1)));
}

function measuresOf(pools: ReadonlyMap<string, Pool>): Record<string, WindowMeasures> {
  return sorted(new Map([...pools].map(([name, pool]) => [name, pool.measures()])));
}

function ratio(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}
