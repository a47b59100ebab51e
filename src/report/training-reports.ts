/**
 * Reports of runs that train or mix: their curves, what made them what they are, their losses. What a run has not written yet is
 * left out; files are read as the runs write them, and damage of one is an error that names it.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { figureText } from '../charts/elements.ts';
import { drawFigure, marginFor } from '../charts/figure.ts';
import { MUTED, seriesColour } from '../charts/theme.ts';
import { checkPlan } from '../continual/plan/config.ts';
import { resolvePlan } from '../continual/plan/resolve.ts';
import { planTimeline } from '../continual/plan/timeline.ts';
import { stageFigure } from '../continual/run/figure.ts';
import type { Checkpoint } from '../continual/run/lineage.ts';
import type { StageRecord } from '../continual/run/stage-loop.ts';
import type { StageSummary } from '../continual/run/stage-run.ts';
import { readLedgerJson } from '../durable-files.ts';
import { GristmillError } from '../errors.ts';
import type { AppliedMixture } from '../mixture/apply/apply.ts';
import type { ProxyRunRecord } from '../mixture/proxies/sweep-ledger.ts';
import { lossPlot } from '../train/loss-plot.ts';
import type { TrainRecord } from '../train/run-folder.ts';
import { figure, type Html, note, type Section, table } from './page.ts';
import { flattened, shortCount } from './values.ts';

/** Records of a trajectory that are read, at most. */
const MAX_RECORDS = 2_000_000;
const MAX_STAGES = 24;
const MAX_PROXIES = 512;
const MAX_ROWS = 60;

/** A report: sections of a page, and the same as data. */
export interface RunReport {
  readonly title: string;
  readonly data: Readonly<Record<string, unknown>>;
  readonly sections: readonly Section[];
}

/** Of `gristmill train`. */
export async function trainReport(dir: string): Promise<RunReport> {
  const identity = objectIn(join(dir, 'run.json'));
  const records = recordsIn<TrainRecord>(join(dir, 'losses.jsonl'));
  const points = (pick: (record: TrainRecord) => number | undefined) =>
    records.flatMap((record) => {
      const loss = pick(record);
      return loss === undefined ? [] : [{ step: record.step, loss }];
    });
  const training = points(({ loss }) => loss);
  const validation = points(({ validationLoss }) => validationLoss);
  const rates = points(({ lr }) => lr);
  const isFinished = existsSync(join(dir, 'model.gguf'));
  const last = records.reduce((most, { step }) => Math.max(most, step), 0);
  const data = {
    ...{ kind: 'train', out: dir, isFinished, steps: last, identity },
    loss: training.at(-1)?.loss ?? null,
    validationLoss: validation.at(-1)?.loss ?? null,
  };
  return {
    title: 'Training run',
    data,
    sections: [
      {
        title: 'Losses',
        parts: [
          note(
            isFinished ? `Finished after ${last} steps.` : `Not finished; ${last} steps are made.`,
          ),
          figure(await lossPlot('Losses over the step', training, validation)),
          table(
            ['data', 'first', 'last', 'least'],
            [
              ['training', ...lossCells(training)],
              ...(validation.length > 0 ? [['validation', ...lossCells(validation)]] : []),
            ],
            { caption: 'Losses, nats per target' },
          ),
        ],
      },
      { title: 'Learning rate', parts: rates.length > 1 ? [figure(await rateFigure(rates))] : [] },
      { title: 'What makes it this run', parts: [settings(identity)] },
    ],
  };
}

