/**
 * `annotateChunks`: windows, programs, checks, a set to fine-tune a refiner on (ProX §2.3, appendix A).
 *
 *     documents ─► windows ─► a way proposes ops ─► checks ─► near duplicates ─► spool ─┐
 *                                                     └─► rejected.jsonl               │ shares are known now
 *                         chunks.parquet, train.jsonl, validation.jsonl  ◄─ thinning ◄─┘
 *
 * Invariants
 *  1. Every window ends as one example or in `rejected.jsonl` with one reason; checked before anything is published.
 *  2. The set is a function of the inputs, the answers and the options: order, parts and thinning hang on nothing else.
 *  3. Nothing has its public name before all of it is whole (output-files.ts).
 *  4. Memory holds a few numbers an example, never its text.
 */
import { setMaxListeners } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { below, remoteScheme } from '../../corpus/storage/addresses.ts';
import { GristmillError, throwIfAborted } from '../../errors.ts';
import { native } from '../../native/index.ts';
import {
  abortSignal,
  anObject,
  callback,
  checkOptions,
  flag,
  listOf,
  name,
  number,
  type OptionTable,
  text,
} from '../../options.ts';
import { defaultModelFile } from '../../paths.ts';
import { loadProfile } from '../../refine/find-profile.ts';
import { mapOrdered } from '../../refine/pipeline.ts';
import type { Profile } from '../../refine/profile.ts';
import { WorkTeller } from '../../work/activity.ts';
import type { Lease } from '../../work/lease.ts';
import { idOfSame } from '../../work/ledger-kind.ts';
import { outputAddress, runNameAt } from '../../work/open-output.ts';
import { chatRow, splitOf } from '../chat-file.ts';
import { type CheckedExample, checkExample } from '../derive/check-example.ts';
import { writeWindowExamples } from '../example-file.ts';
import { type Expert, endsInGoodOrder, openExpert } from '../expert/expert.ts';
import { askedTotals, deviceOf } from '../expert/expert-totals.ts';
import {
  discard,
  JsonLinesFile,
  pendingFile,
  publish,
  takeFolder,
  workFolder,
  writeDurably,
} from '../output-files.ts';
import type { WindowExample } from '../types.ts';
import { type AnnotateChunksOptions, type ChunkSettings, chunkSettings } from './chunk-options.ts';
import { type ChunkStatistics, ChunkTally } from './chunk-statistics.ts';
import { ExampleSpool } from './example-spool.ts';
import { NearDuplicates } from './near-duplicates.ts';
import {
  type Proposal,
  type Propose,
  proposeGold,
  proposePrograms,
  proposeRewrite,
} from './propose.ts';
import type { RejectReason } from './reject-reasons.ts';
import { kindOf } from './shares.ts';
import { statisticsPage } from './statistics-page.ts';
import { WindowSource } from './window-source.ts';
import { type DocumentWindow, linesOf, WindowCutter } from './windows.ts';

const FILES = [
  'chunks.parquet',
  'train.jsonl',
  'validation.jsonl',
  'rejected.jsonl',
  'statistics.html',
] as const;
const [CHUNKS, TRAIN, VALIDATION, REJECTED, PAGE] = FILES;
const SPOOL = 'spool.jsonl';

/** Windows under way beside those that an expert has in hand. */
const AHEAD = 8;
const PROGRESS_MS = 500;
/** An answer may hold comments and what the merge leaves out. */
const ANSWER_SLACK = 4;

const OPTION_TABLE: OptionTable<AnnotateChunksOptions> = {
  inputs: listOf(name, 1),
  out: name,
  way: text,
  expert: anObject,
  prompts: name,
  answerTokens: number,
  profile: name,
  tokenizer: name,
  windowSize: number,
  textColumn: name,
  idColumn: name,
  limit: number,
  onlyKept: name,
  maxOps: number,
  maxSourceChars: number,
  minChars: number,
  maxRemovedShare: number,
  allowReplacements: flag,
  maxRewordedChars: number,
  shares: anObject,
  nearDuplicate: number,
  validation: number,
  seed: number,
  signal: abortSignal,
  onNotice: callback,
  onProgress: callback,
  onActivity: callback,
};

/**
 * Makes a set of examples.
 *
 * The folder `out` holds, once this resolves: `chunks.parquet` (every example, see WindowExample), `train.jsonl` and
 * `validation.jsonl` (chat messages), `rejected.jsonl`, `statistics.json`, `statistics.html`. With an expert its
 * answers stay in `_annotate/`, and the same call continues after an interrupt or a spent budget.
 *
 * @throws OPTION_INVALID, TRAIN_GOLD_INVALID, CORPUS_*, PROFILE_*, ANNOTATE_*, RUN_OUTPUT_FAILED,
 *   RUN_OUTPUT_IN_USE, ABORTED
 * @see ProX, arXiv 2409.17115 §2.3 and appendix A
 */
