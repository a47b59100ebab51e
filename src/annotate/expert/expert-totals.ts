/** What was asked so far, as those who look at a run from outside count it (work/activity.ts). */
import type { WorkDone } from '../../work/activity.ts';
import type { ExpertOptions, ExpertStats } from './expert.ts';

/** @param documents by status; only ever growing */
export function askedTotals(
  stats: ExpertStats | null,
  documents: Readonly<Record<string, number>>,
): Required<Pick<WorkDone, 'tokens' | 'documents' | 'questions' | 'askedAgain'>> {
  const { requests = 0, retries = 0, failed = 0, cached = 0 } = stats ?? {};
  const { promptTokens = 0, answerTokens = 0 } = stats ?? {};
  return {
    documents,
    tokens: { prompt: promptTokens, generated: answerTokens },
    // Those under way are among the requests; they are told when they have ended, as one or the other.
    questions: { answered: Math.max(0, requests - retries - failed), cached, failed },
    askedAgain: retries,
  };
}

/** Where an expert computes: a device of this machine, or elsewhere. */
export function deviceOf(expert: ExpertOptions | undefined): string {
  if (expert === undefined) return 'none';
  return 'gguf' in expert ? (expert.device ?? 'cpu') : 'endpoint';
}
