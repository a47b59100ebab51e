/** `gristmill train`: parsing and printing around trainModel(). */
import { Command } from 'commander';
import { readTrainConfig } from '../train/config.ts';
import type { TrainProgress, TrainSummary } from '../train/run-types.ts';
import { trainModel } from '../train/train-run.ts';
import { onInterrupt } from './interrupt.ts';
import { columns, printResult, replaceLine, say } from './say.ts';

interface Flags {
  readonly out?: string;
  readonly json?: boolean;
}

const PLAIN_EVERY_MS = 10_000;

export function trainCommand(): Command {
  return new Command('train')
    .description('train a model from a configuration (YAML); the same command resumes')
    .argument('<config>', 'configuration file; README.md lists its keys')
    .option('--out <dir>', 'folder of the run, instead of the configuration’s')
    .option('--json', 'print one JSON object instead of lines')
    .action(async (file: string, { out, json = false }: Flags) => {
      const controller = new AbortController();
      const restore = onInterrupt(controller, 'finishing the step under way');
      const printer = progressLine(json);
      try {
        const config = readTrainConfig(file);
        const summary = await trainModel(out === undefined ? config : { ...config, out }, {
          signal: controller.signal,
          onProgress: printer.update,
          onPhase: printer.phase,
        });
        printer.stop();
        printResult(json, summary, () => summaryText(summary));
        if (summary.interrupted) process.exitCode = 130;
      } finally {
        printer.stop();
        restore();
      }
    });
}

/** One line that is rewritten on a terminal, a line every ten seconds elsewhere. */
function progressLine(json: boolean) {
  const stream = process.stderr;
  let last = 0;
  let open = false;
  return {
    update: (progress: TrainProgress): void => {
      if (json) return;
      const isEnd = progress.step === progress.totalSteps;
      if (stream.isTTY) {
        replaceLine(stream, text(progress));
        open = true;
      } else if (
        isEnd ||
        progress.validationLoss !== undefined ||
        Date.now() - last >= PLAIN_EVERY_MS
      ) {
        last = Date.now();
        say(text(progress));
      }
    },
    phase: (line: string): void => {
      if (json) return;
      if (open) stream.write('\n');
      open = false;
      say(line);
    },
    stop: (): void => {
      if (open) stream.write('\n');
      open = false;
    },
  };
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
