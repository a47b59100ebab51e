/**
 * What became of requests, apart from the answers on disk: noted while a range is asked about, played back when the set is
 * made. Answers are kept by the expert itself; failures are not, and neither are some answers that were cut.
 */
import { GristmillError, isGristmillError } from '../../errors.ts';
import { AnswerCache, type StoredAnswer } from '../expert/answer-cache.ts';
import { type Expert, type ExpertAnswer, type ExpertStats, requestHash } from '../expert/expert.ts';
import { type AskedCounts, NO_COUNTS } from './asked-ledger.ts';

/** A request that has no answer on disk. */
export type Outcome = { readonly hash: string } & (
  | { readonly reason: string; readonly ofPrompt: boolean }
  | StoredAnswer
);

type Counted = { -readonly [Name in keyof AskedCounts]: number };

/** An expert that is asked about one range. */
export interface RangeExpert extends Expert {
  /** What was asked so far. */
  counts(): AskedCounts;
  /** In the order of their hashes. */
  outcomes(): Outcome[];
}

/** Notes what becomes of requests to an expert, which stays its owner's. */
export function rangeExpert(expert: Expert): RangeExpert {
  const counts: Counted = { ...NO_COUNTS };
  const outcomes = new Map<string, Outcome>();
  const { name, identity, concurrency } = expert;
  return {
    ...{ name, identity, concurrency },
    async ask(request, options) {
      const hash = requestHash(identity, request);
      try {
        const answer = await expert.ask(request, options);
        const { text, finish, promptTokens, answerTokens, cached } = answer;
        if (cached) counts.cached++;
        else {
          counts.requests++;
          counts.promptTokens += promptTokens;
          counts.answerTokens += answerTokens;
        }
        if (finish === 'length') {
          outcomes.set(hash, { hash, text, finish, promptTokens, answerTokens });
        }
        return answer;
      } catch (error) {
        if (isGristmillError(error, 'ANNOTATE_EXPERT_FAILED')) {
          counts.failed++;
          const { reason, ofPrompt } = error.details;
          outcomes.set(hash, { hash, reason: String(reason), ofPrompt: ofPrompt === true });
        }
        throw error;
      }
    },
    stats: () => expert.stats(),
    counts: () => ({ ...counts }),
    outcomes: () => [...outcomes.values()].sort((a, b) => (a.hash < b.hash ? -1 : 1)),
    dispose: async () => undefined,
    [Symbol.asyncDispose]: async () => undefined,
  };
}

/** Options of {@link openRecorded}. */
export interface RecordedOptions {
  readonly name: string;
  readonly identity: object;
  /** Folder of the answers. */
  readonly answers: string;
  readonly outcomes: ReadonlyMap<string, Outcome>;
  /** What asking came to. */
  readonly stats: ExpertStats;
}

const CONCURRENCY = 16;

/** An expert that says again what was said, and asks nobody. @throws ANNOTATE_CACHE_INVALID, ANNOTATE_CACHE_FAILED */
export async function openRecorded(options: RecordedOptions): Promise<Expert> {
  const { name, identity, answers, outcomes, stats } = options;
  const cache = await AnswerCache.open(answers);
  const dispose = (): Promise<void> => cache.close();
  return {
    ...{ name, identity, concurrency: CONCURRENCY },
    async ask(request): Promise<ExpertAnswer> {
      const hash = requestHash(identity, request);
      if (cache.has(hash)) return { ...(await cache.get(hash)), cached: true, hash };
      const outcome = outcomes.get(hash);
      if (outcome && 'text' in outcome) return { ...outcome, cached: true };
      if (outcome) {
        const { reason, ofPrompt } = outcome;
        const details = { expert: name, attempts: 1, reason, ofPrompt };
        throw new GristmillError('ANNOTATE_EXPERT_FAILED', details);
      }
      const reason = 'its documents were asked about, and there is no answer';
      const details = { file: answers, place: `request ${hash}`, reason };
      throw new GristmillError('ANNOTATE_CACHE_INVALID', details);
    },
    stats: () => stats,
    dispose,
    [Symbol.asyncDispose]: dispose,
  };
}
