/**
 * The ledger of an annotation that several workers make on one folder: which ranges of documents the expert has been asked
 * about. Its ledger is that of every kind of work (work/ledger.ts); a range is a unit.
 *
 *     _annotate/run.json                 what makes it this annotation, and all that finishing it takes
 *     _annotate/units/00000.json         one record per range: counts, no texts
 *     _annotate/asked/part-00000.jsonl   what of its requests is not among the answers: failures, and answers that were cut
 *     _annotate/answers/                 the answers (expert/answer-cache.ts), a file a worker
 *
 * The set itself is made by whoever finishes (finish-annotation.ts): from the answers, by what makes it on one machine.
 */
import * as z from 'zod';
import { fileKind } from '../../work/file-kind.ts';
import { recordNames } from '../../work/ledger.ts';
import { unitName } from '../../work/output-folder.ts';
import type { OutputStore, StoredFile } from '../../work/output-store.ts';
import { count, recordFields } from '../../work/record-schema.ts';
import { UnitSet } from '../../work/unit-set.ts';
import { type AnnotatedKind, ASKED_LAYOUT } from '../output-files.ts';

/** What makes an annotation the same one. */
export interface AskedIdentity {
  readonly format: 1;
  readonly kind: AnnotatedKind;
  readonly versions: { readonly gristmill: string };
  /** As the call has them, without the expert and what does not decide the result. */
  readonly options: Readonly<Record<string, unknown>>;
  /** SHA-256 of the prompts. */
  readonly prompts: string;
  readonly expert: { readonly name: string; readonly identity: object };
  /** Folder of the answers; null for the annotation's own. */
  readonly answers: string | null;
  readonly inputs: readonly {
    readonly path: string;
    readonly bytes: number;
    readonly fingerprint: string;
  }[];
  readonly units: number;
}

const countsSchema = z.object({
  /** Documents read. */
  rowsIn: count,
  /** Answers that were paid for, answers that were there. */
  requests: count,
  cached: count,
  failed: count,
  promptTokens: count,
  answerTokens: count,
});
const recordSchema = z.object({
  ...recordFields,
  counts: countsSchema,
  file: z.object({ path: z.string(), bytes: count }),
  endedAt: z.number(),
});

/** What was asked, by count. */
export type AskedCounts = z.infer<typeof countsSchema>;

/** Nothing yet. */
export const NO_COUNTS: AskedCounts = Object.freeze({
  ...{ rowsIn: 0, requests: 0, cached: 0, failed: 0, promptTokens: 0, answerTokens: 0 },
});

/** A range that the expert has been asked about. */
export interface AskedRecord {
  readonly unit: number;
  readonly attempt?: string;
  /** File and range. */
  readonly input: string;
  readonly counts: AskedCounts;
  readonly file: StoredFile;
  readonly seconds: number;
  /** Milliseconds since 1970. */
  readonly endedAt: number;
}

/** Where a range's file comes to lie. */
export function askedPath(unit: number): string {
  return `${ASKED_LAYOUT.results[0]}/part-${unitName(unit)}.jsonl`;
}

/** An annotation as ledgers know it. */
export const ASKED_KIND = fileKind<AskedRecord, AskedIdentity>({
  ...{ command: 'annotate', layout: ASKED_LAYOUT, schema: recordSchema, pathOf: askedPath },
});

/** Adds counts up. */
export function addAsked(one: AskedCounts, other: AskedCounts): AskedCounts {
  return Object.fromEntries(
    Object.entries(one).map(([name, value]) => [name, value + other[name as keyof AskedCounts]]),
  ) as AskedCounts;
}

/** Ranges of a plan that the expert was asked about. */
export async function askedRanges(store: OutputStore, nUnits: number): Promise<UnitSet> {
  const ranges = new UnitSet();
  for await (const name of recordNames(store, ASKED_KIND)) {
    if (Number(name) < nUnits) ranges.add(Number(name));
  }
  return ranges;
}
