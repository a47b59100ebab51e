/** `gristmill cluster finish`: parsing and printing around the ends of runs of every kind. */
import { finishAnnotation } from '../annotate/ranges/finish-annotation.ts';
import { commandAt } from '../corpus/own-folders.ts';
import { count } from '../figures.ts';
import { finishSweep } from '../mixture/proxies/finish-sweep.ts';
import type { OnProgress } from '../progress.ts';
import { finishRun } from '../refine/finish-run.ts';
import type { TakeLeaseOptions } from '../work/lease.ts';
import { placeOf } from '../work/open-output.ts';
import { hasBoard, onBoard } from './cluster-redis.ts';
import { noticePrinter, untilInterrupted } from './interrupt.ts';
import { summaryTable } from './progress.ts';
import { progressLine, tellOn } from './progress-line.ts';
import { columns, printResult, say } from './say.ts';

const INTERRUPT_WORDS = { ending: 'stopping', ended: 'run the same command again' };
/** Units are missing. */
const INCOMPLETE = 3;

/** What the ends of all kinds have in common. */
interface AnyEnd {
  readonly units: number;
  readonly unitsDone: number;
  /** The first of them. */
  readonly missing: readonly (number | string)[];
  readonly orphans: number;
}

/** An end with what is printed of it. */
interface Ended {
  readonly end: AnyEnd;
  readonly text: string;
}

/** Flags of `cluster finish`. */
export interface FinishFlags {
  readonly json?: boolean;
  readonly redis?: string;
}

/** The action of `cluster finish`. */
export async function finish(out: string, flags: FinishFlags): Promise<void> {
  const { json } = flags;
  await untilInterrupted(INTERRUPT_WORDS, async (signal) => {
    const onNotice = noticePrinter(json ?? false);
    using line = progressLine(json);
    const { end, text } = await finishAny(out, { onNotice, signal, onProgress: tellOn(line) });
    line.stop();
    printResult(json, end, () => `${text}${endOf(end)}`);
    if (hasBoard(flags)) await leaveBoard(out, end, flags);
    if (end.unitsDone < end.units) process.exitCode = INCOMPLETE;
  });
}

/** Finishes whatever lies in an output. */
async function finishAny(
  out: string,
  { onProgress, ...options }: TakeLeaseOptions & { readonly onProgress: OnProgress },
): Promise<Ended> {
  const command = await commandAt(out);
  if (command === 'mix train') {
    const end = await finishSweep(out, { ...options, onProgress });
    const failed = end.failures.map(({ run, code, message }) => [
      'failed',
      `${run}: ${code}: ${message}`,
    ]);
    const rows = [['proxies', `${end.unitsDone} of ${end.units}`], ...failed];
    return { end, text: columns([...rows, ['losses', end.losses ?? 'none']]) };
  }
  if (command === 'annotate') {
    const end = await finishAnnotation(out, { ...options, onProgress });
    const { counts } = end;
    const rows = [
      ['ranges', `${count(end.unitsDone)} of ${count(end.units)}`],
      ['documents', count(counts.rowsIn)],
      ['requests', count(counts.requests)],
      ['failed', count(counts.failed)],
      ['prompt tokens', count(counts.promptTokens)],
      ['answer tokens', count(counts.answerTokens)],
      ['set', end.statistics === null ? 'none' : out],
    ];
    return { end, text: columns(rows) };
  }
  const end = await finishRun(out, { ...options, onProgress });
  return { end, text: summaryTable(end) };
}

function endOf({ units, unitsDone, missing, orphans }: AnyEnd): string {
  const lines: string[] = [];
  if (orphans > 0) lines.push(`removed: ${count(orphans)} files of no committed unit`);
  const nMissing = units - unitsDone;
  if (nMissing > 0) {
    const more = nMissing > missing.length ? ', …' : '';
    lines.push(`missing: ${count(nMissing)} units (${missing.join(', ')}${more})`);
    lines.push('start the workers again, then cluster finish');
  }
  return lines.map((line) => `${line}\n`).join('');
}

/** The run goes off the board, or the units that were set aside are named with their errors. */
async function leaveBoard(
  out: string,
  end: AnyEnd,
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
