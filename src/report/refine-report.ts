/**
 * The report of a refined corpus: counts from the ledger, which are exact, and what a sample of the rows shows (refine-sample.ts),
 * which says of itself what it is. Tables are bounded, and so is the gallery, so that a page stays small whatever the corpus.
 */
import type { FinishedRun } from '../refine/finished-run.ts';
import { gallerySection } from './gallery.ts';
import { figure, type Html, note, type Section, table } from './page.ts';
import {
  funnelFigure,
  histogramFigure,
  reasonsFigure,
  throughputFigure,
} from './refine-figures.ts';
import type { GroupSizes, RunSample } from './refine-sample.ts';
import { type ReportedSites, sitesSection } from './site-templates.ts';
import { flattened, shortCount } from './values.ts';

const MAX_GROUP_ROWS = 20;
const MAX_UNIT_ROWS = 20;
const MAX_INPUT_ROWS = 50;

/** A group in a report. */
export interface ReportedGroup extends Readonly<GroupSizes> {
  readonly name: string;
  readonly removedShare: number;
}

/** What a report of a refined corpus says, for programs. */
export interface RefineReport {
  readonly kind: 'refine';
  readonly out: string;
  readonly isWhole: boolean;
  readonly units: {
    readonly planned: number;
    readonly committed: number;
    readonly missing: readonly number[];
  };
  readonly counts: FinishedRun['counts'];
  readonly identity: FinishedRun['identity'];
  readonly sample: {
    readonly rows: number;
    readonly isWhole: boolean;
    readonly seed: number;
    readonly tokens: RunSample['tokens'];
    readonly domainColumn: string | null;
    readonly languageColumn: string | null;
    readonly domains: readonly ReportedGroup[];
    readonly languages: readonly ReportedGroup[];
    readonly notes: readonly string[];
  };
  /** Null for a run that has counted none. */
  readonly sites: ReportedSites | null;
}

/** The parts of a report that are numbers. */
export function refineReport(
  run: FinishedRun,
  sample: RunSample,
  sites: ReportedSites | null,
): RefineReport {
  const committed = new Set(run.units.map(({ unit }) => unit));
  const missing: number[] = [];
  for (let unit = 0; unit < run.identity.units && missing.length < MAX_UNIT_ROWS; unit++) {
    if (!committed.has(unit)) missing.push(unit);
  }
  return {
    kind: 'refine',
    out: run.out,
    isWhole: run.isWhole,
    units: { planned: run.identity.units, committed: run.units.length, missing },
    counts: run.counts,
    identity: run.identity,
    sample: {
      rows: sample.nRows,
      isWhole: sample.isWhole,
      seed: sample.seed,
      tokens: sample.tokens,
      domainColumn: sample.domainColumn,
      languageColumn: sample.languageColumn,
      domains: worstGroups(sample.domains),
      languages: worstGroups(sample.languages),
      notes: sample.notes,
    },
    sites,
  };
}

/** Those that lose the most characters first. */
export function worstGroups(groups: ReadonlyMap<string, GroupSizes>): ReportedGroup[] {
  return [...groups]
    .map(([name, sizes]) => ({
      name,
      ...sizes,
      removedShare: sizes.charsIn === 0 ? 0 : Math.max(0, 1 - sizes.charsOut / sizes.charsIn),
    }))
    .sort(
      (one, other) =>
        other.charsIn - other.charsOut - (one.charsIn - one.charsOut) ||
        (one.name < other.name ? -1 : 1),
    )
    .slice(0, MAX_GROUP_ROWS);
}

