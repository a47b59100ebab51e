/** `gristmill continue plan`: parsing and printing around plans; nothing is run. */

import { pngOf } from '../charts/png.ts';
import { readPlan } from '../continual/plan/config.ts';
import { PRESETS } from '../continual/plan/presets.ts';
import { type PlanReport, planReport, scheduleCsv } from '../continual/plan/report.ts';
import { resolvePlan } from '../continual/plan/resolve.ts';
import { planTimeline } from '../continual/plan/timeline.ts';
import { writeResult } from '../continual/write-result.ts';
import { GristmillError, printable } from '../errors.ts';
import { count } from '../figures.ts';
import { escapeHidden } from '../printable.ts';
import { counting } from '../progress.ts';
import { table } from './mix-output.ts';
import { progressLine, tellOn } from './progress-line.ts';
import { printResult } from './say.ts';

/** Flags of `continue plan`. */
export interface PlanFlags {
  readonly json?: boolean;
  readonly svg?: string;
  readonly png?: string;
  readonly scheduleCsv?: string;
  readonly presets?: boolean;
}

/** The action of `continue plan`. */
export async function plan(file: string | undefined, flags: PlanFlags): Promise<void> {
  const { json } = flags;
  if (flags.presets) {
    printResult(json, PRESETS, () => presetsText());
    return;
  }
  if (file === undefined) {
    const details = { option: 'plan.yaml', expected: 'a file, or --presets', received: 'neither' };
    throw new GristmillError('OPTION_INVALID', details);
  }
  const resolved = resolvePlan(readPlan(file), { file });
  using line = progressLine(json);
  const drawn = [flags.svg, flags.png].filter((path) => path !== undefined);
  if (drawn.length > 0) {
    const tell = counting(tellOn(line), {
      ...{ phase: 'drawing', unit: 'pictures', total: drawn.length },
    });
    const svg = await planTimeline(resolved);
    for (const path of drawn) {
      writeResult(path, path === flags.svg ? svg : await pngOf(svg));
      tell();
    }
  }
  if (flags.scheduleCsv) writeResult(flags.scheduleCsv, scheduleCsv(resolved, tellOn(line)));
  line.stop();
  const report = planReport(resolved);
  printResult(json, report, () => planText(report));
}

function planText({ name, stages, totals, notes, retention, ...step }: PlanReport): string {
  const overview = [
    ['stage', 'starts from', 'steps', 'tokens', 'learning rate', 'peak', 'last', 'optimizer'],
    ...stages.map((stage) => [
      stage.done ? `${stage.name} (done)` : stage.name,
      stage.from ? `${stage.from.stage}, ${stage.from.checkpoint}` : 'first weights',
      count(stage.nSteps),
      count(stage.nTokens),
      stage.schedule.kind,
      figure(stage.rates.peak),
      figure(stage.rates.last),
      stage.optimizer,
    ]),
  ];
  const data = [
    ['stage', 'data', 'kind', 'share', 'sequences', 'tokens'],
    ...stages.flatMap(({ name: stage, sources, segments }) =>
      sources.map(({ dataset, kind, share, nSequences, nTokens }, at) => {
        // With one blend its own weights, which whole sequences only come near.
        const planned = segments.length === 1 ? segments[0]!.sources[at]!.weight : share;
        return [
          at === 0 ? stage : '',
          ...[dataset, kind, percent(planned), count(nSequences), count(nTokens)],
        ];
      }),
    ),
  ];
  const merging = stages.flatMap(({ name: stage, merge }) => (merge ? [{ stage, ...merge }] : []));
  const merges = [
    ['stage', 'merged as', 'checkpoints', 'every', 'from step', 'largest weight'],
    ...merging.map(({ stage, shape, steps, every, weights }) => [
      stage,
      shape,
      ...[steps.length, every, steps[0]!].map(count),
      figure(Math.max(...weights)),
    ]),
  ];
  const sized = stages.flatMap(({ name: stage, batches }) => (batches ? [{ stage, batches }] : []));
  const sizes = [
    ['stage', 'sequences a step', 'steps'],
    ...sized.flatMap(({ stage, batches }) =>
      batches.map(({ firstStep, endStep, sequencesPerStep }, at) => [
        at === 0 ? stage : '',
        count(sequencesPerStep),
        `${count(firstStep + 1)}..${count(endStep)}`,
      ]),
    ),
  ];
  const changing = stages.filter(({ segments }) => segments.length > 1);
  const blends = [
    ['stage', 'steps', 'blend'],
    ...changing.flatMap(({ name: stage, segments }) =>
      segments.map(({ firstStep, endStep, sources }, at) => [
        at === 0 ? stage : '',
        `${count(firstStep + 1)}..${count(endStep)}`,
        sources
          .map(
            ({ dataset, kind, weight }) =>
              `${dataset}${kind === 'replay' ? ' (replay)' : ''} ${percent(weight)}`,
          )
          .join(', '),
      ]),
    ),
  ];
  const { tokens, retrainTokens, computeRatio } = totals;
  return [
    `${printable(name)}: ${count(step.sequencesPerStep)} sequences of ${count(step.nCtx)} tokens a step, ${count(step.tokensPerStep)} tokens\n`,
    table(overview),
    table(data),
    ...(changing.length > 0 ? [table(blends)] : []),
    ...(sized.length > 0 ? [table(sizes)] : []),
    ...(merging.length > 0 ? [table(merges)] : []),
    retentionText(retention),
    `compute: ${count(tokens)} tokens are run; training anew on everything at every stage would take ${count(retrainTokens)}; ratio ${figure(computeRatio)}\n${notes.map((note) => `note: ${escapeHidden(note)}\n`).join('')}`,
  ].join('\n');
}

/** Where data weigh most in the models that a plan ends with. */
function retentionText(retention: PlanReport['retention']): string {
  const rows = retention.map(({ stage, first, stages, best }) => [
    stage,
    stages.map(({ stage: name, share }) => `${name} ${percent(rounded(share))}`).join(', '),
    percent(rounded(first)),
    `${count(best.firstStep + 1)}..${count(best.endStep)}`,
    ...[best.share, best.lastShare].map((share) => percent(rounded(share))),
  ]);
  const heads = ['model of', 'updates kept of', 'first weights left', 'best tenth', 'weighs'];
  return table([[...heads, 'its last tenth'], ...rows]);
}

function rounded(share: number): number {
  return Number(share.toPrecision(3));
}

function presetsText(): string {
  return Object.entries(PRESETS)
    .map(([name, { source, does, advised, against }]) =>
      [
        `${name} (${source})`,
        `  ${does}`,
        `  advised: ${advised}`,
        `  against: ${against}`,
        '',
      ].join('\n'),
    )
    .join('\n');
}

function percent(share: number): string {
  return `${Number((share * 100).toPrecision(8))} %`;
}

function figure(value: number): string {
  return String(Number(value.toPrecision(4)));
}
