/**
 * The Hugging Face hub as far as pulling a model needs it: which commit a revision is, which files it has, and their bytes.
 *
 * Listing is done by @huggingface/hub. The token goes to the endpoint alone: redirects to where the bytes lie and links to
 * further pages on another host get none. Names in answers are untrusted and checked before they become paths.
 */
import { GristmillError, throwIfAborted } from '../errors.ts';
import { libraries } from '../libraries/index.ts';
import { fetchSoon, HUB_LIMITS, type HubLimits, wholeAnswer } from './hub-limits.ts';

/** Where models are pulled from. */
export interface HubAccess {
  /** `owner/name`. */
  readonly repo: string;
  /** Root of the hub's URLs, without a slash at the end. */
  readonly endpoint: string;
  readonly token: string | null;
  /** Default {@link HUB_LIMITS}. */
  readonly limits?: HubLimits;
  readonly signal?: AbortSignal | undefined;
}

/** A file of a repository. */
export interface HubFile {
  readonly name: string;
  readonly bytes: number;
  /** SHA-256 of the content for large files, else the SHA-1 that git has for it. */
  readonly digest: { readonly kind: 'sha256' | 'git-sha1'; readonly hex: string };
}

const COMMIT = /^[0-9a-f]{40}$/;
const NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/;
const MAX_ENTRIES = 20_000;

/** The error about a repository. */
export function hubError(repo: string, reason: string, cause?: unknown): GristmillError {
  return new GristmillError('MODEL_HUB_FAILED', { repo, reason }, { cause });
}

/** The commit that a revision names. @throws MODEL_HUB_FAILED, ABORTED */
export async function resolveCommit(access: HubAccess, revision: string): Promise<string> {
  const { sha } = await asking(access, async () =>
    (await hub()).modelInfo({
      name: access.repo,
      revision,
      hubUrl: access.endpoint,
      additionalFields: ['sha'],
      fetch: (url, init) => askHub(access, String(url), init),
    }),
  );
  if (typeof sha !== 'string' || !COMMIT.test(sha)) {
    throw hubError(access.repo, `the hub names no commit for ${revision}`);
  }
  return sha;
}

/** Files at the root of a repository. @throws MODEL_HUB_FAILED, ABORTED */
export async function filesOf(access: HubAccess, commit: string): Promise<HubFile[]> {
  return asking(access, async () => {
    const files: HubFile[] = [];
    const asked = new Set<string>();
    let nEntries = 0;
    const entries = (await hub()).listFiles({
      repo: { type: 'model', name: access.repo },
      revision: commit,
      hubUrl: access.endpoint,
      fetch: (url, init) => {
        const page = String(url);
        const { pages } = access.limits ?? HUB_LIMITS;
        if (asked.has(page)) throw hubError(access.repo, 'the pages of its listing are a loop');
        if (asked.size >= pages) throw hubError(access.repo, `more than ${pages} pages of files`);
        asked.add(page);
        return askHub(access, page, init);
      },
    });
    for await (const { type, path, size, oid, lfs } of entries) {
      if (++nEntries > MAX_ENTRIES) {
        throw hubError(access.repo, `more than ${MAX_ENTRIES} files and folders`);
      }
      if (type !== 'file' || typeof path !== 'string' || !NAME.test(path)) continue;
      const kind = lfs ? 'sha256' : 'git-sha1';
      const hex = (lfs?.oid ?? oid ?? '').replace(/^sha256:/, '');
      const bytes = lfs?.size ?? size;
      if (!Number.isSafeInteger(bytes) || bytes < 0 || !/^[0-9a-f]{40,64}$/.test(hex)) {
        throw hubError(access.repo, `the listing of ${path} makes no sense`);
      }
      files.push({ name: path, bytes, digest: { kind, hex } });
    }
    return files;
  });
}

/** Asks for a file from `start` on. @throws MODEL_HUB_FAILED unless the answer carries bytes or is 416; ABORTED */
export async function openFile(
  access: HubAccess,
  commit: string,
  name: string,
  start: number,
): Promise<Response> {
  const url = `${access.endpoint}/${access.repo}/resolve/${commit}/${encodeURIComponent(name)}`;
  // Ranges and sizes are those of the file, not of a compressed answer.
  const headers = {
    'accept-encoding': 'identity',
    ...(start > 0 && { range: `bytes=${start}-` }),
  };
  const response = await hubFetch(access, url, { headers });
  if (response.ok || response.status === 416) return response;
  await response.body?.cancel();
  throw hubError(access.repo, `${name}: ${statusReason(response.status, access)}`);
}

/** Loaded when a model is pulled, not with the library. */
function hub() {
  return libraries.hub();
}

/** Asks for JSON: a whole answer, within bounds. */
async function askHub(access: HubAccess, url: string, init?: RequestInit): Promise<Response> {
  return wholeAnswer(await hubFetch(access, url, init), access.limits ?? HUB_LIMITS);
}

async function hubFetch(access: HubAccess, url: string, init?: RequestInit): Promise<Response> {
  const headers = new Headers(init?.headers);
  if (access.token !== null && new URL(url).origin === new URL(access.endpoint).origin) {
    headers.set('authorization', `Bearer ${access.token}`);
  }
  const { signal, limits = HUB_LIMITS } = access;
  return fetchSoon(url, { ...init, headers, ...(signal && { signal }) }, limits);
}

async function asking<T>(access: HubAccess, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (cause) {
    throwIfAborted(access.signal, 'the download');
    if (cause instanceof GristmillError) throw cause;
    const status = (cause as { statusCode?: unknown }).statusCode;
    const reason =
      typeof status === 'number' ? statusReason(status, access) : networkReason(cause, access);
    throw hubError(access.repo, reason, cause);
  }
}

/** What failed below `fetch failed`. */
export function networkReason(error: unknown, access: HubAccess): string {
  const { message, cause } = error as Error;
  const deeper = cause instanceof Error ? `: ${cause.message}` : '';
  return `${access.endpoint}: ${message}${deeper}`;
}

function statusReason(status: number, { token, endpoint }: HubAccess): string {
  switch (status) {
    case 401:
    case 403:
      return token === null
        ? `${endpoint} asks who you are (status ${status}): set HF_TOKEN, and accept the model's terms if it has any`
        : `${endpoint} refuses the token in HF_TOKEN (status ${status}): it may be wrong, or the model's terms not accepted`;
    case 404:
      return `${endpoint} has no such repository or revision (status 404); private ones need HF_TOKEN`;
    default:
      return `${endpoint} answers with status ${status}`;
  }
}