/** The sections of the page. */
export async function refineSections(
  run: FinishedRun,
  sample: RunSample,
  sites: ReportedSites | null,
): Promise<Section[]> {
  const { counts, identity } = run;
  const { thresholds } = identity;
  const scale = sample.nRows === 0 ? 0 : sample.nTotal / sample.nRows;
  const tokens = sample.tokens && {
    before: scale * sample.tokens.before,
    after: scale * sample.tokens.after,
  };
  const sampled = sampleText(sample);
  const histograms = [
    await histogramFigure(sample.scores, {
      title: 'Scores of documents',
      label: 'score (0 to 1)',
      threshold: thresholds?.document ?? null,
    }),
    await histogramFigure(sample.removedShares, {
      title: 'Share of its characters that each document lost',
      label: 'characters removed (%)',
      scale: 100,
    }),
  ].filter((svg) => svg !== null);
  const throughput = await throughputFigure(run);
  const reasons = await reasonsFigure(counts);
  return [
    {
      title: 'Summary',
      parts: [
        figure(await funnelFigure(counts, tokens)),
        summaryTable(run, tokens),
        tokens && !sample.isWhole ? note(`Tokens are scaled up from ${sampled}.`) : '',
      ],
    },
    { title: 'Reasons', parts: [reasons ? figure(reasons) : '', reasonsTable(run)] },
    {
      title: 'Scores and shares removed',
      parts: [...histograms.map(figure), histograms.length > 0 ? note(`From ${sampled}.`) : ''],
    },
    groupSection('Domains', sample.domainColumn, sample.domains, sampled),
    groupSection('Languages', sample.languageColumn, sample.languages, sampled),
    sitesSection(sites),
    {
      title: 'Throughput',
      parts: throughput ? [figure(throughput), unitsTable(run)] : [unitsTable(run)],
    },
    { title: 'Failures', parts: failures(run) },
    gallerySection(sample, sampled),
    { title: 'How it was made', parts: provenance(run) },
    { title: 'Notes', parts: sample.notes.map(note) },
  ];
}

/** What was looked at, in words. */
export function sampleText({ isWhole, nRows, nTotal, seed }: RunSample): string {
  const figures = (value: number): string => value.toLocaleString('en-US');
  return isWhole
    ? `all ${figures(nTotal)} rows`
    : `a sample of ${figures(nRows)} of ${figures(nTotal)} rows, drawn in stretches with seed ${seed}`;
}

function summaryTable(
  { counts }: FinishedRun,
  tokens: { readonly before: number; readonly after: number } | null,
): Html {
  const share = (part: number, whole: number): string =>
    whole === 0 ? '–' : `${((100 * part) / whole).toFixed(1)} %`;
  const figures = (value: number): string => Math.round(value).toLocaleString('en-US');
  const left = counts.kept + counts.edited;
  return table(
    ['measure', 'in', 'out', 'out of in'],
    [
      ['rows', figures(counts.rowsIn), figures(left), share(left, counts.rowsIn)],
      [
        'characters',
        figures(counts.charsIn),
        figures(counts.charsOut),
        share(counts.charsOut, counts.charsIn),
      ],
      ...(tokens
        ? [
            [
              'tokens',
              figures(tokens.before),
              figures(tokens.after),
              share(tokens.after, tokens.before),
            ],
          ]
        : []),
    ],
    { caption: 'What went in and what came out' },
  );
}

function reasonsTable({ counts }: FinishedRun): Html {
  const rows = Object.entries(counts.reasons)
    .sort(([one, left], [other, right]) => right - left || (one < other ? -1 : 1))
    .map(([reason, n]) => [
      reason,
      n.toLocaleString('en-US'),
      percent(n / Math.max(1, counts.rowsIn)),
    ]);
  return table(['reason', 'rows', 'share'], rows, { caption: 'Rows by reason' });
}

function percent(share: number): string {
  return `${(100 * share).toFixed(share < 0.001 && share > 0 ? 3 : 1)} %`;
}

