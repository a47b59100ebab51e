/**
 * Questions for ranges over HTTP. Redirects are followed here, as what grants access goes to the first host alone; an answer
 * is held against the range that was asked for, as servers that know no ranges send everything.
 */
import type { Dispatcher } from 'undici';
import { abortError, GristmillError, isGristmillError } from '../../errors.ts';
import { shownAddress } from './addresses.ts';
import { flatHeaders, type HttpClient, openHttpClient } from './http-client.ts';
import { changedError, passingOf, type RangeAnswer } from './remote-file.ts';
import { isPassingStatus, PassingFault } from './retry.ts';

const MAX_REDIRECTS = 8;
const CONNECTIONS = 32;

let opened: Promise<HttpClient> | null = null;

function client(): Promise<HttpClient> {
  opened ??= openHttpClient(CONNECTIONS);
  return opened;
}

/** What an answer says of the whole file. */
export interface HttpFile {
  readonly bytes: number;
  readonly version: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** What is asked. */
export interface HttpQuestion {
  /** The address as it may be seen. */
  readonly path: string;
  /** The address that is asked. */
  readonly url: string;
  /** Sent to the host of `url` alone. */
  readonly headers?: Readonly<Record<string, string>>;
  /** A version that the answer must be of; empty for any. */
  readonly version?: string;
  readonly signal: AbortSignal;
}

/** The version that headers name: a strong or weak ETag, else the time of change. */
export function httpVersion(headers: Readonly<Record<string, string>>): string {
  return headers['etag'] ?? headers['last-modified'] ?? '';
}

/**
 * Asks for the bytes `[start, end)`.
 *
 * @throws PassingFault; CORPUS_CHANGED, STORAGE_NOT_FOUND, STORAGE_DENIED, STORAGE_FAILED, CORPUS_UNSUPPORTED
 */
export async function askHttp(
  question: HttpQuestion,
  start: number,
  end: number,
): Promise<RangeAnswer & { readonly file: HttpFile; readonly url: string }> {
  const { path, signal, version = '' } = question;
  // A weak ETag never matches in a condition; it is held against the answer's.
  const isStrong = version.startsWith('"');
  const asked = {
    range: `bytes=${start}-${end - 1}`,
    'accept-encoding': 'identity',
    ...(isStrong && { 'if-match': version }),
  };
  const { response, url } = await following(question, asked);
  const headers = flatHeaders(response.headers);
  const body = response.body;
  body.on('error', () => undefined);
  const cancel = (): void => void body.destroy();
  try {
    const file = wholeOf(path, response.statusCode, headers, start);
    if (file === null) throw faultOf(path, response.statusCode, headers);
    const found = file.version;
    if (version !== '' && found !== '' && found !== version) {
      throw changedError(path, 'it was written or replaced since');
    }
    return { version: found === '' ? null : found, body, cancel, file, url };
  } catch (error) {
    cancel();
    if (signal.aborted && !isGristmillError(error)) throw abortError('reading', signal);
    throw error;
  }
}

async function following(question: HttpQuestion, asked: Readonly<Record<string, string>>) {
  const { path, signal, headers = {} } = question;
  const { agent: dispatcher, request } = await client();
  let at = new URL(question.url);
  const first = at.origin;
  for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
    const user = at.username ? basicAuth(at) : {};
    const bare = new URL(at);
    bare.username = '';
    bare.password = '';
    let response: Dispatcher.ResponseData;
    try {
      response = await request(bare, {
        method: 'GET',
        headers: { ...asked, ...user, ...(at.origin === first && headers) },
        dispatcher,
        signal,
      });
    } catch (error) {
      if (signal.aborted) throw abortError('reading', signal);
      throw requestFault(path, error);
    }
    const { location } = flatHeaders(response.headers);
    if (response.statusCode < 300 || response.statusCode >= 400 || location === undefined) {
      return { response, url: at.href };
    }
    response.body.on('error', () => undefined);
    await response.body.dump().catch(() => undefined);
    const next = URL.canParse(location, at.href) ? new URL(location, at) : null;
    if (next?.protocol !== 'http:' && next?.protocol !== 'https:') {
      throw failed(path, 'it leads to what is no http address');
    }
    if (at.protocol === 'https:' && next.protocol === 'http:') {
      throw failed(path, 'it leads from https to http');
    }
    at = next;
  }
  throw failed(path, `more than ${MAX_REDIRECTS} redirects`);
}

function basicAuth({ username, password }: URL): { authorization: string } {
  const words = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { authorization: `Basic ${Buffer.from(words).toString('base64')}` };
}

function requestFault(path: string, error: unknown): unknown {
  const passing = passingOf(error);
  if (passing instanceof PassingFault) return passing;
  const { code, name } = error as NodeJS.ErrnoException;
  return failed(path, code ?? name);
}

function failed(path: string, reason: string): GristmillError {
  return new GristmillError('STORAGE_FAILED', {
    path: shownAddress(path),
    attempts: 1,
    seconds: 0,
    reason,
  });
}

/** What a whole file is by its answer to a range; null for a refusal. */
function wholeOf(
  path: string,
  status: number,
  headers: Readonly<Record<string, string>>,
  start: number,
): HttpFile | null {
  const range = headers['content-range'] ?? '';
  const version = httpVersion(headers);
  if (status === 206) {
    const found = /^bytes (\d+)-\d+\/(\d+)$/.exec(range);
    if (found && Number(found[1]) === start) return { bytes: Number(found[2]), version, headers };
    throw unsupported(path, 'the server answers with another range than was asked for');
  }
  if (status === 416) {
    const total = /^bytes \*\/(\d+)$/.exec(range)?.[1];
    if (total === '0' && start === 0) return { bytes: 0, version, headers };
    throw changedError(path, 'it is shorter than it was');
  }
  // An empty file has no ranges, and some servers send it whole.
  if (status === 200 && headers['content-length'] === '0') return { bytes: 0, version, headers };
  if (status === 200) {
    throw unsupported(path, 'the server sends no ranges of it: download it first');
  }
  return null;
}

function unsupported(file: string, reason: string): GristmillError {
  return new GristmillError('CORPUS_UNSUPPORTED', { file, reason });
}

function faultOf(path: string, status: number, headers: Readonly<Record<string, string>>): unknown {
  const reason = `status ${status}`;
  if (status === 404 || status === 410) {
    return new GristmillError('STORAGE_NOT_FOUND', {
      path,
      reason: `there is nothing under this name (${reason})`,
    });
  }
  if (status === 401 || status === 403) {
    return new GristmillError('STORAGE_DENIED', { path, reason });
  }
  if (status === 412) return changedError(path, 'it was written or replaced since');
  if (isPassingStatus(status)) {
    const after = Number(headers['retry-after']);
    return new PassingFault(reason, after > 0 ? Math.min(after, 60) * 1000 : null);
  }
  return failed(path, reason);
}
