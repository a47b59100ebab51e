/**
 * An OpenAI-compatible endpoint: POST {url}/chat/completions at temperature 0, without streaming (a stream is read too).
 *
 * Tried again, up to `maxRetries` times: statuses 408, 409, 425, 429 and 5xx, lost connections, half answers, answers
 * that are late, too long, no JSON, empty or not said to be whole. A refusal that may be about one prompt fails that
 * request alone; one of the key or the address ends the run (refusals.ts), and so does a wait that is longer than what
 * is believed. The key is read from the environment, is sent as a bearer token and appears in no message.
 */
import { GristmillError, printable } from '../../errors.ts';
import { checkCount, given, refuseOption } from '../options.ts';
import { parseCompletion, usageInBody } from './completion.ts';
import { openHttp, type Response } from './http.ts';
import { MAX_PAUSE_MS, Pacer, requestedPauseMs, sleep, usedUpMs } from './pacing.ts';
import { concernOf, concernsPrompt, concernsQuota } from './refusals.ts';
import type { ExpertRequest } from './request.ts';
import { withoutThoughts } from './thoughts.ts';
import type { Loss, Reply, SendControl, Transport } from './transport.ts';

/** A wait that somebody who looks on should know of. */
export interface ExpertPause {
  readonly expert: string;
  readonly pauseMs: number;
  /** What the server said. */
  readonly reason: string;
}

