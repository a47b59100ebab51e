/** `gristmill train`: parsing and printing around trainModel(). */
import { checkTrainConfig, readTrainConfig } from '../train/config.ts';
import type { TrainProgress, TrainSummary } from '../train/run-types.ts';
import { trainModel } from '../train/train-run.ts';
import { onInterrupt } from './interrupt.ts';
import { progressLine } from './progress-line.ts';
import { columns, printResult } from './say.ts';

/** Flags of `gristmill train`. */
export interface TrainFlags {
  readonly out?: string;
  readonly precision?: string;
  readonly json?: boolean;
}

/** The action of `gristmill train`. */
export async function train(
  file: string,
  { out, precision, json = false }: TrainFlags,
): Promise<void> {
  const controller = new AbortController();
  const restore = onInterrupt(controller, 'finishing the step under way');
  const printer = progressLine(json, { atOnce: true });
  try {
    const read = readTrainConfig(file);
    const config = precision === undefined ? read : checkTrainConfig({ ...read, precision }, file);
    const summary = await trainModel(out === undefined ? config : { ...config, out }, {
      signal: controller.signal,
      onProgress: (progress) => {
        if (progress.validationLoss !== undefined) printer.keep(text(progress));
        else printer.update(text(progress), { done: progress.step, total: progress.totalSteps });
      },
      onPhase: printer.keep,
    });
    printer.stop();
    printResult(json, summary, () => summaryText(summary));
    if (summary.interrupted) process.exitCode = 130;
  } finally {
    printer.stop();
    restore();
  }
}

function text(progress: TrainProgress): string {
  const { step, totalSteps, loss, lr, validationLoss, tokensPerSecond } = progress;
  const figures = [
    loss === undefined ? null : `loss ${loss.toFixed(4)}`,
    validationLoss === undefined ? null : `validation ${validationLoss.toFixed(4)}`,
    lr === undefined ? null : `lr ${lr.toExponential(2)}`,
    `${Math.round(tokensPerSecond).toLocaleString('en')} tokens/s`,
  ];
  return `step ${step} of ${totalSteps} | ${figures.filter((part) => part !== null).join(' | ')}`;
}

function summaryText(summary: TrainSummary): string {
  const rows: [string, string][] = [
    ['parameters', summary.nParams.toLocaleString('en')],
    [
      'steps',
      `${summary.steps}${summary.resumedAt > 0 ? ` (resumed at ${summary.resumedAt})` : ''}`,
    ],
    [summary.validation ? 'lines' : 'tokens of data', summary.nTokens.toLocaleString('en')],
    ...Object.entries(summary.skipped).map(([what, count]): [string, string] => [
      'left out',
      `${count} ${what}`,
    ]),
    ['loss', summary.loss?.toFixed(4) ?? '-'],
    ...(summary.validationLoss === null
      ? []
      : [['validation loss', summary.validationLoss.toFixed(4)] satisfies [string, string]]),
    ...Object.entries(summary.validation ?? {}).map(([copy, measures]): [string, string] => [
      `${copy} pages`,
      `macro-F1 ${measures.macroF1.toFixed(3)}, noise removed at 0.99 ${measures.noiseCharsRemovedAt['0.99']?.toFixed(3)}`,
    ]),
    summary.interrupted
      ? ['interrupted', 'run the same command again to finish']
      : ['model', summary.model],
  ];
  return columns(rows);
}
