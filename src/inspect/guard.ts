/**
 * Who may ask the inspector's server: the page that it has sent itself, and whoever opens the link.
 *
 *  1. `Host` is 127.0.0.1 or localhost with our port: a name of somebody else that resolves to this machine (DNS rebinding) is
 *     refused.
 *  2. `Origin`, where there is one, is ours, and what changes something must have one. `Sec-Fetch-Site`, where a browser sends
 *     it, is `same-origin` or `none`: no other page may ask, not even for an image.
 *  3. The first part of the path is the token of this start: 256 random bits, compared in constant time.
 *
 * A refused request learns nothing, not even which of them it failed.
 */
import { timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

/** Headers of every answer. Styles and scripts come from us alone, and nothing is sent or framed anywhere. */
export const HEADERS: Readonly<Record<string, string>> = Object.freeze({
  'Content-Security-Policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    // The empty icon.
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
  ].join('; '),
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Permissions-Policy': 'camera=(), microphone=(), geolocation=()',
  'Cache-Control': 'no-store',
});

const NAMES = ['127.0.0.1', 'localhost'];
const SITES = ['same-origin', 'none'];
const LONGEST_URL = 4_096;

/** What a request that may be answered asks for: the path behind the token, from `/`, and its parameters. */
export interface Admitted {
  readonly path: string;
  readonly parameters: URLSearchParams;
}

/** Checks a request. Null where it is to be refused. */
export function admit(request: IncomingMessage, port: number, token: string): Admitted | null {
  const { headers, method, url = '' } = request;
  if (!NAMES.some((name) => headers.host === `${name}:${port}`)) return null;
  const { origin } = headers;
  if (origin !== undefined && !NAMES.some((name) => origin === `http://${name}:${port}`)) {
    return null;
  }
  const changes = method !== 'GET' && method !== 'HEAD';
  if (changes && origin === undefined) return null;
  const site = headers['sec-fetch-site'];
  if (site !== undefined && !SITES.includes(String(site))) return null;
  if (url.length > LONGEST_URL || !url.startsWith('/')) return null;
  const query = url.indexOf('?');
  const path = query < 0 ? url : url.slice(0, query);
  const end = path.indexOf('/', 1);
  if (end < 0 || !isSame(path.slice(1, end), token)) return null;
  return {
    path: path.slice(end),
    parameters: new URLSearchParams(query < 0 ? '' : url.slice(query + 1)),
  };
}

function isSame(given: string, token: string): boolean {
  const [left, right] = [Buffer.from(given), Buffer.from(token)];
  return left.byteLength === right.byteLength && timingSafeEqual(left, right);
}