function groupSection(
  title: string,
  column: string | null,
  groups: ReadonlyMap<string, GroupSizes>,
  sampled: string,
): Section {
  if (column === null) return { title, parts: [] };
  const rows = worstGroups(groups).map(
    ({ name, rows: n, dropped, charsIn, charsOut, removedShare }) => [
      name,
      n.toLocaleString('en-US'),
      dropped.toLocaleString('en-US'),
      shortCount(charsIn),
      shortCount(charsIn - charsOut),
      percent(removedShare),
    ],
  );
  const head = [
    title.toLowerCase().slice(0, -1),
    'rows',
    'dropped',
    'characters',
    'removed',
    'removed of them',
  ];
  return {
    title,
    parts: [
      table(head, rows, { caption: `${title} that lose the most characters` }),
      note(
        `Column ${column}, from ${sampled}; ${groups.size.toLocaleString('en-US')} different values.`,
      ),
    ],
  };
}

function unitsTable({ units }: FinishedRun): Html {
  const slowest = [...units]
    .sort((one, other) => other.seconds - one.seconds)
    .slice(0, MAX_UNIT_ROWS);
  const rows = slowest.map(({ unit, input, counts, seconds }) => [
    String(unit),
    input,
    counts.rowsIn.toLocaleString('en-US'),
    seconds.toFixed(1),
    shortCount(seconds > 0 ? counts.rowsIn / seconds : 0),
  ]);
  return table(['unit', 'input', 'rows', 'seconds', 'rows a second'], rows, {
    caption: `Units, the ${rows.length} slowest of ${units.length}`,
    texts: [1],
  });
}

function failures(run: FinishedRun): Html[] {
  const { counts, identity, units } = run;
  const nMissing = identity.units - units.length;
  const failed = Object.entries(counts.reasons).filter(([reason]) => !NO_FAILURES.test(reason));
  return [
    nMissing > 0
      ? note(
          `${nMissing} of ${identity.units} units are not committed: they failed, or the run is not finished. The same command goes on.`,
        )
      : note('Every unit of the plan is committed.'),
    note(
      counts.failed === 0
        ? 'No row failed.'
        : `${counts.failed.toLocaleString('en-US')} rows failed; their texts stay as they were. Reasons: ${failed.map(([reason, n]) => `${reason} ${n}`).join(', ')}.`,
    ),
  ];
}

/** Reasons of rows that were judged. */
const NO_FAILURES = /^(keep|edited|doc_refiner|chunk_.*|min_kept.*)$/;

function provenance({ identity, units }: FinishedRun): Html[] {
  const { versions, models, options, thresholds, inputs } = identity;
  const flat = [...flattened({ ...options })].map(([name, value]) => [name, value]);
  const shownInputs = inputs.slice(0, MAX_INPUT_ROWS);
  const files = units.flatMap((unit) => unit.files).length;
  return [
    table(
      ['part', 'version'],
      Object.entries(versions).map(([name, value]) => [name, String(value)]),
      { caption: 'Versions', texts: [1] },
    ),
    table(
      ['stage', 'file', 'bytes', 'SHA-256'],
      Object.entries(models).flatMap(([stage, model]) =>
        model ? [[stage, model.path, model.bytes.toLocaleString('en-US'), model.sha256]] : [],
      ),
      { caption: 'Models', texts: [1, 3] },
    ),
    table(
      ['threshold', 'value'],
      Object.entries(thresholds ?? {}).map(([name, value]) => [
        name,
        value === null ? '–' : String(value),
      ]),
      { caption: 'Thresholds' },
    ),
    table(['option', 'value'], flat, { caption: 'Options', texts: [1] }),
    table(
      ['input', 'bytes', 'fingerprint'],
      shownInputs.map(({ path, bytes, fingerprint }) => [
        path,
        bytes.toLocaleString('en-US'),
        fingerprint,
      ]),
      { caption: `Inputs, ${shownInputs.length} of ${inputs.length}`, texts: [2] },
    ),
    note(
      `${files.toLocaleString('en-US')} files were written; the ledger (_gristmill/units) has the SHA-256 of each.`,
    ),
  ];
}
