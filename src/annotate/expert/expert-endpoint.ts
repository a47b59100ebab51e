/**
 * An OpenAI-compatible endpoint: POST {url}/chat/completions at temperature 0, without streaming.
 *
 * Tried again, up to `maxRetries` times: statuses 408, 409, 425, 429 and 5xx, lost connections, half answers, answers
 * that are late, too long, no JSON or without a choice. Other statuses end the run, except where a server says that
 * this one prompt is too long or not allowed: that fails the request alone. The key is read from the environment, is
 * sent as a bearer token and appears in no message.
 */
import { GristmillError, printable } from '../../errors.ts';
import { checkCount, given, refuseOption } from '../options.ts';
import { parseCompletion } from './completion.ts';
import type { ExpertRequest } from './expert.ts';
import { Pacer, requestedPauseMs, usedUpMs } from './pacing.ts';
import type { Reply, SendControl, Transport } from './transport.ts';

/** How an endpoint is reached. */
export interface EndpointOptions {
  /** Base address, e.g. `http://127.0.0.1:8080/v1`. */
  readonly url: string;
  /** Model as the endpoint calls it. */
  readonly model: string;
  /** Environment variable that holds the key. Default `OPENAI_API_KEY`, which may be unset. */
  readonly apiKeyEnv?: string;
  /** Further headers of every request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Time for one attempt, from its start to the last byte of its answer: 1..300 000 ms. Default 120 000. */
  readonly timeoutMs?: number;
  /** Attempts after the first. Default 6. */
  readonly maxRetries?: number;
  /** Requests under way at once, 1..1024. Default 4. */
  readonly concurrency?: number;
  /** Bound of the first back-off in ms, doubled with every attempt up to a minute. Default 500. */
  readonly backOffMs?: number;
  /** Seed of the back-off's jitter. Default 1. */
  readonly seed?: number;
}

/** Defaults of {@link EndpointOptions}. */
export const ENDPOINT_DEFAULTS = Object.freeze({
  apiKeyEnv: 'OPENAI_API_KEY',
  timeoutMs: 120_000,
  maxRetries: 6,
  concurrency: 4,
  backOffMs: 500,
  seed: 1,
});

/** Longest answer that is read. */
const MAX_BODY_BYTES = 16 * 2 ** 20;
const RETRIED = new Set([408, 409, 425, 429]);
/** How servers say that one prompt, not the request's form, is at fault; matched in a refusal's body. */
const PROMPT_AT_FAULT = [
  'context_length_exceeded',
  'exceed_context_size',
  'maximum context length',
  'content_filter',
  'content_policy',
];

/** What one attempt came to. */
type Attempt =
  | { readonly kind: 'reply'; readonly reply: Reply }
  | { readonly kind: 'again'; readonly reason: string; readonly pauseMs: number | null }
  | { readonly kind: 'failed'; readonly reason: string }
  | { readonly kind: 'refused'; readonly status: number; readonly reason: string };

