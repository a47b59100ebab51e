/** `gristmill sites`: counting lines by site, and looking at what was counted; defined in commands/sites.ts. */
import { countSites } from '../sites/count-sites.ts';
import { openSites } from '../sites/site-file.ts';
import { parseWorker } from '../work/worker-share.ts';
import { defined } from './flags.ts';
import { noticePrinter, untilInterrupted } from './interrupt.ts';
import { progressLine } from './progress-line.ts';
import { columns, printResult } from './say.ts';

/** Flags of `sites count`. */
export interface CountFlags {
  readonly out: string;
  readonly siteColumn?: string;
  readonly textColumn?: string;
  readonly textPer?: 'file' | 'line';
  readonly unitRows?: number;
  readonly threads?: number;
  readonly worker?: string;
  readonly json?: boolean;
}

/** Flags of `sites show`. */
export interface SitesShowFlags {
  readonly lines: number;
  readonly json?: boolean;
}

const WORDS = { ending: 'stopping', ended: 'run the same command again' };

/** The action of `sites count`. */
export async function count(inputs: string[], flags: CountFlags): Promise<void> {
  const { out, siteColumn, textColumn, textPer, unitRows, threads, worker, json = false } = flags;
  using line = progressLine(json);
  await untilInterrupted(WORDS, async (signal) => {
    const summary = await countSites({
      ...{ inputs, out, signal },
      ...defined({ siteColumn, textColumn, textPer, unitRows, threads }),
      ...(worker !== undefined && { worker: parseWorker(worker) }),
      onNotice: noticePrinter(json),
      onProgress: ({ bytes, nBytes, pages }) =>
        line.update(`count | ${pages} pages | ${megabytes(bytes)} of ${megabytes(nBytes)} MB`, {
          done: bytes,
          total: nBytes,
        }),
    });
    line.stop();
    printResult(json, summary, () => {
      const { counts, rows, lines, units, seconds } = summary;
      const took = `${seconds.toFixed(1)} s`;
      if (counts === null) return `${units} units: ${rows} pages, ${lines} lines in ${took}\n`;
      return [
        `${out}: ${megabytes(counts.bytes)} MB in ${took}`,
        `${rows} pages (${counts.pages} without copies) of ${counts.sites} sites, ${lines} lines`,
        `${counts.linesKept} lines on two pages or more, of ${counts.sitesKept} sites`,
        '',
      ].join('\n');
    });
  });
}

/** The action of `sites show`. */
export async function showSites(
  file: string,
  host: string | undefined,
  { lines: limit, json }: SitesShowFlags,
): Promise<void> {
  using sites = await openSites(file);
  if (host === undefined) {
    const largest = sites.largest(limit);
    printResult(json, { ...sites.counts, largest }, () =>
      columns([['pages', 'site'], ...largest.map(({ name, pages }) => [String(pages), name])]),
    );
    return;
  }
  const template = sites.template(host);
  printResult(json, template, () => {
    const { site, pages, templateLines, repeatedLines, lines } = template;
    const shown = lines.slice(0, limit);
    const rows = shown.map((line) => [
      String(line.pages),
      `${((100 * line.pages) / pages).toFixed(0)} %`,
      line.text,
    ]);
    const more = templateLines - shown.length;
    return [
      `${site}: ${pages} pages, ${templateLines} lines of its template, ${repeatedLines} repeated at all\n`,
      rows.length > 0 ? columns([['pages', 'share', 'line'], ...rows]) : '',
      more > 0 ? `and ${more} more, ${templateLines - lines.length} without a text\n` : '',
    ].join('');
  });
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}
