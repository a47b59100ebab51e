/**
 * The end of an annotation that several workers have made on one folder: once the expert has been asked about every range,
 * the set is made from the answers on disk, by what makes it on one machine, and nobody is asked any more.
 *
 * So the files are those of one machine, byte for byte, whoever has asked about what: near duplicates, shares and order
 * are seen by one process. `statistics.json` has the costs of all workers.
 */
import { below } from '../../corpus/storage/addresses.ts';
import { readSmall } from '../../corpus/storage/folders.ts';
import { GristmillError } from '../../errors.ts';
import { counting, type OnProgress } from '../../progress.ts';
import { version } from '../../version.ts';
import type { Lease, TakeLeaseOptions } from '../../work/lease.ts';
import { discardAll, namesOf, readRecords } from '../../work/ledger.ts';
import { identityIn } from '../../work/ledger-claim.ts';
import { MAX_MISSING, removeLeftovers, removeOrphans } from '../../work/leftovers.ts';
import { outputAddress, outputStore } from '../../work/open-output.ts';
import type { OutputStore } from '../../work/output-store.ts';
import { UnitSet, type Units } from '../../work/unit-set.ts';
import { makeExamples, prepareChunks } from '../chunks/annotate-chunks.ts';
import type { AnnotateChunksOptions, AnnotateChunksProgress } from '../chunks/chunk-options.ts';
import type { ChunkStatistics } from '../chunks/chunk-statistics.ts';
import type { Expert, ExpertStats } from '../expert/expert.ts';
import { labelCorpus, prepareLabels } from '../label/label-documents.ts';
import type {
  AnnotateDocumentsOptions,
  AnnotateDocumentsStatistics,
  AnnotateProgress,
} from '../label/label-types.ts';
import { ASKED_LAYOUT, takeFolder } from '../output-files.ts';
import { answersIn, planned } from './ask-ranges.ts';
import {
  ASKED_KIND,
  type AskedCounts,
  type AskedIdentity,
  addAsked,
  askedPath,
  askedRanges,
  NO_COUNTS,
} from './asked-ledger.ts';
import { type Outcome, openRecorded } from './asked-outcomes.ts';
import { type AnnotateJob, openAsker } from './asker.ts';

/** Options of {@link finishAnnotation}. */
export interface FinishAnnotationOptions extends TakeLeaseOptions {
  /** Told how many ranges are read, then how many documents are in the set. */
  readonly onProgress?: OnProgress | undefined;
}

/** What {@link finishAnnotation} found. */
export interface AnnotationEnd {
  readonly out: string;
  readonly kind: AskedIdentity['kind'];
  readonly units: number;
  readonly unitsDone: number;
  /** Ranges that nobody has asked about: the first {@link MAX_MISSING}. */
  readonly missing: readonly number[];
  readonly orphans: number;
  readonly counts: AskedCounts;
  /** Of the set; null while ranges are missing. */
  readonly statistics: AnnotateDocumentsStatistics | ChunkStatistics | null;
}

/**
 * Checks that the expert was asked about every range, removes what is of none, and makes the set.
 *
 * @throws RUN_NOT_FOUND, RUN_OUTPUT_IN_USE while a worker lives, RUN_CHANGED for inputs or prompts that are others now,
 *   RUN_LEDGER_INVALID, ANNOTATE_CACHE_INVALID where answers are gone, what annotating throws; ABORTED
 */
export async function finishAnnotation(
  place: string,
  { onProgress, ...options }: FinishAnnotationOptions = {},
): Promise<AnnotationEnd> {
  const out = outputAddress(place);
  const store = await outputStore(out, ASKED_LAYOUT);
  const found = await store.read(ASKED_LAYOUT.runFile);
  if (found === null) throw new GristmillError('RUN_NOT_FOUND', { path: out, kinds: 'annotate' });
  const identity = identityIn<AskedIdentity>(store, found);
  const { kind, units } = identity;
  const lease = await takeFolder(out, kind, options);
  try {
    const done = new UnitSet();
    const outcomes = new Map<string, Outcome>();
    let counts: AskedCounts = NO_COUNTS;
    const there = await askedRanges(store, units);
    const tell = counting(onProgress, { phase: 'checking', unit: 'ranges', total: there.size });
    const reader = { store, kind: ASKED_KIND, ...options };
    for await (const record of readRecords(reader, namesOf(ASKED_KIND, there))) {
      tell();
      done.add(record.unit);
      counts = addAsked(counts, record.counts);
      for await (const outcome of outcomesOf(out, record.unit)) outcomes.set(outcome.hash, outcome);
    }
    await discardAll(store);
    const orphans = await removeOrphans(store, (path) => {
      const unit = Number(/part-(\d+)\./.exec(path)?.[1]);
      return done.has(unit) && path === askedPath(unit);
    });
    const missing = missingIn(units, done);
    await removeLeftovers(store, done.size === units);
    const end = { out, kind, units, unitsDone: done.size, missing, orphans, counts };
    if (done.size < units) return { ...end, statistics: null };
    const open = (): Promise<Expert> =>
      openRecorded({
        ...identity.expert,
        answers: identity.answers ?? answersIn(out),
        outcomes,
        stats: statsOf(counts),
      });
    return {
      ...end,
      statistics: await makeSet(store, identity, lease, open, { ...options, onProgress }),
    };
  } catch (error) {
    throw lease.explain(error);
  } finally {
    await lease.release();
  }
}