export async function annotateChunks(options: AnnotateChunksOptions): Promise<ChunkStatistics> {
  const { settings: checked, profile } = prepareChunks(options);
  const settings = { ...checked, out: outputAddress(checked.out) };
  const lease = await takeFolder(settings.out, 'chunks', settings);
  try {
    return await makeExamples({ settings, profile, lease }, () => expertOf(settings));
  } finally {
    await lease.release();
  }
}

/** Options with the defaults filled in, and the profile that they mean. @throws OPTION_INVALID, PROFILE_* */
export function prepareChunks(options: AnnotateChunksOptions): PreparedChunks {
  checkOptions<AnnotateChunksOptions>('annotateChunks', options, OPTION_TABLE, [
    'inputs',
    'out',
    'way',
  ]);
  const settings = { ...chunkSettings(options), ...ownSignal(options.signal) };
  const profile = loadProfile(options.profile, defaultModelFile('programs'));
  if (profile.chunk === null) {
    throw new GristmillError('OPTION_INVALID', {
      option: 'profile',
      expected: 'one that describes the chunk stage',
      received: profile.name,
    });
  }
  return { settings, profile };
}

/** See {@link prepareChunks}. */
export interface PreparedChunks {
  readonly settings: ChunkSettings;
  readonly profile: Profile;
}

/** Opens what cuts documents into the windows of a run; dispose of its tokenizer. */
export async function openCutter({ settings, profile }: PreparedChunks) {
  const tokenizer = await native().openTokenizer(
    settings.tokenizer ?? defaultModelFile('programs'),
  );
  return { tokenizer, cutter: new WindowCutter(tokenizer, profile, settings.windowSize) };
}

/** Makes the set in a folder that is held. @throws as {@link annotateChunks} */
export async function makeExamples(
  { settings, profile, lease }: PreparedChunks & { readonly lease: Lease },
  open: () => Promise<Expert | null>,
): Promise<ChunkStatistics> {
  const { tokenizer, cutter } = await openCutter({ settings, profile });
  try {
    const expert = await open();
    try {
      return await new ChunkRun({ settings, profile, cutter, expert, lease }).execute();
    } finally {
      await expert?.dispose();
    }
  } finally {
    tokenizer.dispose();
  }
}

/** The caller's signal as one of our own, which every request under way may listen to. */
function ownSignal(signal: AbortSignal | undefined): { readonly signal?: AbortSignal } {
  if (signal === undefined) return {};
  const own = AbortSignal.any([signal]);
  setMaxListeners(0, own);
  return { signal: own };
}

/** The expert of the ways that have one, with its answers beside the output. */
async function expertOf({ way, expert, out }: ChunkSettings): Promise<Expert | null> {
  if (way === 'gold' || expert === undefined) return null;
  return openExpert({ cacheDir: below(workFolder(out), 'answers'), ...expert });
}

/** What became of a window. */
type Judged = { readonly window: DocumentWindow; readonly text: string } & (
  | (CheckedExample & Extract<Proposal, { ops: unknown }>)
  | {
      readonly reason: RejectReason;
      readonly cause?: string;
      readonly program?: string;
      readonly requests: string;
    }
);

/**
 * Asks about one window as a run will, and throws away what comes of it: the answers are kept by the expert.
 *
 * @returns the end of the budget or the quota; null: asked. The function rejects with what else ends a run
 */
export function askAboutWindows(
  { settings, profile }: PreparedChunks,
  expert: Expert,
  signal: AbortSignal | undefined,
): (window: DocumentWindow) => Promise<GristmillError | null> {
  const propose = proposeWith({ ...settings, ...(signal && { signal }) }, profile, expert);
  return async (window) => {
    if (isTooShort(linesOf(window).join('\n'), settings)) return null;
    try {
      await propose(window);
      return null;
    } catch (error) {
      if (endsInGoodOrder(error)) return error;
      throw error;
    }
  };
}

/** Not worth a request. */
function isTooShort(text: string, { minChars }: ChunkSettings): boolean {
  return text.length < minChars;
}

