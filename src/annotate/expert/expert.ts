/**
 * Experts: large models that are asked once per request and never paid twice.
 *
 *     ask ──► answers on disk? ──► same request under way? ──► budget ──► a free lane ──► transport ──► answer on disk
 *
 * Invariants
 *  1. A request is named by the SHA-256 of the expert's identity and everything the answer depends on. An answer that
 *     is in the cache is never asked for again; failures are never stored.
 *  2. Requests of one run that are the same are sent once.
 *  3. An answer is on disk before `ask` resolves. An interrupt sends nothing new and waits for what was sent, so that
 *     what is paid for is kept.
 *  4. A spent budget or quota, a refusal of all and an expert that is down are final: every later request fails the same way, except
 *     for answers that are in the cache.
 *
 * The identity of an endpoint is the name of the model, not its address: moving between mirrors of one model keeps the
 * answers. The identity of a local model is the digest of its file.
 */
import { createHash } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { GristmillError, isGristmillError, throwIfAborted } from '../../errors.ts';
import {
  anObject,
  callback,
  checkOptions,
  flag,
  name,
  number,
  type OptionTable,
  text,
} from '../../options.ts';
import { checkCount, given } from '../options.ts';
import { AnswerCache, type StoredAnswer } from './answer-cache.ts';
import { Budget } from './budget.ts';
import { type EndpointOptions, openEndpoint } from './expert-endpoint.ts';
import { type LocalExpertOptions, openLocalExpert } from './expert-local.ts';
import { Lanes } from './lanes.ts';
import type { ExpertRequest } from './request.ts';
import { withoutThoughts } from './thoughts.ts';
import type { Loss, Transport, Usage } from './transport.ts';

export type { EndpointOptions } from './expert-endpoint.ts';
export type { LocalExpertOptions } from './expert-local.ts';
export type { ExpertRequest } from './request.ts';

/** What an expert said. */
export interface ExpertAnswer {
  /** The answer without the thought in front of it (thoughts.ts). */
  readonly text: string;
  /** `length`: cut at `maxTokens`. */
  readonly finish: 'stop' | 'length';
  /** Tokens as the expert counts them; estimated at four characters each where it does not say. */
  readonly promptTokens: number;
  readonly answerTokens: number;
  /** True when nothing was sent for this answer. */
  readonly cached: boolean;
  /** Hex SHA-256 of the request and the expert's identity. */
  readonly hash: string;
}

/** Counters since the expert was opened. */
export interface ExpertStats {
  /** Requests sent, retries among them. */
  readonly requests: number;
  /** Answers from the cache. */
  readonly cached: number;
  /** Asks that waited for the answer to an equal one. */
  readonly shared: number;
  readonly retries: number;
  /** Requests that failed after all retries. */
  readonly failed: number;
  /** Tokens that were paid for, also for answers that were of no use. */
  readonly promptTokens: number;
  readonly answerTokens: number;
  /** Answers among them whose tokens were estimated. */
  readonly estimated: number;
  /** Requests whose answer was lost (time-outs, bodies that broke off): what they cost is not known, nor in the tokens. */
  readonly unknown: number;
}

