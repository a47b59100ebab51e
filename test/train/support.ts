/** Made-up pages with menus, prose and footers, and where the shared data lies. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../src/paths.ts';
import { type GoldPage, KEEP, REMOVE } from '../../src/scorers/gold.ts';
import { seeded, testTexts } from '../support/corpus.ts';

const shared = process.env['GRISTMILL_SHARED'] ?? join(packageRoot, '..', 'shared');

/** A file of web-gold, or null; says so when it is missing. */
export function goldFile(name: string): string | null {
  const file = join(shared, 'data', 'web-gold', name);
  if (existsSync(file)) return file;
  console.warn(`skipped: ${file} is missing`);
  return null;
}

const MENU = ['Home', 'About us', 'Contact', 'Sign in', 'Subscribe', 'Share this', 'Terms of use'];

/** Pages whose content are prose lines and whose rest are menus around them; domains of three pages each. */
export function syntheticPages(nPages: number, seed: number): GoldPage[] {
  const random = seeded(seed);
  const proses = testTexts(nPages * 4, seed).flatMap((text) =>
    text.split('\n').filter((line) => line.length > 60 && line.endsWith('.')),
  );
  let next = 0;
  const menu = (): string => MENU[Math.floor(random() * MENU.length)]!;
  return Array.from({ length: nPages }, (_, page) => {
    const lines: string[] = [];
    const labels: number[] = [];
    const put = (line: string, label: number): void => {
      lines.push(line);
      labels.push(label);
    };
    for (let count = 2 + random() * 6; count > 0; count--) put(menu(), REMOVE);
    for (let count = 1 + random() * 5; count > 0; count--) {
      put(proses[next++ % proses.length]!, KEEP);
    }
    for (let count = 1 + random() * 4; count > 0; count--) put(menu(), REMOVE);
    return {
      id: `page-${page}`,
      domain: `site-${Math.floor(page / 3)}.example`,
      language: 'en',
      source: 'synthetic',
      text: lines.join('\n'),
      lines,
      labels: Uint8Array.from(labels),
      goldText: lines.filter((_line, at) => labels[at] === KEEP).join('\n'),
    };
  });
}

/** The same as rows of a gold file. */
export function goldRows(nPages: number, seed: number): object[] {
  return syntheticPages(nPages, seed).map(({ id, domain, language, text, goldText, labels }) => ({
    id,
    domain,
    language,
    text,
    gold_text: goldText,
    line_labels: labels.join(''),
    line_mask: labels.map(() => 1).join(''),
  }));
}
