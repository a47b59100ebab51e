/**
 * Scores of labelled pages with what their sites repeat: the pages themselves are counted, by their domain, as a run counts
 * its corpus, and the odds of each line are multiplied as a run multiplies them (native/pages/site_evidence.h). It stands
 * behind any refiner, so that trained ones can be measured on sources that they have not seen.
 *
 * Labels are not looked at.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { native } from '../native/index.ts';
import type { SiteTable } from '../native/sites.ts';
import type { GoldPage } from './gold.ts';

const encoder = new TextEncoder();
/** Pages that are counted in one call. */
const PAGES_AT_ONCE = 256;

/** The sites of labelled pages. */
export interface PageSites {
  /** Pages of the page's site, copies counted once; 0 for one without a domain, or that is its site's only one. */
  nPages(page: GoldPage): number;
  /** By line, what of its neighbours repeats (native/pages/site_evidence.h); null for a page without a site. */
  steps(page: GoldPage): Uint8Array | null;
  /** Probabilities of "keep" with what the site repeats. */
  weigh(page: GoldPage, scores: Float32Array): Float32Array;
  dispose(): void;
}

/** Counts pages by their domain. @throws RUN_OUTPUT_FAILED where there is no room for temporary files */
export async function countPages(pages: readonly GoldPage[]): Promise<PageSites> {
  const folder = await mkdtemp(join(tmpdir(), 'gristmill-sites-'));
  try {
    const table = await tableOf(
      pages.filter(({ domain }) => domain !== ''),
      folder,
    );
    const linesOf = ({ domain, text }: GoldPage) =>
      domain === '' ? null : table.linePages(encoder.encode(text), domain);
    return {
      nPages: (page) => linesOf(page)?.pages ?? 0,
      steps(page) {
        const site = linesOf(page);
        return site && native().siteSteps(encoder.encode(page.text), site.pages, site.lines);
      },
      weigh(page, scores) {
        const site = linesOf(page);
        if (!site) return scores;
        const factors = native().siteFactors(encoder.encode(page.text), site.pages, site.lines);
        return scores.map((score, line) => timesOdds(score, factors[line]!));
      },
      dispose: () => table.dispose(),
    };
  } finally {
    // What is mapped stays readable.
    await rm(folder, { recursive: true, force: true });
  }
}

/** A probability whose odds are multiplied. */
export function timesOdds(probability: number, factor: number): number {
  if (factor === 1) return probability;
  const odds = probability * factor;
  return odds / (odds + (1 - probability));
}

async function tableOf(pages: readonly GoldPage[], folder: string): Promise<SiteTable> {
  const { sites } = native();
  const part = join(folder, 'part');
  const counter = sites.openCounter({ path: part, nThreads: 1, textBytes: 0 });
  try {
    for (let first = 0; first < pages.length; first += PAGES_AT_ONCE) {
      const own = pages.slice(first, first + PAGES_AT_ONCE);
      const domains = [...new Set(own.map(({ domain }) => domain))];
      const texts = columnOf(own.map(({ text }) => text));
      const names = columnOf(domains);
      await counter.add({
        ...texts,
        siteOf: Int32Array.from(own, ({ domain }) => domains.indexOf(domain)),
        names: names.data,
        nameStarts: names.offsets,
      });
    }
    await counter.finish();
  } finally {
    counter.dispose();
  }
  const out = join(folder, 'table');
  await sites.merge({ parts: [part], out, meta: '' });
  return sites.openTable(out);
}

function columnOf(values: readonly string[]): { data: Uint8Array; offsets: Int32Array } {
  const encoded = values.map((value) => encoder.encode(value));
  const offsets = new Int32Array(encoded.length + 1);
  for (const [at, bytes] of encoded.entries()) offsets[at + 1] = offsets[at]! + bytes.length;
  const data = new Uint8Array(offsets.at(-1)!);
  for (const [at, bytes] of encoded.entries()) data.set(bytes, offsets[at]);
  return { data, offsets };
}
