/**
 * Sizes of the domains of a corpus: bytes of text, or tokens of a vocabulary, by the value of a column.
 */

import { onlyColumns } from '../corpus/columns.ts';
import { planCorpus } from '../corpus/plan.ts';
import { readRowBatches, requireColumn } from '../corpus/rows.ts';
import { ROW_OK } from '../corpus/types.ts';
import { GristmillError, printable, throwIfAborted } from '../errors.ts';
import { native } from '../native/index.ts';
import { abortSignal, callback, checkOptions, listOf, name, type OptionTable } from '../options.ts';
import type { OnProgress } from '../progress.ts';
import { checkDomains, type DomainSpec } from './domains.ts';

/** Options of {@link countDomains}. */
export interface CountDomainsOptions {
  /** Files, folders and globs of a corpus. */
  readonly inputs: readonly string[];
  /** Column of strings that names the domain. Default `domain`. */
  readonly domainColumn?: string | undefined;
  /** Default `text`. */
  readonly textColumn?: string | undefined;
  /** A GGUF file: its tokens are counted. Default: bytes of text. */
  readonly tokenizer?: string | undefined;
  /** One line that a person should see: files that are passed over. */
  readonly onNotice?: ((line: string) => void) | undefined;
  /** Told how much of the corpus is read. */
  readonly onProgress?: OnProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Sizes of domains. */
export interface DomainCounts {
  readonly unit: 'bytes' | 'tokens';
  /** By name, in the order of their names; `tokens` holds the size in `unit`. */
  readonly domains: readonly DomainSpec[];
  readonly nDocs: number;
  /** Rows whose text is null or no UTF-8, or that name no domain. */
  readonly nSkipped: number;
}

/** Domains beyond this are no mixture but a column of something else. */
const MAX_DOMAINS = 4096;

const OPTION_TABLE: OptionTable<CountDomainsOptions> = {
  inputs: listOf(name, 1),
  domainColumn: name,
  textColumn: name,
  tokenizer: name,
  onNotice: callback,
  onProgress: callback,
  signal: abortSignal,
};

/**
 * Counts the size of every domain of a corpus.
 *
 * @throws MIXTURE_DOMAINS_INVALID, CORPUS_*, ENGINE_MODEL_*, ABORTED
 */
export async function countDomains(options: CountDomainsOptions): Promise<DomainCounts> {
  checkOptions<CountDomainsOptions>('countDomains', options, OPTION_TABLE, ['inputs']);
  const { inputs, domainColumn = 'domain', textColumn, tokenizer: vocabulary, signal } = options;
  const whole = await planCorpus({
    inputs,
    failFast: true,
    onNotice: options.onNotice,
    ...(textColumn !== undefined && { textColumn }),
    ...(signal && { signal }),
  });
  requireColumn(whole, domainColumn, inputs.join(', '));
  const plan = onlyColumns(whole, new Set([domainColumn, whole.textColumn, whole.idColumn]));
  const tokenizer = vocabulary === undefined ? null : await native().openTokenizer(vocabulary);
  const sizes = new Map<string, number>();
  let nDocs = 0;
  let nSkipped = 0;
  try {
    const batches = readRowBatches(plan, signal, options.onProgress);
    for await (const { batch, rowStatus, columns } of batches) {
      const column = (await columns()).get(domainColumn);
      const { data, offsets } = batch.text;
      const starts = tokenizer ? (await tokenizer.encode({ data, offsets })).starts : offsets;
      for (const [row, status] of rowStatus.entries()) {
        throwIfAborted(signal, 'counting domains');
        nDocs++;
        const name = column?.[row];
        if (status !== ROW_OK || typeof name !== 'string' || name === '') {
          nSkipped++;
          continue;
        }
        sizes.set(name, (sizes.get(name) ?? 0) + starts[row + 1]! - starts[row]!);
        if (sizes.size > MAX_DOMAINS) throw tooMany(domainColumn);
      }
    }
  } finally {
    tokenizer?.dispose();
  }
  const domains = [...sizes]
    .map(([name, tokens]) => ({ name, tokens }))
    .sort((one, other) => (one.name < other.name ? -1 : 1));
  const source = `column ${printable(domainColumn)}`;
  return {
    unit: tokenizer ? 'tokens' : 'bytes',
    domains: checkDomains(domains, source),
    nDocs,
    nSkipped,
  };
}

function tooMany(column: string): GristmillError {
  return new GristmillError('MIXTURE_DOMAINS_INVALID', {
    file: `column ${printable(column)}`,
    reason: `more than ${MAX_DOMAINS} different values`,
  });
}
