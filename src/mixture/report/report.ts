/**
 * The report of a fit: one HTML file that needs nothing else, and its figures as SVG and PNG files beside it. No
 * scripts, nothing is loaded; names and notes are escaped.
 */
import { join } from 'node:path';
import { pngOf } from '../../charts/png.ts';
import { GristmillError, printable } from '../../errors.ts';
import { makeFolder } from '../../local-path.ts';
import { escapeMarkup } from '../../markup.ts';
import { counting, type OnProgress } from '../../progress.ts';
import { type FittedMixture, INTERVAL_LEVELS } from '../fit-types.ts';
import { predictMixtures } from '../predict.ts';
import { alignDomains, targetName } from '../tables.ts';
import type { MixtureTable } from '../types.ts';
import { writeWhole } from '../write-whole.ts';
import {
  correlationHeatmap,
  domainEffects,
  learningCurveFigure,
  MAX_DOMAINS,
  MAX_TARGETS,
  mixtureBars,
  type NamedMixture,
  predictedVersusTrue,
} from './figures.ts';

/** A mixture of one row with a name for the report. */
export interface ReportedMixture {
  readonly name: string;
  readonly table: MixtureTable;
}

/** Options of {@link writeReport}. */
export interface ReportOptions {
  readonly fit: FittedMixture;
  /** Folder of report.html and the figures; made where it is missing. */
  readonly out: string;
  /** Shown against the prior, with predicted losses. */
  readonly proposal?: ReportedMixture;
  /** Default: the mean mixture of the runs. */
  readonly prior?: ReportedMixture;
  /** Heading. Default: the model and the number of runs. */
  readonly title?: string;
  /** Told how many figures are drawn. */
  readonly onProgress?: OnProgress | undefined;
}

/** Files that were written. */
export interface ReportResult {
  readonly html: string;
  readonly figures: readonly string[];
}

const STYLE =
  'body{font-family:sans-serif;max-width:1100px;margin:2em auto;padding:0 1em;color:#222}' +
  'table{border-collapse:collapse;margin:1em 0}td,th{border:1px solid #ccc;padding:3px 9px;text-align:right}' +
  'td:first-child,th:first-child{text-align:left}svg{max-width:100%;height:auto}';

/**
 * Writes the report.
 *
 * @throws MIXTURE_WRITE_FAILED; MIXTURE_TABLE_INVALID when a mixture is not of the fit's domains
 */
export async function writeReport(options: ReportOptions): Promise<ReportResult> {
  const { fit, out } = options;
  const mixtures = mixturesOf(options);
  const drawing: readonly [name: string, draw: () => Promise<string | null>][] = [
    ['correlations', () => correlationHeatmap(fit)],
    ['predicted', () => predictedVersusTrue(fit)],
    ['learning-curve', () => learningCurveFigure(fit)],
    ['mixtures', () => mixtureBars(fit, mixtures)],
    ['effects', () => domainEffects(fit)],
  ];
  // Each is drawn, then made a picture.
  const total = 2 * drawing.length;
  const tell = counting(options.onProgress, { phase: 'drawing', unit: 'figures', total });
  const figures: [name: string, svg: string | null][] = [];
  for (const [name, draw] of drawing) {
    figures.push([name, await draw()]);
    tell();
  }
  try {
    makeFolder(out);
  } catch (cause) {
    const details = { path: out, reason: (cause as Error).message };
    throw new GristmillError('MIXTURE_WRITE_FAILED', details, { cause });
  }
  const written: string[] = [];
  const drawn: string[] = [];
  for (const [name, svg] of figures) {
    tell();
    if (svg === null) continue;
    const file = join(out, `${name}.svg`);
    await writeWhole(file, svg);
    const picture = join(out, `${name}.png`);
    await writeWhole(picture, await pngOf(svg));
    written.push(file, picture);
    drawn.push(svg);
  }
  const html = join(out, 'report.html');
  await writeWhole(html, page(options, mixtures, drawn));
  return { html, figures: written };
}