/** Of `gristmill continue run`. */
export async function continueReport(dir: string): Promise<RunReport> {
  const identity = objectIn(join(dir, 'run.json'));
  const lineageFile = join(dir, 'lineage.json');
  const checkpoints = existsSync(lineageFile)
    ? ((objectIn(lineageFile)['checkpoints'] as readonly Checkpoint[] | undefined) ?? [])
    : [];
  const stages = existsSync(join(dir, 'stages')) ? readdirSync(join(dir, 'stages')).sort() : [];
  const parts: Html[] = [];
  const summaries: StageSummary[] = [];
  for (const name of stages.slice(0, MAX_STAGES)) {
    const folder = join(dir, 'stages', name);
    const losses = join(folder, 'losses.jsonl');
    if (existsSync(losses)) {
      parts.push(figure(await stageFigure(`Stage ${name}`, recordsIn<StageRecord>(losses))));
    }
    const summary = join(folder, 'stage.json');
    if (existsSync(summary)) summaries.push(objectIn(summary) as unknown as StageSummary);
    else parts.push(note(`Stage ${name} is not finished.`));
  }
  if (stages.length > MAX_STAGES)
    parts.push(note(`The first ${MAX_STAGES} of ${stages.length} stages.`));
  const timeline = await timelineOf(identity);
  return {
    title: 'Continued pre-training',
    data: { kind: 'continue run', out: dir, identity, stages: summaries, checkpoints },
    sections: [
      { title: 'Plan', parts: timeline === null ? [] : [figure(timeline)] },
      { title: 'Stages', parts },
      { title: 'Losses and forgetting', parts: [stageTable(summaries)] },
      { title: 'Checkpoints', parts: [checkpointTable(checkpoints)] },
      { title: 'What makes it this run', parts: [settings(identity)] },
    ],
  };
}

/** Of `gristmill mix train`. */
export async function sweepReport(dir: string): Promise<RunReport> {
  const identity = objectIn(join(dir, 'sweep.json'));
  const folder = join(dir, 'runs');
  const names = existsSync(folder)
    ? readdirSync(folder).filter((name) => name.endsWith('.json'))
    : [];
  const runs = names
    .sort()
    .slice(0, MAX_PROXIES)
    .map((name) => objectIn(join(folder, name)) as unknown as ProxyRunRecord);
  const domains = namesIn(identity, 'domains', runs[0]?.weights.length ?? 0, 'domain');
  const targets = namesIn(identity, 'targets', runs[0]?.losses.length ?? 0, 'target');
  const head = [
    'proxy',
    ...domains.slice(0, 8),
    ...targets.slice(0, 6).map((name) => `loss ${name}`),
  ];
  const rows = runs
    .slice(0, MAX_ROWS)
    .map(({ id, weights, losses }) => [
      id,
      ...weights.slice(0, 8).map((weight) => weight.toFixed(3)),
      ...losses.slice(0, 6).map((loss) => loss.toFixed(4)),
    ]);
  const svg =
    runs.length > 0 && domains.length > 0 ? await sweepFigure(runs, domains, targets) : null;
  return {
    title: 'Sweep of proxies',
    data: { kind: 'mix train', out: dir, identity, nFinished: names.length, runs },
    sections: [
      {
        title: 'Proxies',
        parts: [
          note(`${names.length} proxies are finished.`),
          svg === null ? '' : figure(svg),
          rows.length > 0
            ? table(head, rows, {
                caption: `Weights and losses (nats per token), ${rows.length} of ${names.length}`,
              })
            : '',
        ],
      },
      { title: 'What makes it this sweep', parts: [settings(identity)] },
    ],
  };
}

