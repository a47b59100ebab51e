/**
 * What a run of `annotate chunks` did, in numbers: `statistics.json` and the page made of it.
 */
import { GristmillError } from '../../errors.ts';
import type { Expert, ExpertStats } from '../expert/expert.ts';
import { type FailureCause, FailureCauses } from '../failure-causes.ts';
import type { Split, WindowExample } from '../types.ts';
import type { ChunkSettings } from './chunk-options.ts';
import type { RejectReason } from './reject-reasons.ts';
import { EXAMPLE_KINDS, type ExampleKind } from './shares.ts';
import type { WindowSource } from './window-source.ts';

/** Counts over the examples of one part. */
export interface PartStatistics {
  readonly nExamples: number;
  readonly kinds: Readonly<Record<ExampleKind, number>>;
  /** Calls by function; keeping a window is none. */
  readonly ops: Readonly<Record<string, number>>;
  /** UTF-16 units of the windows, and what remains of them. */
  readonly charsBefore: number;
  readonly charsAfter: number;
  readonly linesBefore: number;
  readonly linesAfter: number;
}

/** Conservation: `nWindows` = examples of both parts + the sum of `rejected`. */
export interface ChunkStatistics {
  readonly way: string;
  /** Empty for gold. */
  readonly expert: string;
  readonly dialect: string;
  readonly profile: string;
  readonly nDocuments: number;
  /** Rows without a usable text, and documents that `onlyKept` left out. */
  readonly nDocumentsSkipped: number;
  /** Lines longer than a window; they are in none. */
  readonly nLinesTooLong: number;
  readonly nWindows: number;
  readonly parts: Readonly<Record<Split, PartStatistics>>;
  readonly rejected: Readonly<Partial<Record<RejectReason, number>>>;
  /** Edits of rewritten windows that no op could express, and characters that were not let in. */
  readonly ambiguousEdits: number;
  readonly rewordedChars: number;
  /** Examples by language, commonest first, 50 at most; empty name: unknown. */
  readonly languages: Readonly<Record<string, number>>;
  readonly nDomains: number;
  /** Null for gold. */
  readonly requests: ExpertStats | null;
  /** Why the run ended before its inputs did; null when it did not. */
  readonly stopped: 'budget' | 'quota' | null;
  /** What stopped it, in words. */
  readonly stoppedBy: string | null;
  /** Why requests failed, in words, commonest first; 21 at most. */
  readonly causes: readonly FailureCause[];
  readonly seconds: number;
  /** Options of the run that decide its result. */
  readonly settings: Readonly<Record<string, unknown>>;
}

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };
type OpenPart = Mutable<PartStatistics> & {
  readonly kinds: Record<ExampleKind, number>;
  readonly ops: Record<string, number>;
};

const MAX_LANGUAGES = 50;

/** Counts while a run goes on. */
export class ChunkTally {
  nWindows = 0;
  ambiguousEdits = 0;
  rewordedChars = 0;
  stopped: ChunkStatistics['stopped'] = null;
  stoppedBy: string | null = null;
  readonly #causes = new FailureCauses();
  readonly #started = performance.now();
  readonly #rejected: Partial<Record<RejectReason, number>> = {};
  readonly #parts = { train: emptyPart(), validation: emptyPart() };
  readonly #languages = new Map<string, number>();
  readonly #domains = new Set<string>();

  /** @param cause what the server said of a request that failed */
  reject(reason: RejectReason, cause?: string): void {
    if (cause !== undefined) this.#causes.add(cause);
    this.#rejected[reason] = (this.#rejected[reason] ?? 0) + 1;
  }

  addExample(
    example: WindowExample,
    { kind, opNames }: { readonly kind: ExampleKind; readonly opNames: readonly string[] },
  ): void {
    const { text, refined, lineStart, lineEnd, language, domain, id } = example;
    const part = this.#parts[example.split];
    part.nExamples++;
    part.kinds[kind]++;
    for (const name of opNames) part.ops[name] = (part.ops[name] ?? 0) + 1;
    part.charsBefore += text.length;
    part.charsAfter += refined.length;
    part.linesBefore += lineEnd - lineStart;
    part.linesAfter += kind === 'all' ? 0 : refined.split('\n').length;
    this.#languages.set(language, (this.#languages.get(language) ?? 0) + 1);
    this.#domains.add(domain === '' ? `id:${id}` : domain);
  }

  /** @throws RUN_CONSERVATION when a window has no outcome, or two */
  checkConservation(): void {
    const kept = this.#parts.train.nExamples + this.#parts.validation.nExamples;
    const dropped = Object.values(this.#rejected).reduce((sum, count) => sum + count, 0);
    if (kept + dropped === this.nWindows) return;
    throw new GristmillError('RUN_CONSERVATION', {
      unit: 'annotate chunks',
      rowsIn: this.nWindows,
      kept,
      edited: 0,
      dropped,
      failed: 0,
    });
  }

  statistics(
    settings: ChunkSettings,
    {
      source,
      expert,
      dialect,
      profile,
    }: {
      readonly source: WindowSource;
      readonly expert: Expert | null;
      readonly dialect: string;
      readonly profile: string;
    },
  ): ChunkStatistics {
    const { signal: _, onProgress: __, expert: ___, out: ____, ...own } = settings;
    const languages = [...this.#languages]
      .sort(([one, count], [other, otherCount]) => otherCount - count || (one < other ? -1 : 1))
      .slice(0, MAX_LANGUAGES);
    return {
      way: settings.way,
      expert: expert?.name ?? '',
      dialect,
      profile,
      nDocuments: source.nDocuments,
      nDocumentsSkipped: source.nSkipped,
      nLinesTooLong: source.nLinesTooLong,
      nWindows: this.nWindows,
      parts: this.#parts,
      rejected: this.#rejected,
      ambiguousEdits: this.ambiguousEdits,
      rewordedChars: this.rewordedChars,
      languages: Object.fromEntries(languages),
      nDomains: this.#domains.size,
      requests: expert?.stats() ?? null,
      stopped: this.stopped,
      stoppedBy: this.stoppedBy,
      causes: this.#causes.list(),
      seconds: (performance.now() - this.#started) / 1000,
      settings: own,
    };
  }
}

function emptyPart(): OpenPart {
  return {
    nExamples: 0,
    kinds: Object.fromEntries(EXAMPLE_KINDS.map((kind) => [kind, 0])) as Record<
      ExampleKind,
      number
    >,
    ops: {},
    charsBefore: 0,
    charsAfter: 0,
    linesBefore: 0,
    linesAfter: 0,
  };
}
