/**
 * The sites of pages: the registered domain of each page's host, by the public suffix list, private suffixes included
 * (`me.github.io` is a site). A host without one is a site itself: an address, `localhost`, a suffix.
 *
 * Hosts are found in C++, on the bytes of the column; a name is looked up once for each host, not for each page.
 */
import { domainToASCII } from 'node:url';
import { getDomain } from 'tldts';
import type { BytesColumn } from '../batch/document-batch.ts';
import { native } from '../native/index.ts';

/** Hosts that are remembered: corpora have millions of hosts of one page. */
const MOST_KNOWN = 65_536;
const LONGEST_HOST = 253;
const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** Sites of the rows of a column. */
export interface RowSites {
  /** By row, an index among the names; -1: none. */
  readonly siteOf: Int32Array;
  readonly names: Uint8Array;
  /** First byte of each name, and the end. */
  readonly nameStarts: Int32Array;
}

/** The site of a host as {@link SiteNames} finds it in URLs: lower case, Unicode or ASCII; null where it is none. */
export function siteOfHost(host: string): string | null {
  const ascii = /^[\x21-\x7e]*$/.test(host) ? host : domainToASCII(host);
  if (ascii === '' || ascii.length > LONGEST_HOST) return null;
  return getDomain(ascii, { allowPrivateDomains: true, extractHostname: false }) ?? ascii;
}

/** The site that a URL, a host or a domain names; null for none. */
export function siteOf(value: string): string | null {
  const bytes = encoder.encode(value);
  const { hostOf, hosts } = native().sites.hosts(bytes, Int32Array.of(0, bytes.length), null);
  return hostOf[0] === 0 ? siteOfHost(decoder.decode(hosts)) : null;
}

/** Finds the sites of columns, one after another. */
export class SiteNames {
  readonly #known = new Map<string, string | null>();

  of({ data, offsets, validity }: Omit<BytesColumn, 'length' | 'nullCount'>): RowSites {
    const { hostOf, hosts, hostStarts } = native().sites.hosts(data, offsets, validity);
    const nHosts = hostStarts.length - 1;
    const siteOf = new Int32Array(nHosts);
    const sites = new Map<string, number>();
    for (let host = 0; host < nHosts; host++) {
      const bytes = hosts.subarray(hostStarts[host], hostStarts[host + 1]);
      const site = this.#siteOf(decoder.decode(bytes));
      if (site === null) siteOf[host] = -1;
      else {
        const index = sites.get(site) ?? sites.size;
        sites.set(site, index);
        siteOf[host] = index;
      }
    }
    const nameStarts = new Int32Array(sites.size + 1);
    let end = 0;
    let at = 0;
    for (const name of sites.keys()) {
      end += name.length;
      nameStarts[++at] = end;
    }
    return {
      siteOf: hostOf.map((host) => (host < 0 ? -1 : siteOf[host]!)),
      names: encoder.encode([...sites.keys()].join('')),
      nameStarts,
    };
  }

  #siteOf(host: string): string | null {
    let site = this.#known.get(host);
    if (site === undefined) {
      site = siteOfHost(host);
      if (this.#known.size >= MOST_KNOWN) this.#known.clear();
      this.#known.set(host, site);
    }
    return site;
  }
}