/** Of `gristmill mix apply`. */
export async function mixtureReport(dir: string): Promise<RunReport> {
  const applied = objectIn(join(dir, '_mixture.json')) as unknown as AppliedMixture;
  const { domains, unit, rows, notes, files } = applied;
  const figures = (value: number): string => value.toLocaleString('en-US');
  return {
    title: 'Mixed corpus',
    data: { kind: 'mix apply', out: dir, ...applied },
    sections: [
      {
        title: 'Mixture',
        parts: [
          figure(await mixtureFigure(domains)),
          table(
            ['domain', 'asked for', 'came out', 'rows', 'characters', 'tokens', 'epochs'],
            domains
              .slice(0, MAX_ROWS)
              .map((domain) => [
                domain.name,
                percent(domain.weight),
                percent(domain.share),
                figures(domain.rows),
                shortCount(domain.chars),
                domain.tokens === null ? '–' : shortCount(domain.tokens),
                domain.epochs.toFixed(2),
              ]),
            { caption: `Domains, shares of ${unit}` },
          ),
          note(`${figures(rows)} rows in ${files.length} files.`),
        ],
      },
      { title: 'Notes', parts: notes.map(note) },
      {
        title: 'How it was made',
        parts: [
          settings(Object.fromEntries(Object.entries(applied).filter(([key]) => !SHOWN.has(key)))),
        ],
      },
    ],
  };
}

const SHOWN: ReadonlySet<string> = new Set(['domains', 'files', 'notes']);

function percent(share: number): string {
  return `${(100 * share).toFixed(2)} %`;
}

function lossCells(points: readonly { readonly loss: number }[]): string[] {
  const losses = points.map(({ loss }) => loss);
  const cell = (loss: number | undefined): string => (loss === undefined ? '–' : loss.toFixed(4));
  const least = losses.reduce((low, loss) => Math.min(low, loss), Number.POSITIVE_INFINITY);
  return [cell(losses[0]), cell(losses.at(-1)), cell(losses.length > 0 ? least : undefined)];
}

function settings(identity: object): Html {
  return table(['setting', 'value'], [...flattened(identity)], { caption: 'Settings', texts: [1] });
}

function rateFigure(
  rates: readonly { readonly step: number; readonly loss: number }[],
): Promise<string> {
  const every = Math.max(1, Math.ceil(rates.length / 1200));
  const line = rates
    .filter((_, at) => at % every === 0 || at === rates.length - 1)
    .map(({ step, loss }) => [step, loss]);
  return drawFigure((Plot) => ({
    title: 'Learning rate over the step',
    panels: [
      {
        width: 800,
        height: 180,
        chart: {
          marginLeft: 60,
          x: { label: 'step' },
          y: {
            ...{ label: 'learning rate', grid: true, ticks: 4 },
            tickFormat: (rate: number) => (rate === 0 ? '0' : rate.toExponential(1)),
          },
          marks: [Plot.line(line, { stroke: MUTED })],
        },
      },
    ],
  }));
}

/** The plan's own figure, where the run's record holds the plan. */
async function timelineOf(identity: Readonly<Record<string, unknown>>): Promise<string | null> {
  const { plan } = identity;
  if (plan === null || typeof plan !== 'object') return null;
  try {
    return await planTimeline(resolvePlan(checkPlan(plan as Parameters<typeof checkPlan>[0])));
  } catch (error) {
    // Sizes of its datasets are in the store that the run has made, and a plan may need them.
    if (error instanceof GristmillError) return null;
    throw error;
  }
}

function stageTable(stages: readonly StageSummary[]): Html {
  if (stages.length === 0) return '';
  const sets = [...new Set(stages.flatMap(({ losses }) => Object.keys(losses.annealed)))].slice(
    0,
    8,
  );
  const cell = (value: number | undefined): string =>
    value === undefined ? '–' : value.toFixed(4);
  return table(
    ['stage', 'steps', 'tokens', ...sets.flatMap((set) => [`loss ${set}`, `forgot ${set}`])],
    stages.map(({ stage, steps, tokens, losses, forgetting }) => [
      stage,
      steps.toLocaleString('en-US'),
      shortCount(tokens),
      ...sets.flatMap((set) => [cell(losses.annealed[set]), cell(forgetting?.[set])]),
    ]),
    {
      caption:
        'Losses at the end of stages, nats per token, and what was forgotten since the stage in front',
    },
  );
}

