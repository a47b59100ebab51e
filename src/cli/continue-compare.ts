/** `gristmill continue compare`: parsing and printing around comparisons of stages. */
import {
  type ComparedLoss,
  compareStages,
  type StageComparison,
  TEXTS,
} from '../continual/compare/compare-stages.ts';
import { printable } from '../errors.ts';
import { defined } from './flags.ts';
import { noticePrinter, untilInterrupted } from './interrupt.ts';
import { table } from './mix-output.ts';
import { progressLine, tellOn } from './progress-line.ts';
import { printResult } from './say.ts';

/** Flags of `continue compare`. */
export interface CompareStagesFlags {
  readonly candidate?: string;
  readonly against?: string;
  readonly data?: readonly string[];
  readonly textColumn?: string;
  readonly json?: boolean;
}

/** The action of `continue compare`. */
export async function compareStagesCommand(
  runs: readonly string[],
  flags: CompareStagesFlags,
): Promise<void> {
  const { json, candidate, against, data, textColumn } = flags;
  await untilInterrupted({ ending: 'stopping', ended: 'nothing was compared' }, async (signal) => {
    using line = progressLine(json);
    const comparison = await compareStages({
      ...{ runs, signal, onProgress: tellOn(line), onNotice: noticePrinter(json ?? false) },
      ...defined({ candidate, against, data, textColumn }),
    });
    line.stop();
    printResult(json, comparison, () => comparisonText(comparison));
  });
}

function comparisonText({ candidate, against, losses, notes, nRuns }: StageComparison): string {
  const rows = losses.map((loss) => [
    loss.set === TEXTS ? 'texts, nats a byte' : `${printable(loss.set)}, nats a token`,
    loss.candidate.toFixed(4),
    loss.against.toFixed(4),
    signed(loss.mean),
    loss.low === null || loss.high === null ? '-' : `${signed(loss.low)}..${signed(loss.high)}`,
    verdictText(loss),
  ]);
  const head = ['loss', printable(candidate), printable(against), 'difference', '90 % interval'];
  const many = nRuns === 1 ? 'one run' : `${nRuns} runs`;
  return `${table([[...head, 'verdict'], ...rows])}${many}\n${notes.map((note) => `note: ${note}\n`).join('')}`;
}

function verdictText({ verdict, pairs, nPairs }: ComparedLoss): string {
  const of = `${nPairs} ${nPairs === 1 ? pairs.slice(0, -1) : pairs}`;
  return verdict === 'undecided' ? `not decided by ${of}` : `${verdict}, by ${of}`;
}

function signed(value: number): string {
  return `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(4)}`;
}
