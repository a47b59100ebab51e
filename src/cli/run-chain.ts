/** `gristmill run`: parsing and printing around runChain(). */
import { CHAIN_STAGES, readChain } from '../chain/config.ts';
import { chainReportText } from '../chain/report.ts';
import { type RunChainResult, runChain } from '../chain/run.ts';
import { count } from '../figures.ts';
import { escapeHidden } from '../printable.ts';
import { defined } from './flags.ts';
import { noticePrinter, untilInterrupted } from './interrupt.ts';
import { progressLine } from './progress-line.ts';
import { printResult } from './say.ts';

/** Flags of `run`. */
export interface ChainFlags {
  readonly out: string;
  readonly threads?: number;
  readonly json?: boolean;
}

/** The action of `run`. */
export async function runChainCommand(file: string, flags: ChainFlags): Promise<void> {
  const { out, threads, json = false } = flags;
  const chain = readChain(file);
  const line = progressLine(json, { atOnce: true });
  const words = {
    ending: 'finishing what is under way',
    ended: 'run the same command again to finish',
  };
  try {
    await untilInterrupted(words, async (signal) => {
      const result = await runChain(chain, {
        ...{ out, file, signal, onNotice: noticePrinter(json) },
        ...defined({ nThreads: threads }),
        onProgress: ({ stage, what, done, total }) =>
          line.update(
            `stage ${CHAIN_STAGES.indexOf(stage) + 1} of ${CHAIN_STAGES.length}, ${stage}: ${what}, ${count(done)} of ${count(total)}`,
            { done, total },
          ),
      });
      line.stop();
      printResult(json, result, () => resultText(result));
      if (result.interrupted) process.exitCode = 130;
    });
  } finally {
    line.stop();
  }
}

function resultText({ report, resumed, done, out }: RunChainResult): string {
  const stages = `done before: ${resumed.join(', ') || 'nothing'}; now: ${done.join(', ') || 'nothing'}\n`;
  if (!report) return `${stages}interrupted: run the same command again to finish\n`;
  const text = chainReportText(report)
    .split('\n')
    .map((text) => escapeHidden(text))
    .join('\n');
  return `${text}\n${stages}${escapeHidden(out)}\n`;
}
