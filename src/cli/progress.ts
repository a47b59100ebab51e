/**
 * Progress and the closing table: a bar on a terminal, a plain line every ten seconds elsewhere, nothing with --json.
 * Everything but the table goes to stderr.
 */

import { count } from '../figures.ts';
import { escapeHidden, printableLines } from '../printable.ts';
import type { RefineProgress } from '../refine/run-options.ts';
import type { RunSummary } from '../refine/statistics.ts';
import { isQuiet, say } from './say.ts';

/** Where progress goes. */
export interface ProgressPrinter {
  update(progress: RefineProgress): void;
  notice(line: string): void;
  stop(): void;
}

const PLAIN_EVERY_MS = 10_000;
/** Share of the work that must be done before it says how long the rest takes. */
const LEAST_SHARE = 0.02;

/** A printer for stderr. */
export async function progressPrinter({
  json,
}: {
  readonly json: boolean;
}): Promise<ProgressPrinter> {
  const stream = process.stderr;
  const silent: ProgressPrinter = { update: () => {}, notice: () => {}, stop: () => {} };
  if (json || isQuiet()) return silent;
  if (!stream.isTTY) {
    let last = 0;
    return {
      ...silent,
      notice: say,
      update: (progress) => {
        if (progress.done || Date.now() - last >= PLAIN_EVERY_MS) {
          last = Date.now();
          stream.write(`gristmill: ${progressLine(progress)}\n`);
        }
      },
    };
  }
  const { Presets, SingleBar } = await import('cli-progress');
  const bar = new SingleBar(
    {
      stream,
      format: ' {bar} {percentage}% | {line}',
      hideCursor: true,
      barsize: 24,
      etaAsynchronousUpdate: false,
    },
    Presets.rect,
  );
  let started = false;
  return {
    notice: (line) => {
      if (started) bar.stop();
      say(line);
      started = false;
    },
    update: (progress) => {
      const { total, done, payload } = fields(progress);
      if (!started) bar.start(total, done, payload);
      else bar.update(done, payload);
      bar.setTotal(total);
      started = true;
    },
    stop: () => {
      if (started) bar.stop();
      started = false;
    },
  };
}

function fields(progress: RefineProgress) {
  const { rows, nRows, bytes, nBytes, seconds, docsPerSecond, tokensPerSecond } = progress;
  const byRows = nRows !== null;
  const done = byRows ? rows : bytes;
  const total = Math.max(byRows ? nRows : nBytes, done, 1);
  const fresh = done - (byRows ? progress.rowsResumed : progress.bytesResumed);
  const parts = [`${count(rows)} docs`, `${docsPerSecond.toFixed(1)}/s`];
  if (progress.newTokens > 0) parts.push(`${count(Math.round(tokensPerSecond))} tokens/s`);
  if (rows > 0)
    parts.push(`kept ${((100 * (progress.kept + progress.edited)) / rows).toFixed(1)}%`);
  // What the first batch took, models and all, says nothing of the rest; nor do bytes of units that are not done.
  if (fresh >= LEAST_SHARE * (total - done + fresh)) {
    parts.push(`ETA ${duration((seconds * (total - done)) / fresh)}`);
  }
  return { total, done, payload: { line: parts.join(' | ') } };
}

/** Progress in one line. */
export function progressLine(progress: RefineProgress): string {
  const { total, done, payload } = fields(progress);
  const percent = ((100 * done) / total).toFixed(1);
  return `${percent}% | ${payload.line}`;
}

/** Seconds as 1h02m03s. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '?';
  const whole = Math.round(seconds);
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60] as const;
  if (parts[0] > 0) return `${parts[0]}h${pad(parts[1])}m${pad(parts[2])}s`;
  return parts[1] > 0 ? `${parts[1]}m${pad(parts[2])}s` : `${parts[2]}s`;
}

function pad(value: number): string {
  return String(value).padStart(2, '0');
}

/** Reasons that say no more than a status, with the rows of that status. */
const SAME_AS: Readonly<Record<string, ((summary: RunSummary) => number) | undefined>> = {
  edited: ({ edited }) => edited,
  keep: ({ kept }) => kept,
};