/** The way to programs that a run was asked for. @throws ANNOTATE_TEMPLATE_INVALID */
export function proposeWith(
  settings: ChunkSettings,
  profile: Profile,
  expert: Expert | null,
): Propose {
  const { way, prompts, allowReplacements, maxRewordedChars, answerTokens, signal } = settings;
  if (expert === null) return proposeGold;
  const options = {
    expert,
    dialect: profile.dialect,
    prompts,
    allowReplacements,
    answerTokens,
    maxProgramTokens: profile.chunk!.maxNewTokens * ANSWER_SLACK,
    maxRewordedChars,
    signal,
  };
  return way === 'programs' ? proposePrograms(options) : proposeRewrite(options);
}

interface ChunkRunParts {
  readonly settings: ChunkSettings;
  readonly profile: Profile;
  readonly cutter: WindowCutter;
  readonly expert: Expert | null;
  readonly lease: Lease;
}

class ChunkRun {
  readonly #parts: ChunkRunParts;
  readonly #settings: ChunkSettings;
  readonly #source: WindowSource;
  readonly #tally = new ChunkTally();
  readonly #seen: NearDuplicates | null;
  readonly #teller: WorkTeller;
  #lastProgress = 0;

  constructor(parts: ChunkRunParts) {
    this.#teller = new WorkTeller(parts.settings.onActivity);
    this.#parts = parts;
    this.#settings = parts.settings;
    this.#source = new WindowSource(parts.settings, parts.cutter);
    const { nearDuplicate } = parts.settings;
    this.#seen = nearDuplicate < 1 ? new NearDuplicates(nearDuplicate) : null;
  }