/** A model that answers. Owns connections, files and maybe native memory: dispose of it. */
export interface Expert {
  /** Name of the model. */
  readonly name: string;
  /** Requests under way at once, at most; further ones wait. */
  readonly concurrency: number;
  /** Everything besides a request that its answer depends on; JSON. Answers are kept by it. */
  readonly identity: object;
  /**
   * Asks. When `signal` fires nothing new is sent; a request that was sent already is still answered and stored.
   *
   * @throws ANNOTATE_EXPERT_FAILED when this request failed for good
   * @throws ANNOTATE_EXPERT_REFUSED, ANNOTATE_EXPERT_DOWN, ANNOTATE_EXPERT_QUOTA, ANNOTATE_BUDGET_SPENT: the run is over
   * @throws ABORTED, DISPOSED
   */
  ask(request: ExpertRequest, options?: { readonly signal?: AbortSignal }): Promise<ExpertAnswer>;
  stats(): ExpertStats;
  /** Waits for what is under way, then closes. */
  dispose(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Whether an error leaves the rest of the work for another run: what was answered is worth publishing. */
export function endsInGoodOrder(error: unknown): error is GristmillError {
  return (
    isGristmillError(error, 'ANNOTATE_BUDGET_SPENT') ||
    isGristmillError(error, 'ANNOTATE_EXPERT_QUOTA')
  );
}

/** Options that both kinds of experts have. */
export interface CommonExpertOptions {
  /** Folder of the answers; default: none are kept. */
  readonly cacheDir?: string;
  /** Most requests to send, retries among them. Default: no limit. */
  readonly maxRequests?: number;
  /**
   * Most tokens to pay for, prompts and answers together. A request counts in full until its answer is there, and for
   * good where its answer is lost.
   */
  readonly maxTokens?: number;
  /** Failed requests in a row that end the run; those whose prompt is known to be at fault do not count. Default 20. */
  readonly maxFailures?: number;
}

/** An OpenAI-compatible endpoint (`url`) or a GGUF file (`gguf`). */
export type ExpertOptions = (EndpointOptions | LocalExpertOptions) & CommonExpertOptions;

/** Defaults of {@link CommonExpertOptions}. */
export const EXPERT_DEFAULTS = Object.freeze({
  maxRequests: Number.POSITIVE_INFINITY,
  maxTokens: Number.POSITIVE_INFINITY,
  maxFailures: 20,
});

const COMMON_TABLE: OptionTable<CommonExpertOptions> = {
  cacheDir: name,
  maxRequests: number,
  maxTokens: number,
  maxFailures: number,
};
const LOCAL_TABLE: OptionTable<LocalExpertOptions & CommonExpertOptions> = {
  ...COMMON_TABLE,
  gguf: name,
  device: name,
  threads: number,
  slots: number,
  contextTokens: number,
  isolate: flag,
};
const ENDPOINT_TABLE: OptionTable<EndpointOptions & CommonExpertOptions> = {
  ...COMMON_TABLE,
  url: text,
  model: text,
  apiKeyEnv: name,
  body: anObject,
  headers: anObject,
  timeoutMs: number,
  maxRetries: number,
  concurrency: number,
  backOffMs: number,
  seed: number,
  onPause: callback,
};

/** @throws OPTION_INVALID for what is no option of the kind of expert that is meant */
function checkExpert(options: ExpertOptions): void {
  const isLocal = typeof options === 'object' && options !== null && 'gguf' in options;
  if (isLocal) checkOptions<LocalExpertOptions>('openExpert', options, LOCAL_TABLE, ['gguf']);
  else checkOptions<EndpointOptions>('openExpert', options, ENDPOINT_TABLE, ['url', 'model']);
}

/**
 * Opens an expert.
 *
 * @throws OPTION_INVALID, ANNOTATE_CACHE_INVALID, ANNOTATE_CACHE_FAILED; for a local model ENGINE_*, PROFILE_TEMPLATE_FAILED
 */
export async function openExpert(options: ExpertOptions): Promise<Expert> {
  checkExpert(options);
  const settings = { ...EXPERT_DEFAULTS, ...given(options) };
  for (const name of ['maxRequests', 'maxTokens'] as const) {
    if (settings[name] !== Number.POSITIVE_INFINITY) checkCount(name, settings[name], 0);
  }
  checkCount('maxFailures', settings.maxFailures, 1);
  const cache = options.cacheDir === undefined ? null : await AnswerCache.open(options.cacheDir);
  try {
    const transport = 'gguf' in options ? await openLocalExpert(options) : openEndpoint(options);
    return new CachedExpert(transport, cache, settings);
  } catch (error) {
    await cache?.close();
    throw error;
  }
}

/** The cache, the budget and the lanes around a transport. */
class CachedExpert implements Expert {
  readonly name: string;
  readonly concurrency: number;
  readonly identity: object;
  readonly #transport: Transport;
  readonly #cache: AnswerCache | null;
  readonly #budget: Budget;
  readonly #lanes: Lanes;
  readonly #maxFailures: number;
  readonly #underWay = new Map<string, Promise<ExpertAnswer>>();
  readonly #stats = {
    requests: 0,
    cached: 0,
    shared: 0,
    retries: 0,
    failed: 0,
    promptTokens: 0,
    answerTokens: 0,
    estimated: 0,
    unknown: 0,
  };
  /** Signals of callers, with those of ours that any number of waiting requests may listen to. */
  readonly #signals = new WeakMap<AbortSignal, AbortSignal>();
  /** Most tokens, and times as many, that a prompt had beyond what its characters say. */
  #overrun = 0;
  #ratio = 1;
  /** What ended the run; see invariant 4. */
  #fatal: GristmillError | null = null;
  #failuresInARow = 0;
  #disposing: Promise<void> | null = null;

  constructor(
    transport: Transport,
    cache: AnswerCache | null,
    limits: { readonly maxRequests: number; readonly maxTokens: number; maxFailures: number },
  ) {
    this.name = transport.name;
    this.concurrency = transport.concurrency;
    this.identity = transport.identity;
    this.#transport = transport;
    this.#cache = cache;
    this.#budget = new Budget(limits);
    this.#lanes = new Lanes(transport.concurrency);
    this.#maxFailures = limits.maxFailures;
  }

  async ask(
    request: ExpertRequest,
    { signal }: { readonly signal?: AbortSignal } = {},
  ): Promise<ExpertAnswer> {
    checkCount('maxTokens of a request', request.maxTokens, 1);
    const hash = requestHash(this.identity, request);
    for (;;) {
      // No wait lies between the checks behind the cache and the note that this request is under way.
      if (this.#disposing) throw new GristmillError('DISPOSED', { object: `expert ${this.name}` });
      throwIfAborted(signal, 'asking the expert');
      const stored = this.#cache?.has(hash) ? await this.#stored(hash) : null;
      if (stored) {
        this.#stats.cached++;
        return { ...stored, cached: true, hash };
      }
      if (this.#disposing) continue;
      const same = this.#underWay.get(hash);
      if (!same) break;
      try {
        const answer = await same;
        this.#stats.shared++;
        return { ...answer, cached: true };
      } catch (error) {
        // The other one was called off; this one was not.
        if (!(error instanceof GristmillError && error.code === 'ABORTED')) throw error;
      }
    }
    const answering = this.#send(request, hash, this.#shared(signal)).finally(() =>
      this.#underWay.delete(hash),
    );
    this.#underWay.set(hash, answering);
    return answering;
  }

  /** An answer of the cache; what it held of old that is no answer any more is asked for again. */
  async #stored(hash: string): Promise<StoredAnswer | null> {
    const stored = await this.#cache!.get(hash);
    const text = withoutThoughts(stored.text);
    return isEmpty({ text, finish: stored.finish }) ? null : { ...stored, text };
  }

  async #send(
    request: ExpertRequest,
    hash: string,
    signal: AbortSignal | undefined,
  ): Promise<ExpertAnswer> {
    return this.#lanes.run(signal, async () => {
      const estimate = estimateTokens(request.user) + estimateTokens(request.system ?? '');
      let reserved = 0;
      let nAttempts = 0;
      const settle = (used: number): void => {
        this.#budget.settle(reserved, used);
        reserved = 0;
      };
      try {
        const reply = await this.#transport.send(request, {
          signal,
          admit: async () => {
            if (this.#fatal) throw this.#fatal;
            const most = this.#mostOfPrompt(estimate) + request.maxTokens;
            await this.#budget.admit(most, signal);
            reserved = most;
            // Another request may have ended the run during the wait.
            if (this.#fatal) throw this.#fatal;
            if (nAttempts++ > 0) this.#stats.retries++;
            this.#stats.requests++;
          },
          lost: (loss) => settle(this.#lost(loss, { estimate, most: reserved })),
        });
        const promptTokens = reply.usage?.promptTokens ?? estimate;
        const answerTokens = reply.usage?.answerTokens ?? estimateTokens(reply.text);
        settle(promptTokens + answerTokens);
        this.#learnt(estimate, promptTokens);
        this.#stats.promptTokens += promptTokens;
        this.#stats.answerTokens += answerTokens;
        const isCounted = reply.usage !== null && !Object.values(reply.usage).includes(null);
        if (!isCounted) this.#stats.estimated++;
        const { finish } = reply;
        const text = withoutThoughts(reply.text);
        if (isEmpty({ text, finish })) throw this.#emptyAnswer();
        this.#failuresInARow = 0;
        const answer = { text, finish, promptTokens, answerTokens };
        // A cut before the bound is one of the server's own, which may be another one tomorrow.
        const cutEarly =
          finish === 'length' &&
          (reply.usage?.answerTokens ?? Number.POSITIVE_INFINITY) < request.maxTokens;
        if (!cutEarly) await this.#cache?.put(hash, answer);
        return { ...answer, cached: false, hash };
      } catch (error) {
        throw this.#failed(error);
      } finally {
        settle(0);
      }
    });
  }

  /** A prompt is longer than its characters say, by what frames it and by its language: as much as was seen. */
  #mostOfPrompt(estimate: number): number {
    return Math.ceil(Math.min(estimate + this.#overrun, estimate * this.#ratio));
  }

  #learnt(estimate: number, promptTokens: number): void {
    this.#overrun = Math.max(this.#overrun, promptTokens - estimate);
    this.#ratio = Math.max(this.#ratio, promptTokens / Math.max(1, estimate));
  }

  /** Counts what an attempt without an answer cost, in tokens; what is not known counts in full. */
  #lost(loss: Loss, { estimate, most }: { readonly estimate: number; readonly most: number }) {
    if (loss === 'nothing') return 0;
    if (loss === 'unknown') {
      this.#stats.unknown++;
      return most;
    }
    const { promptTokens = estimate, answerTokens = 0 } = nonNull(loss);
    this.#learnt(estimate, promptTokens);
    this.#stats.promptTokens += promptTokens;
    this.#stats.answerTokens += answerTokens;
    return promptTokens + answerTokens;
  }

  #emptyAnswer(): GristmillError {
    return new GristmillError('ANNOTATE_EXPERT_FAILED', {
      expert: this.name,
      attempts: 1,
      reason: 'an empty answer',
      ofPrompt: true,
    });
  }

  #shared(signal: AbortSignal | undefined): AbortSignal | undefined {
    if (!signal) return undefined;
    let own = this.#signals.get(signal);
    if (!own) {
      own = AbortSignal.any([signal]);
      setMaxListeners(0, own);
      this.#signals.set(signal, own);
    }
    return own;
  }

  /** Counts a failure and decides whether it ends the run. */
  #failed(error: unknown): unknown {
    if (!(error instanceof GristmillError) || error === this.#fatal) return error;
    if (error.code === 'ANNOTATE_EXPERT_FAILED') {
      this.#stats.failed++;
      // A prompt that is too long says nothing of the expert.
      if (error.details['ofPrompt'] === true) return error;
      this.#failuresInARow++;
      if (this.#failuresInARow >= this.#maxFailures) this.#fatal ??= this.#down(error);
    } else if (error.code !== 'ABORTED') this.#fatal ??= error;
    return error;
  }

  /** What many failures in a row mean: refusals that are about every prompt after all, or nobody who answers. */
  #down(last: GristmillError): GristmillError {
    const reason = String(last.details['reason']);
    const { status } = last.details;
    const details = { expert: this.name, count: this.#failuresInARow, reason };
    return typeof status === 'number'
      ? new GristmillError('ANNOTATE_EXPERT_REFUSED', { ...details, status }, { cause: last })
      : new GristmillError('ANNOTATE_EXPERT_DOWN', details, { cause: last });
  }

  stats(): ExpertStats {
    return { ...this.#stats };
  }

  dispose(): Promise<void> {
    this.#disposing ??= (async () => {
      await Promise.allSettled(this.#underWay.values());
      await this.#transport.dispose();
      await this.#cache?.close();
    })();
    return this.#disposing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}

/** Names a request, and with it its answer: hex SHA-256. */
export function requestHash(identity: object, { system, user, maxTokens }: ExpertRequest): string {
  const request = { identity, system, user, maxTokens, temperature: 0 };
  return createHash('sha256').update(JSON.stringify(request)).digest('hex');
}

/** Four characters a token: about right for English, on the low side for other scripts. */
function estimateTokens(text: string): number {
  return Math.ceil(text.length / 4);
}

/** No characters, though the expert says it is done: overloaded servers and models that only thought send it. */
function isEmpty({ text, finish }: Pick<StoredAnswer, 'text' | 'finish'>): boolean {
  return finish === 'stop' && text.trim() === '';
}

function nonNull({ promptTokens, answerTokens }: Usage) {
  return {
    ...(promptTokens !== null && { promptTokens }),
    ...(answerTokens !== null && { answerTokens }),
  };
}