/** What documents and lines had to score. */
function thresholdRows({ thresholds }: RunSummary): [string, string, string][] {
  const rows: [string, string, string][] = [];
  if (thresholds.document !== null) {
    rows.push(['document threshold', thresholds.document.toFixed(3), '']);
  }
  if (thresholds.line !== null) rows.push(['line threshold', thresholds.line.toFixed(3), '']);
  return rows;
}

/** Share of dropped documents from which on a word is said, and the least rows for it. */
const MANY_DROPPED = { share: 0.2, rows: 50 } as const;

/** What to try when a document model drops far more than the documents to keep that it dropped in validation. */
function dropAdvice({ reasons, rowsIn, thresholds }: RunSummary): string | null {
  const { document, documentRetention } = thresholds;
  const dropped = (reasons['doc_refiner'] ?? 0) / rowsIn;
  if (document === null || documentRetention === null) return null;
  if (rowsIn < MANY_DROPPED.rows || dropped < MANY_DROPPED.share) return null;
  const percent = (share: number): string => `${(100 * share).toFixed(1)}%`;
  return [
    `note: ${percent(dropped)} of the documents scored below ${document.toFixed(3)} and were dropped; in validation`,
    `it was ${percent(1 - documentRetention)} of those worth keeping. Look at some (--show 5): where they are good, keep all documents`,
    '(--stages chunk) or lower the threshold (--doc-threshold)',
  ].join('\n');
}

/** The closing table of a run. */
export function summaryTable(summary: RunSummary): string {
  const share = (rows: number): string =>
    summary.rowsIn === 0 ? '' : `${((100 * rows) / summary.rowsIn).toFixed(1)}%`;
  const rows: [string, string, string][] = [
    ['rows in', count(summary.rowsIn), ''],
    ['kept', count(summary.kept), share(summary.kept)],
    ['edited', count(summary.edited), share(summary.edited)],
    ['dropped', count(summary.dropped), share(summary.dropped)],
    ['failed', count(summary.failed), share(summary.failed)],
    ...Object.entries(summary.reasons)
      .filter(([reason, n]) => SAME_AS[reason]?.(summary) !== n)
      .map(([reason, n]): [string, string, string] => [
        `  ${escapeHidden(reason)}`,
        count(n),
        share(n),
      ]),
    ['chars in', count(summary.charsIn), ''],
    [
      'chars out',
      count(summary.charsOut),
      summary.charsIn === 0 ? '' : `${((100 * summary.charsOut) / summary.charsIn).toFixed(1)}%`,
    ],
    ...thresholdRows(summary),
    ['windows', count(summary.windows), ''],
    [
      'units',
      summary.unitsDone === summary.units
        ? count(summary.units)
        : `${count(summary.unitsDone)} of ${count(summary.units)}`,
      summary.unitsResumed > 0 ? `${summary.unitsResumed} resumed` : '',
    ],
    ['time', duration(summary.seconds), ''],
    ['docs/s', summary.docsPerSecond.toFixed(1), ''],
  ];
  if (summary.newTokens > 0)
    rows.push(['tokens/s', count(Math.round(summary.tokensPerSecond)), '']);
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map(([name, value, note]) =>
    `${name.padEnd(widths[0]!)}  ${value.padStart(widths[1]!)}  ${note}`.trimEnd(),
  );
  for (const error of summary.errors) {
    const { input, code, message } = error;
    lines.push(
      `failed: ${escapeHidden(input)}: ${code}: ${printableLines(message).replaceAll('\n', '\n  ')}`,
    );
  }
  const advice = dropAdvice(summary);
  if (advice !== null) lines.push(advice);
  if (summary.interrupted) lines.push('interrupted: run the same command again to finish');
  return `${lines.join('\n')}\n`;
}
