/**
 * Requests to endpoints: through the proxy of the environment where there is one, with no time-outs but the caller's.
 *
 * Node's own fetch knows no proxies before Node 24, and gives an answer up whose first byte takes more than 300 s, which
 * a model that reasons may well need. Of `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` the small spelling wins, as with curl.
 */
import type { Dispatcher, RequestInit, Response } from 'undici';
import { refuseOption } from '../options.ts';

export type { Response } from 'undici';

/** Requests to one endpoint. */
export interface HttpClient {
  fetch(url: string, init: RequestInit): Promise<Response>;
  dispose(): Promise<void>;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** The request's signal is the bound: a server may think as long as its caller waits. */
const NO_TIMEOUTS = { headersTimeout: 0, bodyTimeout: 0 };

/** @throws OPTION_INVALID for an environment that names no proxy that can be used */
export function openHttp(url: string, environment: Environment = process.env): HttpClient {
  const proxy = proxyOf(new URL(url), environment);
  let dispatcher: Dispatcher | null = null;
  return {
    async fetch(target, init) {
      // Loaded at the first request: most commands send none.
      const { Agent, fetch, Pool, ProxyAgent } = await import('undici');
      dispatcher ??=
        proxy === null
          ? new Agent(NO_TIMEOUTS)
          : new ProxyAgent({
              ...NO_TIMEOUTS,
              uri: proxy.href,
              // Only what is encrypted is tunnelled: most proxies refuse to tunnel to other ports.
              proxyTunnel: false,
              factory: (origin, options) => new Pool(origin, { ...options, ...NO_TIMEOUTS }),
            });
      return fetch(target, { ...init, dispatcher });
    },
    async dispose() {
      await dispatcher?.destroy();
    },
  };
}

/** The proxy for an address, or null for none. @throws OPTION_INVALID naming the variable, never its credentials */
export function proxyOf(target: URL, environment: Environment): URL | null {
  const named = (name: string): [string, string] => {
    const lower = name.toLowerCase();
    return environment[lower] ? [lower, environment[lower]] : [name, environment[name] ?? ''];
  };
  const [variable, value] = named(target.protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY');
  if (value.trim() === '' || isExempt(target, named('NO_PROXY')[1])) return null;
  const written = value.trim();
  const address = /^[a-z][a-z0-9+.-]*:\/\//i.test(written) ? written : `http://${written}`;
  const proxy = URL.canParse(address) ? new URL(address) : null;
  if (proxy?.protocol !== 'http:' && proxy?.protocol !== 'https:') {
    const scheme = proxy === null ? 'no address' : `one that begins with ${proxy.protocol}//`;
    return refuseOption(variable, 'the address of an http or https proxy', scheme);
  }
  return proxy;
}

/** Names are exempt with all below them, `*` exempts everything; a port, where there is one, must fit. */
function isExempt({ hostname, port, protocol }: URL, list: string): boolean {
  const host = bare(hostname);
  const ownPort = port || (protocol === 'https:' ? '443' : '80');
  return list.split(/[\s,]+/).some((entry) => {
    if (entry === '*') return true;
    // A port stands behind the only colon, or behind the brackets of an IPv6 address.
    const colon = entry.lastIndexOf(':');
    const hasPort = colon > 0 && (entry.indexOf(':') === colon || entry[colon - 1] === ']');
    if (hasPort && entry.slice(colon + 1) !== ownPort) return false;
    const name = bare(hasPort ? entry.slice(0, colon) : entry).replace(/^\*?\./, '');
    return name !== '' && (host === name || host.endsWith(`.${name}`));
  });
}

/** A host as it is compared: small letters, without the brackets of an IPv6 address or the dot of a root. */
function bare(host: string): string {
  return host
    .toLowerCase()
    .replace(/^\[|\]$/g, '')
    .replace(/\.$/, '');
}