function checkpointTable(checkpoints: readonly Checkpoint[]): Html {
  if (checkpoints.length === 0) return '';
  return table(
    ['checkpoint', 'step', 'parent', 'file', 'SHA-256'],
    checkpoints
      .slice(0, MAX_ROWS)
      .map(({ id, step, parent, file, sha256 }) => [id, String(step), parent ?? '–', file, sha256]),
    { caption: 'Checkpoints', texts: [2, 3, 4] },
  );
}

function namesIn(
  identity: Readonly<Record<string, unknown>>,
  key: string,
  n: number,
  one: string,
): string[] {
  const found = identity[key];
  const names = Array.isArray(found) ? found : [];
  return Array.from({ length: n }, (_, at) =>
    typeof names[at] === 'string' ? (names[at] as string) : `${one} ${at + 1}`,
  );
}

/** A panel a target: its loss over the weight of each of a few domains. */
function sweepFigure(
  runs: readonly ProxyRunRecord[],
  domains: readonly string[],
  targets: readonly string[],
): Promise<string> {
  const shown = domains.slice(0, 8);
  return drawFigure((Plot) => ({
    title: 'Losses of proxies over the weights of domains',
    columns: 2,
    legend: shown.map((name, at) => ({ name, colour: seriesColour(at), mark: 'dot' as const })),
    panels: targets.slice(0, 6).map((target, at) => ({
      title: target,
      width: 430,
      height: 240,
      chart: {
        ...{ marginLeft: 52, marginBottom: 40 },
        x: { label: 'weight (share)', domain: [0, 1] },
        y: { label: 'loss (nats per token)', grid: true, ticks: 5 },
        marks: shown.map((_, domain) =>
          Plot.dot(runs, {
            ...{ x: (run: ProxyRunRecord) => run.weights[domain], y: (run) => run.losses[at] },
            ...{ fill: seriesColour(domain), r: 2 },
          }),
        ),
      },
    })),
  }));
}

function mixtureFigure(domains: AppliedMixture['domains']): Promise<string> {
  const shown = domains.slice(0, 40);
  const names = shown.map(({ name }, at) => ({ at, name: figureText(name) }));
  const bars = shown.flatMap(({ weight, share }, at) => [
    { at, kind: 0, value: weight },
    { at, kind: 1, value: share },
  ]);
  return drawFigure((Plot) => ({
    title: 'Shares of domains',
    legend: ['asked for', 'came out'].map((name, at) => ({ name, colour: seriesColour(at) })),
    panels: [
      {
        width: 760,
        height: 60 + 34 * shown.length,
        chart: {
          marginLeft: marginFor(names.map(({ name }) => name)),
          ...{ marginRight: 30, marginBottom: 40, marginTop: 6 },
          x: { label: 'share', grid: true },
          fy: {
            ...{ domain: names.map(({ at }) => at), label: null, padding: 0.2 },
            tickFormat: (at: number) => names[at]!.name,
          },
          y: { axis: null, domain: [0, 1] },
          marks: [0, 1].map((kind) =>
            Plot.barX(bars, {
              ...{ x: 'value', y: 'kind', fy: 'at', fill: seriesColour(kind) },
              filter: (bar: { kind: number }) => bar.kind === kind,
            }),
          ),
        },
      },
    ],
  }));
}

/** @throws RUN_LEDGER_INVALID for what is no object */
function objectIn(file: string): Readonly<Record<string, unknown>> {
  const value = readLedgerJson(file);
  if (value !== null && typeof value === 'object' && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw new GristmillError('RUN_LEDGER_INVALID', { file, reason: 'no JSON object' });
}

/** Lines of a log; a last one that is being written is left out. @throws RUN_LEDGER_INVALID */
function recordsIn<Entry>(file: string): Entry[] {
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1).slice(0, MAX_RECORDS);
  return lines.map((line, at) => {
    try {
      return JSON.parse(line) as Entry;
    } catch (cause) {
      const reason = `line ${at + 1} is no JSON`;
      throw new GristmillError('RUN_LEDGER_INVALID', { file, reason }, { cause });
    }
  });
}
