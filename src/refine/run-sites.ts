/**
 * What a run knows of the sites of its pages: a file of counts that was given, or one that it makes of its own inputs before
 * it scores anything, in `_gristmill/sites.counts`. A document's outcome depends on other documents through that file alone,
 * whose hash stands in run.json.
 */
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { remoteScheme } from '../corpus/storage/addresses.ts';
import type { CorpusPlan } from '../corpus/types.ts';
import { GristmillError } from '../errors.ts';
import { refuseOption } from '../options.ts';
import { onlySiteColumn, siteColumnOf } from '../sites/site-column.ts';
import type { Sites } from '../sites/site-file.ts';
import { outputAddress, outputStore } from '../work/open-output.ts';
import { LEDGER_FOLDER } from '../work/output-folder.ts';
import type { ResolvedRefiner } from './core.ts';
import type { RunIdentity } from './run-identity.ts';
import type { ListedInputs } from './run-options.ts';

/** Name of the file of counts that a run makes, in its ledger's folder. */
export const SITES_FILE = 'sites.counts';

/** The sites of a run. */
export interface RunSites {
  readonly sites: Sites;
  /** The plan, with the column that says the site. */
  readonly plan: CorpusPlan;
  /** What of it makes a run the same run. */
  readonly identity: NonNullable<RunIdentity['sites']>;
}

/** Whether a run was asked to look at sites. */
export function wantsSites({ sites, siteColumn }: ListedInputs): boolean {
  return sites !== undefined || siteColumn !== undefined;
}

/** Refuses what a run with these options and models has no use for. @throws OPTION_INVALID */
export function checkSiteOptions(options: ListedInputs, { chunk }: ResolvedRefiner): void {
  const { site, sites, siteColumn, reuse, worker, out, inputs } = options;
  if (site === false && wantsSites(options)) {
    refuseOption('site', 'not false beside siteColumn or sites', site);
  }
  if (!wantsSites(options) && site !== true) return;
  const [option, received] = (
    sites !== undefined
      ? ['sites', sites]
      : siteColumn !== undefined
        ? ['siteColumn', siteColumn]
        : ['site', site]
  ) as [string, unknown];
  if (chunk?.model.kind !== 'line-score') {
    refuseOption(option, 'nothing for a chunk model that does not score lines', received);
  }
  if (reuse !== undefined) {
    refuseOption(option, 'nothing beside reuse, whose scores say it already', received);
  }
  if (sites !== undefined) return;
  const byCount = 'beside sites, a file that `gristmill sites count` has made';
  if (worker) refuseOption(option, `with several workers: ${byCount}`, received);
  if (options.limit !== undefined) refuseOption(option, `with limit: ${byCount}`, received);
  if (out === '-' || inputs.includes('-')) {
    refuseOption(option, `with a stream, which is read once: ${byCount}`, received);
  }
  if (remoteScheme(out) !== null) {
    refuseOption(option, `with an output in a bucket: ${byCount}`, received);
  }
}

/** Options with what a run does about sites, and what it says of that. */
export interface SitesChoice {
  readonly options: ListedInputs;
  readonly notice: string | null;
}

/**
 * What a run does about sites where neither their column nor a file was named: a run that has begun goes on as it is, another
 * one counts by the only column that can be meant if it was asked to (`site: true`), or says how to ask.
 *
 * @param isShared whether the run's units are handed out, or others have a share of them: who comes later does not count
 * @throws SITES_COLUMN_UNKNOWN where it was asked to and no column or several can be meant; OPTION_INVALID
 */
