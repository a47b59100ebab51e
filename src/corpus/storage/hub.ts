/**
 * Data sets of the Hugging Face hub (or a mirror of it: `HF_ENDPOINT`; `HF_TOKEN` says who asks). Listings are made by
 * @huggingface/hub; bytes are asked for here.
 *
 * Invariants
 *  1. A revision is the commit that it named when it was first asked for: a branch that moves changes nothing of this process.
 *  2. The token goes to the endpoint alone; where the bytes lie behind it is a signed address, which is kept for a moment.
 */
import { GristmillError, isGristmillError, throwIfAborted } from '../../errors.ts';
import { libraries } from '../../libraries/index.ts';
import { fetchSoon, HUB_LIMITS, wholeAnswer } from '../../model/hub-limits.ts';
import { type HubAddress, hubAddress } from './addresses.ts';
import { askHttp } from './http-range.ts';
import { changedError, passingOf, remoteFile } from './remote-file.ts';
import {
  isPassingStatus,
  PassingFault,
  RETRY_DEFAULTS,
  type RetryPolicy,
  retried,
} from './retry.ts';
import type { ReadStorage, StoredFile } from './types.ts';

const ENDPOINT = 'https://huggingface.co';
const COMMIT = /^[0-9a-f]{40}$/;
const DIGEST = /^[0-9a-f]{40,64}$/;
/** Requests that one listing may take, of a thousand entries each. */
const MAX_PAGES = 10_000;
/** How long an address that was redirected to is asked again; they are signed for an hour. */
const REDIRECT_MS = 300_000;

function endpointOf(): string {
  return (process.env['HF_ENDPOINT'] || ENDPOINT).replace(/\/+$/, '');
}

function tokenOf(): string | null {
  return process.env['HF_TOKEN'] || null;
}

function hub() {
  return libraries.hub();
}

/** What the hub says of a file. */
interface HubEntry {
  readonly type: string;
  readonly path: string;
  readonly size: number;
  readonly oid?: string;
  readonly lfs?: { readonly oid: string; readonly size: number };
}

/** Data sets of the hub. */
export function hubStorage(policy: RetryPolicy = RETRY_DEFAULTS): ReadStorage {
  const commits = new Map<string, Promise<string>>();

  /** The commit of an address, asked for once. */
  const commitOf = (path: string, { repo, revision }: HubAddress, signal?: AbortSignal) => {
    if (revision !== null && COMMIT.test(revision)) return Promise.resolve(revision);
    const key = `${endpointOf()} ${repo} ${revision}`;
    let commit = commits.get(key);
    if (!commit) {
      commit = asking(path, policy, signal, async (fetch) => {
        const { datasetInfo } = await hub();
        const named = { name: repo, revision: revision ?? 'main' };
        const more = { additionalFields: ['sha' as const], hubUrl: endpointOf(), fetch };
        const { sha } = await datasetInfo({ ...named, ...more });
        if (typeof sha === 'string' && COMMIT.test(sha)) return sha;
        throw failed(path, `the hub names no commit for ${named.revision}`);
      });
      commits.set(key, commit);
      commit.catch(() => commits.delete(key));
    }
    return commit;
  };

  return {
    async stat(path, signal) {
      const place = takenApart(path);
      const commit = await commitOf(path, place, signal);
      const entries = await asking(path, policy, signal, async (fetch) => {
        const { pathsInfo } = await hub();
        const at = { repo: { type: 'dataset' as const, name: place.repo }, revision: commit };
        return pathsInfo({ ...at, paths: [place.path], hubUrl: endpointOf(), fetch });
      });
      const found = entries.find((entry) => entry.type === 'file' && entry.path === place.path);
      return found ? storedOf(path, found) : null;
    },

    async open(file) {
      const place = takenApart(file.path);
      const commit = await commitOf(file.path, place);
      const name = place.path.split('/').map(encodeURIComponent).join('/');
      const first = `${endpointOf()}/datasets/${place.repo}/resolve/${commit}/${name}`;
      let behind: { readonly url: string; readonly until: number } | null = null;
      return remoteFile(
        file,
        async (start, end, signal) => {
          const kept = behind !== null && performance.now() < behind.until ? behind.url : null;
          try {
            const token = kept === null ? tokenOf() : null;
            const headers: Record<string, string> =
              token === null ? {} : { authorization: `Bearer ${token}` };
            const question = { path: file.path, url: kept ?? first, headers, signal };
            const answer = await askHttp(question, start, end);
            if (answer.file.bytes !== file.bytes) {
              answer.cancel();
              const reason = `it has ${answer.file.bytes} bytes, the hub lists ${file.bytes}`;
              throw changedError(file.path, reason);
            }
            if (kept === null && answer.url !== first) {
              behind = { url: answer.url, until: performance.now() + REDIRECT_MS };
            }
            // A commit does not change, and each host has a name of its own for a version.
            return { ...answer, version: null };
          } catch (error) {
            // A signed address that has run out; the hub gives another one.
            if (kept !== null && isRefusal(error)) {
              behind = null;
              throw new PassingFault('a signed address has run out', null, { cause: error });
            }
            throw isGristmillError(error, 'STORAGE_DENIED') ? denied(file.path) : passingOf(error);
          }
        },
        policy,
      );
    },

    async *list(prefix, signal) {
      const place = takenApart(prefix);
      const commit = await commitOf(prefix, place, signal);
      const base = prefix.slice(0, prefix.length - place.path.length);
      const asked = new Set<string>();
      const { listFiles } = await hub();
      const entries = listFiles({
        repo: { type: 'dataset', name: place.repo },
        revision: commit,
        recursive: true,
        ...(place.path !== '' && { path: place.path.replace(/\/$/, '') }),
        hubUrl: endpointOf(),
        fetch: (url, init) => {
          const page = String(url);
          if (asked.has(page)) throw failed(prefix, 'the pages of its listing are a loop');
          if (asked.size >= MAX_PAGES)
            throw failed(prefix, `more than ${MAX_PAGES} pages of files`);
          asked.add(page);
          return retried(prefix, policy, signal, () => askHub(page, init, signal));
        },
      })[Symbol.asyncIterator]();
      for (;;) {
        const next = await entries.next().catch((error: unknown) => {
          throw faultOf(prefix, error, signal);
        });
        if (next.done) return;
        if (next.value.type !== 'file') continue;
        yield storedOf(`${base}${next.value.path}`, next.value as HubEntry);
      }
    },
  };
}

