/** `gristmill cluster finish`: parsing and printing around finishRun(). */
import { Command } from 'commander';
import { count } from '../figures.ts';
import { finishRun, MAX_MISSING, type RunEnd } from '../refine/finish-run.ts';
import { placeOf } from '../refine/submit-run.ts';
import { hasBoard, onBoard, redisOption } from './cluster-redis.ts';
import { noticePrinter, untilInterrupted } from './interrupt.ts';
import { summaryTable } from './progress.ts';
import { printResult, say } from './say.ts';

const INTERRUPT_WORDS = { ending: 'stopping', ended: 'run the same command again' };
/** Units are missing. */
const INCOMPLETE = 3;

export function finishCommand(): Command {
  return new Command('finish')
    .description('check that every unit is there, remove what is of none, and add the counts up')
    .argument('<out>', 'output folder of the workers')
    .addOption(redisOption())
    .option('--json', 'print one JSON object instead of a table')
    .action(async (out: string, flags: { readonly json?: boolean; readonly redis?: string }) => {
      const { json } = flags;
      await untilInterrupted(INTERRUPT_WORDS, async (signal) => {
        const onNotice = noticePrinter(json ?? false);
        const finished = await finishRun(out, { onNotice, signal });
        printResult(json, finished, () => `${summaryTable(finished)}${endOf(finished)}`);
        if (hasBoard(flags)) await leaveBoard(out, finished, flags);
        if (finished.unitsDone < finished.units) process.exitCode = INCOMPLETE;
      });
    });
}

function endOf({ units, unitsDone, missing, orphans }: RunEnd): string {
  const lines: string[] = [];
  if (orphans > 0) lines.push(`removed: ${count(orphans)} files of no committed unit`);
  const nMissing = units - unitsDone;
  if (nMissing > 0) {
    const more = nMissing > MAX_MISSING ? ', …' : '';
    lines.push(`missing: ${count(nMissing)} units (${missing.join(', ')}${more})`);
    lines.push('start the workers again, then cluster finish');
  }
  return lines.map((line) => `${line}\n`).join('');
}

/** The run goes off the board, or the units that were set aside are named with their errors. */
async function leaveBoard(
  out: string,
  end: RunEnd,
  flags: { readonly redis?: string },
): Promise<void> {
  await onBoard(flags, async (board) => {
    for (const { id, out: place } of await board.runs()) {
      if (place !== placeOf(out)) continue;
      if (end.unitsDone === end.units) {
        await board.forget(id);
        continue;
      }
      for (const { unit, reason } of await board.failed(id))
        say(`unit ${unit} is set aside: ${reason}`);
    }
  });
}