export async function chooseSites(
  plan: CorpusPlan,
  options: ListedInputs,
  resolved: ResolvedRefiner,
  isShared = options.worker !== undefined,
): Promise<SitesChoice> {
  const asIs = { options, notice: null };
  const isScored = resolved.chunk?.model.kind === 'line-score' && options.reuse === undefined;
  if (wantsSites(options) || options.site === false || !isScored) return asIs;
  const begun = await begunWith(options.out);
  if (begun !== null) {
    if (begun.sites === null) return asIs;
    const { file, column } = begun.sites;
    const chosen = isShared ? { sites: file, siteColumn: column } : { siteColumn: column };
    return { options: { ...options, ...chosen }, notice: `sites by column ${column}, as before` };
  }
  if (options.site) {
    const chosen = { ...options, siteColumn: siteColumnOf(plan, undefined) };
    checkSiteOptions(chosen, resolved);
    return { options: chosen, notice: null };
  }
  const column = onlySiteColumn(plan);
  const notice =
    column && `column ${column} says which site a page is of: --site makes what sites repeat count`;
  return { options, notice };
}

/** What the run in a folder of this machine does about sites; null where none has begun there. */
async function begunWith(
  asked: string,
): Promise<{ readonly sites: { readonly column: string; readonly file: string } | null } | null> {
  if (asked === '-' || remoteScheme(asked) !== null) return null;
  const out = outputAddress(asked);
  const store = await outputStore(out);
  const text = await store.read(store.layout.runFile);
  if (text === null) return null;
  const file = join(out, LEDGER_FOLDER, SITES_FILE);
  // Counts that were given lie elsewhere, and are to be given again.
  const column = existsSync(file) ? columnIn(text) : null;
  return { sites: column === null ? null : { column, file } };
}

/** The column of sites that a run.json names; null where it names none, or is nothing that can be read. */
function columnIn(text: string): string | null {
  try {
    const { sites } = JSON.parse(text) as { readonly sites?: { readonly column?: unknown } };
    return typeof sites?.column === 'string' ? sites.column : null;
  } catch {
    return null;
  }
}

/**
 * Opens the sites of a run, counting first where no file was given. Dispose of them.
 *
 * @throws SITES_*, CORPUS_*, RUN_OUTPUT_FOREIGN, RUN_OUTPUT_IN_USE, RUN_OUTPUT_FAILED, ABORTED
 */
export async function openRunSites(plan: CorpusPlan, options: ListedInputs): Promise<RunSites> {
  const { sites: given, out: asked, threads, unitRows, textPer, signal, onNotice } = options;
  const [{ openSites, fileHash }, { countPlanned }] = await Promise.all([
    import('../sites/site-file.ts'),
    import('../sites/count-sites.ts'),
  ]);
  let file = given;
  if (file === undefined) {
    const siteColumn = siteColumnOf(plan, options.siteColumn);
    const out = outputAddress(asked);
    const store = await outputStore(out);
    if ((await store.read(store.layout.runFile)) === null && (await store.hasPublicFiles())) {
      throw new GristmillError('RUN_OUTPUT_FOREIGN', { out });
    }
    file = join(out, LEDGER_FOLDER, SITES_FILE);
    await mkdir(dirname(file), { recursive: true });
    onNotice?.(`counting lines by site, by column ${siteColumn}`);
    const { counts } = await countPlanned(plan, siteColumn, file, {
      ...(threads !== undefined && { threads }),
      ...(unitRows !== undefined && { unitRows }),
      ...(textPer !== undefined && { textPer }),
      ...(signal && { signal }),
      onNotice,
      isReplaced: true,
    });
    onNotice?.(`${counts!.sitesKept} sites repeat ${counts!.linesKept} lines on two pages or more`);
  }
  const { sha256 } = await fileHash(file);
  const sites = await openSites(file);
  try {
    const own = plan.columns.some(({ name }) => name === sites.siteColumn)
      ? sites.siteColumn
      : undefined;
    const column = siteColumnOf(plan, options.siteColumn ?? onlySiteColumn(plan) ?? own);
    return { sites, plan: { ...plan, siteColumn: column }, identity: { column, sha256 } };
  } catch (error) {
    sites.dispose();
    throw error;
  }
}