function takenApart(path: string): HubAddress {
  const found = hubAddress(path);
  if (found) return found;
  const expected = 'hf://datasets/OWNER/NAME[@REVISION]/PATH';
  throw new GristmillError('STORAGE_ADDRESS_INVALID', { path, expected });
}

function storedOf(path: string, entry: HubEntry): StoredFile {
  const bytes = entry.lfs?.size ?? entry.size;
  const oid = (entry.lfs?.oid ?? entry.oid ?? '').replace(/^sha256:/, '');
  if (!Number.isSafeInteger(bytes) || bytes < 0 || !DIGEST.test(oid)) {
    throw failed(path, 'what the hub lists of it makes no sense');
  }
  return { path, bytes, version: oid, sha256: entry.lfs && oid.length === 64 ? oid : null };
}

/** One question to the hub for JSON: a whole answer, within bounds. */
async function askHub(
  url: string,
  init: RequestInit | undefined,
  signal: AbortSignal | undefined,
): Promise<Response> {
  const headers = new Headers(init?.headers);
  const token = tokenOf();
  if (token !== null && new URL(url).origin === new URL(endpointOf()).origin) {
    headers.set('authorization', `Bearer ${token}`);
  }
  try {
    const asked = { ...init, headers, ...(signal && { signal }) };
    const answer = await wholeAnswer(await fetchSoon(url, asked, HUB_LIMITS), HUB_LIMITS);
    if (isPassingStatus(answer.status)) throw new PassingFault(`status ${answer.status}`);
    return answer;
  } catch (error) {
    throw passingOf(error);
  }
}

async function asking<T>(
  path: string,
  policy: RetryPolicy,
  signal: AbortSignal | undefined,
  ask: (fetch: (url: unknown, init?: RequestInit) => Promise<Response>) => Promise<T>,
): Promise<T> {
  try {
    return await ask((url, init) =>
      retried(path, policy, signal, () => askHub(String(url), init, signal)),
    );
  } catch (error) {
    throw faultOf(path, error, signal);
  }
}

function faultOf(path: string, error: unknown, signal: AbortSignal | undefined): unknown {
  throwIfAborted(signal, 'reading');
  if (isGristmillError(error)) return error;
  const status = (error as { statusCode?: unknown }).statusCode;
  if (status === 401 || status === 403) return denied(path);
  if (status === 404) {
    const reason = `${endpointOf()} has no such data set, revision or path; private ones need HF_TOKEN`;
    return new GristmillError('STORAGE_NOT_FOUND', { path, reason });
  }
  const reason =
    typeof status === 'number' ? `status ${status}` : ((error as NodeJS.ErrnoException).code ?? '');
  return failed(path, reason || (error as Error).name);
}

function denied(path: string): GristmillError {
  const reason =
    tokenOf() === null
      ? `${endpointOf()} asks who you are: set HF_TOKEN, and accept the data set's terms if it has any`
      : `${endpointOf()} refuses the token in HF_TOKEN: it may be wrong, or the data set's terms not accepted`;
  return new GristmillError('STORAGE_DENIED', { path, reason });
}

function isRefusal(error: unknown): boolean {
  return isGristmillError(error, 'STORAGE_DENIED') || isGristmillError(error, 'STORAGE_NOT_FOUND');
}

function failed(path: string, reason: string): GristmillError {
  return new GristmillError('STORAGE_FAILED', { path, attempts: 1, seconds: 0, reason });
}
