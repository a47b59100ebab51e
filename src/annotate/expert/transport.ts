/** What the expert's cache and budget (expert.ts) ask of the thing that answers: an endpoint or a local engine. */
import type { ExpertRequest } from './request.ts';

/** Tokens as the expert counts them; null where it does not say. */
export interface Usage {
  readonly promptTokens: number | null;
  readonly answerTokens: number | null;
}

/** An answer as it arrived. */
export interface Reply {
  readonly text: string;
  readonly finish: 'stop' | 'length';
  /** Null where the expert does not count tokens. */
  readonly usage: Usage | null;
}

/**
 * What an attempt without an answer cost: `nothing`; `unknown` where it may have been answered in full and the answer
 * was lost; or the tokens that a body of no use names.
 */
export type Loss = 'nothing' | 'unknown' | Usage;

/** How a request is called off and counted. */
export interface SendControl {
  /** Nothing is sent after it has fired; what was sent before is waited for. */
  readonly signal: AbortSignal | undefined;
  /** Awaited before every attempt. @throws what ends the run */
  admit(): Promise<void>;
  /** Called after every attempt that brought no answer. */
  lost(loss: Loss): void;
}

/** See the file's header. */
export interface Transport {
  readonly name: string;
  /** Everything besides the request that the answer depends on; JSON. */
  readonly identity: object;
  readonly concurrency: number;
  /**
   * @throws ANNOTATE_EXPERT_FAILED, ANNOTATE_EXPERT_REFUSED, ANNOTATE_EXPERT_QUOTA, ABORTED, and what `admit` throws
   */
  send(request: ExpertRequest, control: SendControl): Promise<Reply>;
  dispose(): Promise<void>;
}
