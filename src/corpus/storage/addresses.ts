/**
 * Addresses of files that do not lie in the local file system, and what of them may be seen.
 *
 * Invariant: what leaves this room (plans, ledgers, errors, logs) is the shown form, without user info and without the
 * parts of a query that sign it. The whole address stays in this process, under its shown form.
 */
import { join } from 'node:path';
import { schemeOf } from '../../local-path.ts';

/** Schemes that are read. */
export type RemoteScheme = 's3' | 'http' | 'https' | 'hf';
const REMOTE: ReadonlySet<string> = new Set(['s3', 'http', 'https', 'hf']);

/** The scheme of an address that a storage of ours reads; null for paths and for schemes that none reads. */
export function remoteScheme(path: string): RemoteScheme | null {
  const scheme = schemeOf(path);
  return scheme !== null && REMOTE.has(scheme) && path.includes('://')
    ? (scheme as RemoteScheme)
    : null;
}

/** Parts of queries that grant access: signatures of AWS, Google, Azure and CloudFront, tokens of all kinds. */
const SECRET_NAME =
  /sig|token|key|secret|auth|cred|polic|passw|session|expires|^x-(amz|goog|ms)-|^(se|sp|sv|sr|st|spr|ss|srt|sip|ske|sks|skt|skv|skoid|sktid)$|^pwd$/i;
/** What is as long as this is rather a secret than a choice. */
const MAX_SHOWN_VALUE = 32;

const whole = new Map<string, string>();
const MAX_KEPT = 100_000;

/** The form of an address that may be seen by anybody; the address itself is kept for {@link wholeAddress}. */
export function shownAddress(address: string): string {
  const shown = withoutSecrets(address);
  if (shown !== address) {
    if (whole.size >= MAX_KEPT) whole.delete(whole.keys().next().value!);
    whole.set(shown, address);
  }
  return shown;
}

/** The address behind a shown form. */
export function wholeAddress(shown: string): string {
  return whole.get(shown) ?? shown;
}

/** An address without user info, without the parts of its query that sign it, without a fragment. */
export function withoutSecrets(address: string): string {
  if (!/^https?:\/\//i.test(address) || !URL.canParse(address)) {
    // Whatever stands before an @ where a host would be is no part of a bucket's or repository's name.
    return address.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/]*@(?=[^/]*)/i, (found, scheme: string) =>
      /^hf:/i.test(found) ? found : scheme,
    );
  }
  const url = new URL(address);
  url.username = '';
  url.password = '';
  url.hash = '';
  const kept = [...url.searchParams].filter(
    ([name, value]) => !SECRET_NAME.test(name) && value.length < MAX_SHOWN_VALUE,
  );
  url.search = new URLSearchParams(kept).toString();
  return url.href;
}

/** The name at the end of an address, by which its format is told: an `https://` address may have a query behind it. */
export function nameOf(path: string): string {
  if (!/^https?:\/\//i.test(path) || !URL.canParse(path)) return path;
  try {
    return decodeURIComponent(new URL(path).pathname);
  } catch {
    return new URL(path).pathname;
  }
}

/** A bucket and a key (or prefix). */
export interface S3Address {
  readonly bucket: string;
  readonly key: string;
}

/** Takes `s3://BUCKET/KEY` apart; null for what is none. */
export function s3Address(path: string): S3Address | null {
  const found = /^s3:\/\/([^/]+)(?:\/(.*))?$/is.exec(path);
  return found ? { bucket: found[1]!, key: found[2] ?? '' } : null;
}

/** A data set of the hub and a path (or glob) in it. */
export interface HubAddress {
  /** `OWNER/NAME`. */
  readonly repo: string;
  /** Null: the branch `main`. */
  readonly revision: string | null;
  readonly path: string;
}

/** Takes `hf://datasets/OWNER/NAME[@REVISION][/PATH]` apart; null for what is none. */
export function hubAddress(address: string): HubAddress | null {
  const found =
    /^hf:\/\/datasets\/([\w.-]+\/[\w.-]+)(?:@(refs(?:\/|%2F)(?:convert|pr)(?:\/|%2F)[\w.-]+|[^/]+))?(?:\/(.*))?$/is.exec(
      address,
    );
  if (!found) return null;
  const revision = found[2] === undefined ? null : found[2].replace(/%2F/gi, '/');
  return { repo: found[1]!, revision, path: found[3] ?? '' };
}

/** What lies below a folder, of the file system or behind an address. */
export function below(folder: string, path: string): string {
  if (remoteScheme(folder) === null) return join(folder, path);
  return `${folder.replace(/\/+$/, '')}/${path}`;
}