/** @throws OPTION_INVALID */
export function openEndpoint(options: EndpointOptions): Transport {
  const { model } = options;
  const settings = { ...ENDPOINT_DEFAULTS, ...given(options) };
  checkCount('timeoutMs', settings.timeoutMs, 1, 300_000);
  checkCount('maxRetries', settings.maxRetries, 0, 1000);
  checkCount('concurrency', settings.concurrency, 1, 1024);
  checkCount('backOffMs', settings.backOffMs, 0, 60_000);
  if (typeof model !== 'string' || model === '') {
    refuseOption('model', 'the name of a model at the endpoint', model);
  }
  const url = completionsUrl(options.url);
  const key = readKey(options.apiKeyEnv);
  const headers = requestHeaders(settings.headers ?? {}, key);
  const pacer = new Pacer(settings.backOffMs, settings.seed);
  const hideKey = (text: string): string => (key === null ? text : text.split(key).join('***'));
  const excerpt = (text: string): string => printable(hideKey(text.slice(0, 4096)).trim());

  // Some endpoints refuse the older name of the bound and say the newer one.
  let limitField: 'max_tokens' | 'max_completion_tokens' = 'max_tokens';

  async function attempt({ system, user, maxTokens }: ExpertRequest): Promise<Attempt> {
    const messages = [
      ...(system === null ? [] : [{ role: 'system', content: system }]),
      { role: 'user', content: user },
    ];
    const body = JSON.stringify({ model, messages, [limitField]: maxTokens, temperature: 0 });
    // One clock for the whole attempt: a server that sends a byte a minute is late too.
    const signal = AbortSignal.timeout(settings.timeoutMs);
    let response: Response;
    let text: string | null;
    try {
      response = await fetch(url, { method: 'POST', headers, body, signal, redirect: 'manual' });
      text = await readBody(response);
    } catch (error) {
      return { kind: 'again', reason: excerpt(lost(error, settings.timeoutMs)), pauseMs: null };
    }
    const { status } = response;
    if (RETRIED.has(status) || status >= 500) {
      const reason = `status ${status}: ${excerpt(text ?? '')}`;
      return { kind: 'again', reason, pauseMs: requestedPauseMs(response.headers, Date.now()) };
    }
    if (text === null) {
      const reason = `an answer of more than ${MAX_BODY_BYTES} bytes`;
      return { kind: 'again', reason, pauseMs: null };
    }
    if (status === 400 && limitField === 'max_tokens' && says(text, ['max_completion_tokens'])) {
      limitField = 'max_completion_tokens';
      return { kind: 'again', reason: `status ${status}: ${excerpt(text)}`, pauseMs: 0 };
    }
    if (status < 200 || status > 299) {
      const ofPrompt = status === 413 || (status === 400 && says(text, PROMPT_AT_FAULT));
      if (ofPrompt) return { kind: 'failed', reason: `status ${status}: ${excerpt(text)}` };
      return { kind: 'refused', status, reason: excerpt(text) };
    }
    const completion = parseCompletion(text);
    if ('problem' in completion) {
      const reason = `${completion.problem}: ${excerpt(text)}`;
      return completion.final
        ? { kind: 'failed', reason }
        : { kind: 'again', reason, pauseMs: null };
    }
    const pauseMs = usedUpMs(response.headers, Date.now());
    if (pauseMs !== null) pacer.pause(pauseMs);
    return { kind: 'reply', reply: completion };
  }

  return {
    name: model,
    identity: { kind: 'chat', model },
    concurrency: settings.concurrency,
    async send(request: ExpertRequest, { signal, admit }: SendControl): Promise<Reply> {
      for (let tried = 0; ; tried++) {
        await pacer.open(signal);
        await admit();
        const outcome = await attempt(request);
        if (outcome.kind === 'reply') return outcome.reply;
        const { reason } = outcome;
        if (outcome.kind === 'refused') {
          const { status } = outcome;
          throw new GristmillError('ANNOTATE_EXPERT_REFUSED', { expert: model, status, reason });
        }
        if (outcome.kind === 'failed' || tried >= settings.maxRetries) {
          throw new GristmillError('ANNOTATE_EXPERT_FAILED', {
            expert: model,
            attempts: tried + 1,
            reason,
            ofPrompt: outcome.kind === 'failed',
          });
        }
        if (outcome.pauseMs !== null) pacer.pause(outcome.pauseMs);
        else await pacer.backOff(tried, signal);
      }
    },
    dispose: async () => undefined,
  };
}

/** The body as text; null when it is longer than what is read. */
async function readBody(response: Response): Promise<string | null> {
  if (response.body === null) return '';
  const chunks: Uint8Array[] = [];
  let nBytes = 0;
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    nBytes += chunk.byteLength;
    // Leaving the loop cancels the stream and closes the connection.
    if (nBytes > MAX_BODY_BYTES) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function lost(error: unknown, timeoutMs: number): string {
  const { name, message, cause } = error as Error;
  if (name === 'TimeoutError') return `no whole answer within ${timeoutMs} ms`;
  const detail =
    cause instanceof Error ? cause.message || (cause as NodeJS.ErrnoException).code : '';
  return detail ? `${message}: ${detail}` : message;
}

function says(text: string, needles: readonly string[]): boolean {
  const start = text.slice(0, 65_536);
  return needles.some((needle) => start.includes(needle));
}

function completionsUrl(base: string): string {
  const url = typeof base === 'string' && URL.canParse(base) ? new URL(base) : null;
  const web = url?.protocol === 'http:' || url?.protocol === 'https:';
  if (!url || !web) return refuseOption('url', 'an http or https address', base);
  if (url.username !== '' || url.password !== '') {
    refuseOption(
      'url',
      'an address without credentials (name a variable with apiKeyEnv)',
      url.host,
    );
  }
  url.pathname = `${url.pathname.replace(/\/+$/, '')}/chat/completions`;
  url.hash = '';
  return url.href;
}

function readKey(variable: string | undefined): string | null {
  const name = variable ?? ENDPOINT_DEFAULTS.apiKeyEnv;
  const key = process.env[name]?.trim() ?? '';
  if (key === '') {
    if (variable === undefined) return null;
    return refuseOption('apiKeyEnv', 'a variable that is set', name);
  }
  if (!/^[\x21-\x7e]+$/.test(key)) {
    refuseOption('apiKeyEnv', 'a key of printable ASCII characters', `${name}, which holds others`);
  }
  return key;
}

function requestHeaders(extra: Readonly<Record<string, string>>, key: string | null): Headers {
  const headers = new Headers({ 'content-type': 'application/json', accept: 'application/json' });
  if (key !== null) headers.set('authorization', `Bearer ${key}`);
  for (const [name, value] of Object.entries(extra)) {
    try {
      headers.set(name, value);
    } catch {
      // The value may be a secret: it is not repeated.
      refuseOption('headers', 'names and values that HTTP allows', name);
    }
  }
  return headers;
}
