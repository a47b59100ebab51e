/** A small token store of three domains, for tests of proxies. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ProxySettings } from '../../../src/mixture/proxies/settings.ts';
import { proxySettings } from '../../../src/mixture/proxies/settings.ts';
import type { MixtureTable } from '../../../src/mixture/types.ts';
import { tokenizeDomains } from '../../../src/tokens/tokenize.ts';
import { testTexts } from '../../support/corpus.ts';

/** Writes JSON lines with the columns kind and text. */
export function writeDomainCorpus(path: string): void {
  const rows = testTexts(90, 4).map((text, row) => ({
    text: row % 3 === 2 ? `${row * row} + ${row} = ${row * row + row}\n`.repeat(6) : text,
    kind: ['web', 'news', 'maths'][row % 3],
  }));
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
}

/** Makes the store in a folder. */
export async function smallStore(folder: string): Promise<string> {
  const corpus = join(folder, 'domains.jsonl');
  writeDomainCorpus(corpus);
  const out = join(folder, 'store');
  await tokenizeDomains({
    sources: [{ domainColumn: 'kind', inputs: [corpus] }],
    tokenizer: { trainSize: 400 },
    out,
    validationShare: 0.3,
  });
  return out;
}

/** Settings of a proxy that takes a tenth of a second. */
export function quick(overrides: Partial<ProxySettings> = {}): ProxySettings {
  return proxySettings('tiny', {
    nEmbd: 16,
    nHead: 2,
    nFf: 32,
    nCtx: 16,
    batch: 8,
    microBatch: 4,
    steps: 6,
    evalEvery: 4,
    evalWindows: 6,
    ...overrides,
  });
}

/** Mixtures of the store's domains. */
export function mixtureTable(
  rows: readonly (readonly [id: string, weights: readonly number[]])[],
): MixtureTable {
  return {
    domains: ['train_web', 'train_news', 'train_maths'],
    ids: rows.map(([id]) => id),
    weights: Float64Array.from(rows.flatMap(([, weights]) => weights)),
  };
}
