/**
 * Reports of runs: one HTML page that stands alone, or the same as data, for whatever command has written the folder.
 */
import { FinishedRun } from '../refine/finished-run.ts';
import { version } from '../version.ts';
import { type Dossier, dossierOf } from './dossier.ts';
import { dossierArticle53, dossierMarkdown } from './dossier-markdown.ts';
import { type Html, note, pageOf, type Section } from './page.ts';
import { refineReport, refineSections, sampleText } from './refine-report.ts';
import { type SampleOptions, sampleRun } from './refine-sample.ts';
import { type RunKind, runKindOf } from './run-kinds.ts';
import { reportedSites } from './site-templates.ts';
import {
  continueReport,
  mixtureReport,
  type RunReport,
  sweepReport,
  trainReport,
} from './training-reports.ts';

/** Options of {@link reportRun}. */
export interface ReportRunOptions extends SampleOptions {
  /** Heading. Default: what the run is. */
  readonly title?: string;
}

/** A report. */
export interface ReportedRun {
  readonly kind: RunKind;
  /** What the page shows in figures, as plain JSON. */
  readonly data: object;
  /** The page; at most 3 MB. */
  readonly html: string;
}

const OTHERS: Readonly<Record<Exclude<RunKind, 'refine'>, (dir: string) => Promise<RunReport>>> = {
  train: trainReport,
  'mix train': sweepReport,
  'mix apply': mixtureReport,
  'continue run': continueReport,
};
const MAX_PAGE_CHARS = 2_900_000;

/**
 * Reports on the run in a folder, of whatever command; of `refine` in a bucket too.
 *
 *     writeFileSync('report.html', (await reportRun('refined')).html);
 *
 * @throws RUN_NOT_FOUND where there is none, RUN_LEDGER_INVALID for a damaged one; CORPUS_*, STORAGE_*, ENGINE_MODEL_*, ABORTED
 */
export async function reportRun(dir: string, options: ReportRunOptions = {}): Promise<ReportedRun> {
  const kind = await runKindOf(dir);
  const { title, data, sections, subtitle } =
    kind === 'refine' ? await ofRefine(dir, options) : await ofOther(dir, kind);
  const html = pageOf({
    title: options.title ?? title,
    subtitle,
    sections: withinBound(sections),
  });
  return { kind, data, html };
}

/** Options of {@link dossierOfRun}. */
export interface DossierOptions extends SampleOptions {
  /** `art53`: the order of the European Commission's template. Default `plain`. */
  readonly form?: 'plain' | 'art53';
}

/**
 * Where the refined corpus in a folder comes from, as data and as Markdown.
 *
 * @throws as {@link reportRun}; RUN_NOT_FOUND for a run of another command
 */
export async function dossierOfRun(
  dir: string,
  { form = 'plain', ...options }: DossierOptions = {},
): Promise<{ readonly data: Dossier; readonly markdown: string }> {
  const run = await FinishedRun.open(dir, options.signal);
  const data = dossierOf(run, await sampleRun(run, { ...options, gallery: 0 }));
  return { data, markdown: form === 'art53' ? dossierArticle53(data) : dossierMarkdown(data) };
}

interface Parts {
  readonly title: string;
  readonly subtitle: string;
  readonly data: object;
  readonly sections: readonly Section[];
}

async function ofRefine(dir: string, options: SampleOptions): Promise<Parts> {
  const run = await FinishedRun.open(dir, options.signal);
  const sample = await sampleRun(run, options);
  const sites = await reportedSites(run);
  return {
    title: 'Refined corpus',
    subtitle: `${dir}: ${run.isWhole ? 'finished' : 'not finished'}, ${run.units.length} of ${run.identity.units} units; seen: ${sampleText(sample)}. Made by gristmill ${version}.`,
    data: refineReport(run, sample, sites),
    sections: await refineSections(run, sample, sites),
  };
}

async function ofOther(dir: string, kind: Exclude<RunKind, 'refine'>): Promise<Parts> {
  const report = await OTHERS[kind](dir);
  return { ...report, subtitle: `${dir}: gristmill ${kind}. Made by gristmill ${version}.` };
}

/** Names may be long and many: what does not fit is left out, and said. */
function withinBound(sections: readonly Section[]): Section[] {
  let room = MAX_PAGE_CHARS;
  return sections.map(({ title, parts }) => {
    const kept: Html[] = [];
    for (const part of parts) {
      if (Buffer.byteLength(part) > room) {
        kept.push(note('More does not fit into this page.'));
        break;
      }
      room -= Buffer.byteLength(part);
      kept.push(part);
    }
    return { title, parts: kept };
  });
}