function mixturesOf({ fit, proposal, prior }: ReportOptions): NamedMixture[] {
  const rowOf = ({ name, table }: ReportedMixture): NamedMixture => ({
    name,
    weights: Array.from(alignDomains(table, fit.domains, name).subarray(0, fit.domains.length)),
  });
  return [
    prior ? rowOf(prior) : { name: 'mean of the runs', weights: [...fit.sampled.mean] },
    ...(proposal ? [rowOf(proposal)] : []),
  ];
}

function page(
  { fit, title }: ReportOptions,
  mixtures: readonly NamedMixture[],
  figures: readonly string[],
): string {
  const { report, model, targets, domains } = fit;
  const heading = title ?? `Fit of ${model} to ${report.nRuns} runs`;
  const notes = [...report.notes];
  if (domains.length > MAX_DOMAINS) {
    notes.push(
      `figures show the ${MAX_DOMAINS} of ${domains.length} domains of the greatest mean weight`,
    );
  }
  if (targets.length > MAX_TARGETS) {
    notes.push(`figures show the first ${MAX_TARGETS} of ${targets.length} targets`);
  }
  return [
    '<!doctype html>',
    '<html lang="en"><head><meta charset="utf-8">',
    `<title>${escaped(heading)}</title><style>${STYLE}</style></head><body>`,
    `<h1>${escaped(heading)}</h1>`,
    `<p>${domains.length} domains, ${targets.length} targets, seed ${fit.seed}.</p>`,
    notes.length === 0
      ? ''
      : `<ul>${notes.map((note) => `<li>${escaped(note)}</li>`).join('')}</ul>`,
    measuresTable(fit),
    predictionsTable(fit, mixtures),
    ...figures.map((svg) => `<figure>${svg}</figure>`),
    '</body></html>',
    '',
  ].join('\n');
}

function escaped(text: string): string {
  return escapeMarkup(printable(text));
}

function tableOf(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[], tag: string): string =>
    `<tr>${cells.map((cell) => `<${tag}>${escaped(cell)}</${tag}>`).join('')}</tr>`;
  return `<table>${line(head, 'th')}${rows.map((row) => line(row, 'td')).join('')}</table>`;
}

function measuresTable({ report }: FittedMixture): string {
  const validation = report.crossValidation;
  if (!validation) return '<p>No cross-validation was made; intervals are not calibrated.</p>';
  const fixed = (value: number | null): string => (value === null ? '–' : value.toFixed(4));
  const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
  const head = [
    'target',
    'Spearman',
    'Pearson',
    'RMSE',
    'MAE',
    ...INTERVAL_LEVELS.map((level) => `${level * 100} % covers`),
    '90 % uncalibrated',
  ];
  const rows = validation.targets.map((target) => [
    targetName(target.target),
    fixed(target.spearman),
    fixed(target.pearson),
    fixed(target.rmse),
    fixed(target.mae),
    ...target.coverage.calibrated.map(percent),
    target.coverage.raw ? percent(target.coverage.raw[2]!) : '–',
  ]);
  const { mean } = validation;
  const means = [mean.spearman, mean.pearson, mean.rmse, mean.mae].map(fixed);
  rows.push(['mean', ...means, ...INTERVAL_LEVELS.map(() => ''), '']);
  return `<h2>${validation.nFolds}-fold cross-validation</h2>${tableOf(head, rows)}`;
}

function predictionsTable(fit: FittedMixture, mixtures: readonly NamedMixture[]): string {
  const table = {
    domains: fit.domains,
    ids: mixtures.map((_, row) => String(row)),
    weights: Float64Array.from(mixtures.flatMap(({ weights }) => weights)),
  };
  const rows = predictMixtures(fit, table).map(({ target, mean, halfWidth }) => [
    targetName(target),
    ...mixtures.map((_, row) => {
      const half = halfWidth ? ` ± ${halfWidth[row]!.toFixed(4)}` : '';
      return `${mean[row]!.toFixed(4)}${half}`;
    }),
  ]);
  const head = ['target', ...mixtures.map(({ name }) => name)];
  return `<h2>Predicted losses, 90 % intervals</h2>${tableOf(head, rows)}`;
}
