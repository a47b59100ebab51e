/** Corpora of sites for tests: pages that have a menu and a footer in common, and a text of their own. */
import { writeFileSync } from 'node:fs';
import { testTexts } from '../support/corpus.ts';

/** A row of such a corpus. */
export interface SitePage {
  readonly id: string;
  readonly url: string | null;
  readonly text: string;
}

/** Lines that all pages of a site share. */
export function templateOf(site: string): readonly string[] {
  return [`${site} start page`, 'Forum', 'Members', 'Log in', 'Imprint', `© ${site}`];
}

/** Pages of sites, in turns; null for one page in eleven. */
export function sitePages(nPages: number, sites: readonly string[], seed = 3): SitePage[] {
  const texts = testTexts(nPages, seed);
  return texts.map((text, page) => {
    const site = sites[page % sites.length]!;
    const [first, second, third, ...footer] = templateOf(site);
    const own = `Thread ${page.toString(36)} about ${'abcdefghijklm'[page % 13]}`;
    return {
      id: `p${page}`,
      url: page % 11 === 10 ? null : `https://www.${site}/t/${page}?ref=${page % 7}`,
      text: [first, second, third, own, text, ...footer].join('\n'),
    };
  });
}

/** Writes rows as JSON lines. */
export function writeJsonl(path: string, rows: readonly object[]): void {
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
}
