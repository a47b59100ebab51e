/** `gristmill show`: documents of a finished run before and after, in the terminal. */
import { spawn } from 'node:child_process';
import {
  type ChosenOptions,
  type ChosenRow,
  rowCondition,
  showRun,
} from '../report/chosen-rows.ts';
import { type ColourChoice, painter, wantsColour } from './colour.ts';
import { untilInterrupted } from './interrupt.ts';
import { progressLine, tellOn } from './progress-line.ts';
import { cutText, type DiffView, diffText, removedText } from './terminal-diff.ts';

/** Flags of `gristmill show`. */
export interface ShowFlags {
  readonly sample?: number;
  readonly seed?: number;
  readonly where?: readonly string[];
  readonly sort?: 'row' | 'score' | 'share';
  readonly id?: string;
  readonly context: number;
  readonly color: ColourChoice;
  readonly pager: boolean;
  readonly json?: boolean;
}

const INTERRUPT_WORDS = { ending: 'stopping', ended: 'nothing was changed' };
const MAX_WIDTH = 2_000;
const MAX_LINES = 5_000;

/** The action of `gristmill show`. */
export function showDocuments(dir: string, flags: ShowFlags): Promise<void> {
  return untilInterrupted(INTERRUPT_WORDS, (signal) => show(dir, flags, signal));
}

async function show(dir: string, flags: ShowFlags, signal: AbortSignal): Promise<void> {
  const { sample, seed, sort, id, context, color, pager, json } = flags;
  const where = (flags.where ?? []).map(rowCondition);
  using line = progressLine(json);
  const wanted: ChosenOptions = {
    ...{ signal, onProgress: tellOn(line) },
    where: id === undefined ? where : [...where, { field: 'id', operator: '=', value: id }],
    ...(sample !== undefined && { sample }),
    ...(seed !== undefined && { seed }),
    ...(sort !== undefined && { sort }),
  };
  const documents = await showRun(dir, wanted);
  line.stop();
  if (json) {
    const plain = documents.map(
      ({ row: { values: _, original: __, text: ___, ...row }, ...texts }) => {
        return { ...row, ...texts };
      },
    );
    process.stdout.write(`${JSON.stringify({ documents: plain })}\n`);
    return;
  }
  const hasColour = wantsColour(process.stdout, color);
  const paint = painter(hasColour);
  const view = { paint, hasColour, maxWidth: MAX_WIDTH, maxLines: MAX_LINES, context };
  const text = documents.map((document) => `${documentText(document, view)}\n`).join('\n');
  const said = text === '' ? 'No document meets the conditions.\n' : text;
  if (pager && process.stdout.isTTY && (await paged(said))) return;
  process.stdout.write(said);
}

function documentText({ row, before, after, removedShare }: ChosenRow, view: DiffView): string {
  const { status, reason, score, unit, id } = row;
  const place = row.row === null ? `unit ${unit}, row ${row.position} of it` : `row ${row.row}`;
  const name = id === null ? place : `${place} (${cutText(id, 200)})`;
  const facts = [
    reason === null || reason === status ? null : reason,
    score === null ? null : `score ${score.toFixed(3)}`,
    removedShare === null || status !== 'edited'
      ? null
      : `${(100 * removedShare).toFixed(1)} % of characters removed`,
  ].filter((fact) => fact !== null);
  const head = `${view.paint('bold', name)} ${status}${facts.length > 0 ? ` (${cutText(facts.join(', '), 300)})` : ''}`;
  if (before === null) return `${head}\n  (no text)`;
  if (status === 'dropped') return [head, ...removedText(before, view)].join('\n');
  if (status !== 'edited') {
    const lines = before.split('\n').slice(0, view.maxLines);
    return [head, ...lines.map((line) => `  ${cutText(line, view.maxWidth)}`)].join('\n');
  }
  const { summary, lines } = diffText(before, after ?? '', view);
  return [`${head}: ${summary}`, ...lines].join('\n');
}

/** @returns whether a pager has shown it */
function paged(text: string): Promise<boolean> {
  return new Promise((resolve) => {
    // -F: what fits on a screen is printed; -X: and stays there.
    const less = spawn('less', ['-R', '-F', '-X'], { stdio: ['pipe', 'inherit', 'inherit'] });
    less.on('error', () => resolve(false));
    less.on('close', () => resolve(true));
    // Whoever leaves the pager has seen enough.
    less.stdin.on('error', () => undefined);
    less.stdin.end(text);
  });
}