  async execute(): Promise<ChunkStatistics> {
    const { out, seed, signal, way, inputs } = this.#settings;
    this.#teller.tell(() => ({
      ...{ kind: 'run', run: runNameAt(idOfSame(['chunks', way, inputs]), out), worker: null },
      ...{ device: deviceOf(this.#settings.expert), out, units: null, resumed: 0 },
    }));
    const rejected = new JsonLinesFile(pendingFile(out, REJECTED));
    const isFar = remoteScheme(out) !== null;
    // It is read again: beside the set, or where its place is a bucket, on this machine.
    const near = isFar ? await mkdtemp(join(tmpdir(), 'gristmill-spool-')) : null;
    const spool = new ExampleSpool(
      near === null ? pendingFile(out, SPOOL) : join(near, SPOOL),
      seed,
    );
    try {
      try {
        await this.#judgeAll(spool, rejected);
      } finally {
        await spool.close();
      }
      await this.#teller.timed('write', () => this.#writeSet(spool, rejected));
      await rejected.close();
      this.#tellTotals();
      throwIfAborted(signal, 'annotating');
      const { expert, profile } = this.#parts;
      const statistics = this.#tally.statistics(this.#settings, {
        source: this.#source,
        dialect: profile.dialect,
        profile: profile.name,
        expert,
      });
      await writeDurably(pendingFile(out, PAGE), statisticsPage(statistics));
      await publish(out, this.#parts.lease, FILES, statistics);
      return statistics;
    } catch (caught) {
      await rejected.close().catch(() => undefined);
      const error = this.#parts.lease.explain(caught);
      // Where another one has the folder the files are its own.
      if (error === caught) await discard(out, FILES);
      throw error;
    } finally {
      if (near === null) await discard(out, [SPOOL]);
      else await rm(near, { recursive: true, force: true });
    }
  }

  /** First pass: every window is in the spool or rejected. */
  async #judgeAll(spool: ExampleSpool, rejected: JsonLinesFile): Promise<void> {
    const propose = proposeWith(this.#settings, this.#parts.profile, this.#parts.expert);
    const ahead = AHEAD + (this.#parts.expert?.concurrency ?? 0);
    const all = mapOrdered(this.#source.windows(), ahead, (window) => this.#judge(propose, window));
    for await (const judged of all) {
      if (judged instanceof GristmillError) {
        this.#tally.stopped = judged.code === 'ANNOTATE_EXPERT_QUOTA' ? 'quota' : 'budget';
        this.#tally.stoppedBy = judged.message;
        break;
      }
      this.#tally.nWindows++;
      if ('reason' in judged) await this.#reject(rejected, judged, judged.reason);
      else if (this.#seen?.seen(judged.text))
        await this.#reject(rejected, judged, 'near_duplicate');
      else {
        this.#tally.ambiguousEdits += judged.ambiguousEdits;
        this.#tally.rewordedChars += judged.rewordedChars;
        const kind = kindOf(judged.ops, judged.refined);
        const opNames = judged.ops.map(({ op }) => op);
        await spool.add({ example: this.#exampleOf(judged), kind, opNames });
      }
      this.#progress(spool.nExamples);
    }
  }

  /** Second pass: the examples that the shares admit, in three files. */
  async #writeSet(spool: ExampleSpool, rejected: JsonLinesFile): Promise<void> {
    const { out, shares } = this.#settings;
    const { cutter, profile } = this.#parts;
    const chats = {
      train: new JsonLinesFile(pendingFile(out, TRAIN)),
      validation: new JsonLinesFile(pendingFile(out, VALIDATION)),
    };
    const tally = this.#tally;
    const reject = (example: WindowExample): Promise<void> =>
      this.#rejectRow(rejected, { ...example, reason: 'over_share' });
    async function* chosen(): AsyncGenerator<WindowExample> {
      for await (const { example, kind, opNames, chosen: isChosen } of spool.selected(shares)) {
        if (!isChosen) {
          await reject(example);
          continue;
        }
        tally.addExample(example, { kind, opNames });
        const user = cutter.userMessage(example.text, example.lineStart);
        await chats[example.split].write(chatRow(user, example.program, profile));
        yield example;
      }
    }
    try {
      await writeWindowExamples(pendingFile(out, CHUNKS), chosen());
    } finally {
      await Promise.allSettled([chats.train.close(), chats.validation.close()]);
    }
    await Promise.all([chats.train.close(), chats.validation.close()]);
    tally.checkConservation();
  }

  async #judge(propose: Propose, window: DocumentWindow): Promise<Judged | GristmillError> {
    const text = linesOf(window).join('\n');
    if (isTooShort(text, this.#settings)) {
      return { window, text, reason: 'too_short', requests: '' };
    }
    let proposal: Proposal;
    try {
      proposal = await this.#teller.timed('ask', () => propose(window));
    } catch (error) {
      if (endsInGoodOrder(error)) return error;
      throw error;
    }
    if ('reason' in proposal) return { window, text, ...proposal };
    const { cutter, profile } = this.#parts;
    const { ops, intended, requests } = proposal;
    const { lineStart, lineEnd } = window;
    const candidate = { text, lineStart, lineEnd, dialect: profile.dialect, ops, intended };
    const checked = checkExample(candidate, this.#settings);
    if ('reason' in checked) return { window, text, requests, ...checked };
    const [nTokens] = await cutter.countAll([checked.program]);
    // One token more ends the answer.
    if (nTokens! >= profile.chunk!.maxNewTokens) {
      return { window, text, requests, reason: 'program_too_long', program: checked.program };
    }
    return { window, text, ...proposal, ...checked };
  }

  #exampleOf(judged: Exclude<Judged, { reason: unknown }>): WindowExample {
    const { window, text, program, refined, requests } = judged;
    const { document, lineStart, lineEnd } = window;
    const { id, domain, language, source } = document;
    const { validation, way } = this.#settings;
    const { expert, profile } = this.#parts;
    return {
      id,
      domain,
      language,
      split: splitOf(document, validation),
      text,
      lineStart,
      lineEnd,
      dialect: profile.dialect,
      program,
      refined,
      way,
      expert: expert?.name ?? source,
      requests,
    };
  }

  #reject(file: JsonLinesFile, judged: Judged, reason: RejectReason): Promise<void> {
    const { window, requests } = judged;
    const { lineStart, lineEnd, document } = window;
    const program = judged.program ?? '';
    return this.#rejectRow(file, {
      id: document.id,
      lineStart,
      lineEnd,
      program,
      requests,
      reason,
      ...('cause' in judged && { cause: judged.cause }),
    });
  }

  async #rejectRow(
    file: JsonLinesFile,
    row: Pick<WindowExample, 'id' | 'lineStart' | 'lineEnd' | 'program' | 'requests'> & {
      readonly reason: RejectReason;
      readonly cause?: string;
    },
  ): Promise<void> {
    const { id, lineStart, lineEnd, reason, program, requests, cause } = row;
    this.#tally.reject(reason, cause);
    const place = { id, line_start: lineStart, line_end: lineEnd };
    await file.write({
      ...place,
      reason,
      program,
      requests,
      ...(cause !== undefined && { cause }),
    });
  }

  #tellTotals(): void {
    const { expert } = this.#parts;
    const read = this.#source.nDocuments;
    this.#teller.reached(() => askedTotals(expert?.stats() ?? null, { read }));
  }

  #progress(nExamples: number): void {
    const { onProgress } = this.#settings;
    const now = performance.now();
    if (now - this.#lastProgress < PROGRESS_MS) return;
    this.#lastProgress = now;
    this.#tellTotals();
    const { nDocuments, nAll: nAllDocuments } = this.#source;
    onProgress?.({ nDocuments, nAllDocuments, nWindows: this.#tally.nWindows, nExamples });
  }
}