/** Makes the set as one machine would. */
async function makeSet(
  { out }: OutputStore,
  identity: AskedIdentity,
  lease: Lease,
  open: () => Promise<Expert>,
  { onNotice, signal, onProgress }: FinishAnnotationOptions,
): Promise<NonNullable<AnnotationEnd['statistics']>> {
  const common = {
    ...identity.options,
    out,
    ...(onNotice && { onNotice }),
    ...(signal && { signal }),
  };
  // Nobody is asked: what the call needs of an expert is that there is one.
  const expert = { url: 'http://127.0.0.1/', model: identity.expert.name };
  // The lease is given back by whoever took it.
  const subject = { ...common, expert };
  await checkSame(identity, subject);
  const held: Lease = { ...lease, release: () => undefined, [Symbol.dispose]: () => undefined };
  const tell = (done: number, total: number): void =>
    onProgress?.({ phase: 'making the set', unit: 'documents', done, total });
  if (identity.kind === 'documents') {
    const own = {
      ...{ ...common, expert },
      onProgress: ({ rows, nRows }: AnnotateProgress) => tell(rows, nRows ?? 0),
    };
    const prepared = prepareLabels(own as unknown as AnnotateDocumentsOptions);
    return labelCorpus(prepared, async () => held, open);
  }
  const own = {
    ...{ ...common, expert },
    onProgress: ({ nDocuments, nAllDocuments }: AnnotateChunksProgress) =>
      tell(nDocuments, nAllDocuments ?? 0),
  };
  const prepared = prepareChunks(own as unknown as AnnotateChunksOptions);
  return makeExamples({ ...prepared, lease: held }, open);
}

/** Other inputs or prompts would make requests that nobody has answered. @throws RUN_CHANGED */
async function checkSame(
  identity: AskedIdentity,
  options: { readonly out: string },
): Promise<void> {
  const asker = await openAsker({ kind: identity.kind, options } as unknown as AnnotateJob);
  try {
    const { plan, prompts } = asker;
    const now = { ...identity, versions: { gristmill: version }, prompts, ...planned(plan) };
    const changes = ASKED_KIND.changes(identity, now);
    if (changes.length > 0) throw ASKED_KIND.changed(options.out, changes);
  } finally {
    asker.dispose();
  }
}

/** @throws RUN_LEDGER_INVALID */
async function* outcomesOf(out: string, unit: number): AsyncGenerator<Outcome> {
  const file = below(out, askedPath(unit));
  const text = await readSmall(file);
  if (text === null) {
    throw new GristmillError('RUN_LEDGER_INVALID', { file, reason: 'it is gone' });
  }
  for (const line of text.split('\n')) {
    if (line === '') continue;
    let outcome: Partial<Outcome>;
    try {
      outcome = JSON.parse(line) as Partial<Outcome>;
    } catch (cause) {
      const reason = (cause as Error).message;
      throw new GristmillError('RUN_LEDGER_INVALID', { file, reason }, { cause });
    }
    if (typeof outcome?.hash !== 'string') {
      throw new GristmillError('RUN_LEDGER_INVALID', { file, reason: 'a line without a hash' });
    }
    yield outcome as Outcome;
  }
}

function missingIn(units: number, done: Units<number>): number[] {
  const missing: number[] = [];
  for (let unit = 0; unit < units && missing.length < MAX_MISSING; unit++) {
    if (!done.has(unit)) missing.push(unit);
  }
  return missing;
}

/** What all workers asked; retries and lost answers are in none of their records. */
function statsOf({
  requests,
  cached,
  failed,
  promptTokens,
  answerTokens,
}: AskedCounts): ExpertStats {
  const unknown = { shared: 0, retries: 0, estimated: 0, unknown: 0 };
  return { requests, cached, failed, promptTokens, answerTokens, ...unknown };
}