/** How an endpoint is reached. */
export interface EndpointOptions {
  /** Base address, e.g. `http://127.0.0.1:8080/v1`; with `/chat/completions` behind it or without. */
  readonly url: string;
  /** Model as the endpoint calls it. */
  readonly model: string;
  /** Environment variable that holds the key. Default `OPENAI_API_KEY`, which may be unset. */
  readonly apiKeyEnv?: string;
  /**
   * Further fields of every request (`seed`, `reasoning_effort`, `chat_template_kwargs`, …); those that are there
   * already are replaced, and null takes one away. Not `model`, `messages`, `n`. Answers are kept by them.
   */
  readonly body?: Readonly<Record<string, unknown>>;
  /** Further headers of every request; their values appear in no message. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Time for one attempt, from its start to the last byte of its answer: 1 ms to a day. Default 120 000. */
  readonly timeoutMs?: number;
  /** Attempts after the first. Default 6. */
  readonly maxRetries?: number;
  /** Requests under way at once, 1..1024. Default 4. */
  readonly concurrency?: number;
  /** Bound of the first back-off in ms, doubled with every attempt up to a minute. Default 500. */
  readonly backOffMs?: number;
  /** Seed of the back-off's jitter. Default 1. */
  readonly seed?: number;
  /** Called when a wait of more than a few seconds begins. */
  readonly onPause?: (pause: ExpertPause) => void;
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

const MAX_TIMEOUT_MS = 24 * 3_600_000;
/** A value of a header that is shorter is no secret. */
const MIN_SECRET_CHARS = 8;
/** Longest piece of an answer that a message quotes. */
const MAX_QUOTED_CHARS = 250;
/** Longest answer that is read. */
const MAX_BODY_BYTES = 16 * 2 ** 20;
const RETRIED = new Set([408, 409, 425, 429]);
/** A gateway gave up waiting: the model may have answered in full. */
const LATE = new Set([408, 504, 522, 524]);
/** Shortest wait that {@link EndpointOptions.onPause} is told of. */
const NOTICED_PAUSE_MS = 3000;
/** Errors before the request went out: nothing was paid. */
const NOT_SENT =
  /^(?:ECONNREFUSED|ENOTFOUND|EAI_|EHOST|ENETUNREACH|ENETDOWN|UND_ERR_CONNECT_TIMEOUT|ERR_SSL|ERR_TLS|CERT_|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO)/;

/** What undici says where a proxy does not let a request through. */
const NOT_LET_THROUGH = /^Proxy response \(\d+\)|^Proxy Authentication Required/;
const MAX_CAUSES = 8;

/** How the bound and the temperature are said; some endpoints refuse the one or the other and say so. */
interface Form {
  readonly limitField: 'max_tokens' | 'max_completion_tokens';
  readonly temperature: boolean;
}

/** What one attempt came to; `loss` is what it cost without bringing an answer. */
type Attempt =
  | { readonly kind: 'reply'; readonly reply: Reply }
  | {
      readonly kind: 'again';
      readonly reason: string;
      readonly pauseMs: number | null;
      readonly loss: Loss;
    }
  | { readonly kind: 'other form'; readonly form: Form }
  | {
      readonly kind: 'failed';
      readonly reason: string;
      readonly loss: Loss;
      /** Of a refusal that may concern more than this prompt; null where it does not. */
      readonly status: number | null;
    }
  | { readonly kind: 'refused'; readonly status: number; readonly reason: string }
  | { readonly kind: 'quota'; readonly reason: string };

/** @throws OPTION_INVALID */
export function openEndpoint(options: EndpointOptions): Transport {
  const { model } = options;
  const settings = { ...ENDPOINT_DEFAULTS, ...given(options) };
  checkCount('timeoutMs', settings.timeoutMs, 1, MAX_TIMEOUT_MS);
  checkCount('maxRetries', settings.maxRetries, 0, 1000);
  checkCount('concurrency', settings.concurrency, 1, 1024);
  checkCount('backOffMs', settings.backOffMs, 0, 60_000);
  if (typeof model !== 'string' || model === '') {
    refuseOption('model', 'the name of a model at the endpoint', model);
  }
  const url = completionsUrl(options.url);
  const key = readKey(options.apiKeyEnv);
  const http = openHttp(url);
  const headers = requestHeaders(settings.headers ?? {}, key);
  const pacer = new Pacer(settings.backOffMs, settings.seed);
  const secrets = [key ?? '', ...Object.values(settings.headers ?? {})].filter(
    (secret) => secret.length >= MIN_SECRET_CHARS || secret === key,
  );
  const hideKey = (text: string): string =>
    secrets.filter(Boolean).reduce((rest, secret) => rest.split(secret).join('***'), text);
  const extra = checkedBody(settings.body ?? {});
  const excerpt = (text: string): string =>
    printable(hideKey(text.slice(0, 4096)).trim().slice(0, MAX_QUOTED_CHARS));

  // Of the next request. A refusal is compared with what was sent, as others may have changed this meanwhile.
  let form: Form = { limitField: 'max_tokens', temperature: true };

  async function attempt({ system, user, maxTokens }: ExpertRequest): Promise<Attempt> {
    const messages = [
      ...(system === null ? [] : [{ role: 'system', content: system }]),
      { role: 'user', content: user },
    ];
    const sent = form;
    const fields = {
      model,
      messages,
      [sent.limitField]: maxTokens,
      ...(sent.temperature && { temperature: 0 }),
      ...extra,
    };
    const body = JSON.stringify(fields);
    // One clock for the whole attempt: a server that sends a byte a minute is late too.
    const signal = AbortSignal.timeout(settings.timeoutMs);
    let response: Response;
    let text: string | null;
    try {
      response = await http.fetch(url, {
        method: 'POST',
        headers,
        body,
        signal,
        redirect: 'manual',
      });
      text = await readBody(response);
    } catch (error) {
      const reason = excerpt(lost(error, settings.timeoutMs));
      return { kind: 'again', reason, pauseMs: null, loss: wasSent(error) ? 'unknown' : 'nothing' };
    }
    const { status } = response;
    if (status < 200 || status > 299) return notOk(response, text ?? '', sent);
    if (text === null) {
      const reason = `an answer of more than ${MAX_BODY_BYTES} bytes`;
      return { kind: 'again', reason, pauseMs: null, loss: 'unknown' };
    }
    const completion = parseCompletion(text);
    if ('problem' in completion) {
      const { problem, final, usage, free } = completion;
      const reason = `${problem}: ${excerpt(text)}`;
      const loss = usage ?? (free ? 'nothing' : 'unknown');
      return final
        ? { kind: 'failed', reason, loss, status: null }
        : { kind: 'again', reason, pauseMs: null, loss };
    }
    // Within a minute or so; a limit that lasts longer says so when it is met.
    const pauseMs = usedUpMs(response.headers, Date.now());
    if (pauseMs !== null && pauseMs <= MAX_PAUSE_MS) hold(pauseMs, 'the limit is used up');
    if (completion.finish === 'stop' && withoutThoughts(completion.text).trim() === '') {
      const loss = completion.usage ?? 'unknown';
      return { kind: 'again', reason: `an empty answer: ${excerpt(text)}`, pauseMs: null, loss };
    }
    return { kind: 'reply', reply: completion };
  }

  function notOk(response: Response, text: string, sent: Form): Attempt {
    const { status, headers: answered } = response;
    const said = `status ${status}: ${excerpt(text)}`;
    const usage = usageInBody(text);
    if (RETRIED.has(status) || status >= 500) {
      const pauseMs = requestedPauseMs(answered, Date.now());
      if (concernsQuota(text) || (pauseMs ?? 0) > MAX_PAUSE_MS) {
        const wait = pauseMs === null ? '' : `, and to be asked again in ${inWords(pauseMs)}`;
        return { kind: 'quota', reason: `${said}${wait}` };
      }
      const loss = usage ?? (LATE.has(status) ? 'unknown' : 'nothing');
      return { kind: 'again', reason: said, pauseMs, loss };
    }
    const other = otherForm(text, sent);
    if (other !== null && (status === 400 || status === 422)) {
      return { kind: 'other form', form: other };
    }
    const concern = concernOf(status, text);
    if (concern === 'quota') return { kind: 'quota', reason: said };
    if (concern === 'all') {
      return { kind: 'refused', status, reason: `${excerpt(text)}${hint(response, url)}` };
    }
    const loss = usage ?? 'nothing';
    return {
      ...{ kind: 'failed', reason: said, loss },
      status: concern === 'prompt' ? null : status,
    };
  }

  /** Holds all requests back, and says so. */
  function hold(pauseMs: number, reason: string): void {
    if (pacer.pause(pauseMs)) notice(pauseMs, reason);
  }

  function notice(pauseMs: number, reason: string): void {
    if (pauseMs >= NOTICED_PAUSE_MS) options.onPause?.({ expert: model, pauseMs, reason });
  }

  return {
    name: model,
    identity: { kind: 'chat', model, ...identityOf(extra) },
    concurrency: settings.concurrency,
    async send(request: ExpertRequest, { signal, admit, lost }: SendControl): Promise<Reply> {
      for (let tried = 0; ; tried++) {
        await pacer.open(signal);
        await admit();
        const outcome = await attempt(request);
        if (outcome.kind === 'reply') return outcome.reply;
        lost('loss' in outcome ? outcome.loss : 'nothing');
        if (outcome.kind === 'other form') {
          form = outcome.form;
          // No attempt of its own: each field changes once.
          tried--;
          continue;
        }
        const { reason } = outcome;
        if (outcome.kind === 'quota') {
          throw new GristmillError('ANNOTATE_EXPERT_QUOTA', { expert: model, reason });
        }
        if (outcome.kind === 'refused') {
          const { status } = outcome;
          throw new GristmillError('ANNOTATE_EXPERT_REFUSED', { expert: model, status, reason });
        }
        if (outcome.kind === 'failed' || tried >= settings.maxRetries) {
          const status = outcome.kind === 'failed' ? outcome.status : null;
          throw new GristmillError('ANNOTATE_EXPERT_FAILED', {
            expert: model,
            attempts: tried + 1,
            reason,
            ofPrompt: outcome.kind === 'failed' && status === null,
            ...(status !== null && { status }),
          });
        }
        if (outcome.pauseMs !== null) hold(outcome.pauseMs, reason);
        else {
          const pauseMs = pacer.backOffMs(tried);
          notice(pauseMs, reason);
          await sleep(pauseMs, signal);
        }
      }
    },
    dispose: () => http.dispose(),
  };
}

/** The body as text; null when it is longer than what is read. */
async function readBody(response: Response): Promise<string | null> {
  if (response.body === null) return '';
  const chunks: Uint8Array[] = [];
  let nBytes = 0;
  for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
    nBytes += chunk.byteLength;
    // Leaving the loop cancels the stream and closes the connection.
    if (nBytes > MAX_BODY_BYTES) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function lost(error: unknown, timeoutMs: number): string {
  const { name, message } = error as Error;
  if (name === 'TimeoutError') return `no whole answer within ${timeoutMs} ms`;
  const first = causesOf(error).at(-1);
  const detail = first ? first.message || first.code : '';
  return detail ? `${message}: ${detail}` : message;
}

/** Causes of an error, the first one last. */
function causesOf(error: unknown): NodeJS.ErrnoException[] {
  const causes: NodeJS.ErrnoException[] = [];
  for (let { cause } = error as Error; cause instanceof Error; { cause } = cause) {
    if (causes.push(cause) === MAX_CAUSES) break;
  }
  return causes;
}

/** Whether a request that brought an error may have reached the model. */
function wasSent(error: unknown): boolean {
  return ![error as NodeJS.ErrnoException, ...causesOf(error)].some(
    ({ code, message }) =>
      (typeof code === 'string' && NOT_SENT.test(code)) || NOT_LET_THROUGH.test(message),
  );
}

/** The form that a refusal of `sent` asks for, or null. */
function otherForm(text: string, sent: Form): Form | null {
  const start = text.slice(0, 65_536).toLowerCase();
  if (concernsPrompt(start)) return null;
  if (sent.limitField === 'max_tokens' && start.includes('max_completion_tokens')) {
    return { ...sent, limitField: 'max_completion_tokens' };
  }
  const isAboutTemperature =
    start.includes('temperature') &&
    /unsupported|not support|only the default|deprecated|not allowed|not permitted|must be|invalid|unknown|unexpected|extra/.test(
      start,
    );
  return sent.temperature && isAboutTemperature ? { ...sent, temperature: false } : null;
}

/** What helps where an address is refused. */
function hint({ status, headers }: Response, url: string): string {
  const to = headers.get('location');
  if (status >= 300 && status < 400) {
    // Without its query, which may hold what is secret.
    const target = to !== null && URL.canParse(to, url) ? new URL(to, url) : null;
    if (target === null) return ' (a redirect without a target)';
    const path = target.pathname.slice(0, 2048).replace(/\/chat\/completions\/?$/, '');
    return ` (it leads to ${printable(target.origin + path)}: give that address)`;
  }
  if (status !== 404 && status !== 405) return '';
  const { pathname, origin } = new URL(url);
  const missing = /\/v\d/.test(pathname)
    ? ''
    : '; most endpoints end with /v1, as in http://host/v1';
  return ` (asked ${printable(origin + pathname)}${missing})`;
}

function inWords(ms: number): string {
  const minutes = Math.round(ms / 60_000);
  return minutes < 120 ? `${minutes} minutes` : `${Math.round(minutes / 60)} hours`;
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
  const path = url.pathname.replace(/\/+$/, '').replace(/\/chat\/completions$/, '');
  url.pathname = `${path}/chat/completions`;
  url.hash = '';
  return url.href;
}

/** Fields that no caller may set: the prompt, and more answers than the one that is read. */
const OWN_FIELDS = new Set(['model', 'messages', 'n']);

/** @throws OPTION_INVALID */
function checkedBody(body: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const own = Object.keys(body).find((name) => OWN_FIELDS.has(name));
  if (own !== undefined) refuseOption('body', 'fields besides model, messages and n', own);
  return Object.fromEntries(
    Object.entries(body).map(([name, value]) => [name, value === null ? undefined : value]),
  );
}

/** What answers depend on; how they are delivered is no part of it. */
function identityOf(extra: Readonly<Record<string, unknown>>): object {
  const { stream: _, stream_options: __, user: ___, metadata: ____, ...rest } = extra;
  const names = Object.keys(rest).sort();
  if (names.length === 0) return {};
  return { body: Object.fromEntries(names.map((name) => [name, rest[name] ?? null])) };
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
