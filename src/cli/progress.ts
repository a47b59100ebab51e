/**
 * Progress and the closing table: a bar on a terminal, a plain line every ten seconds elsewhere, nothing with --json.
 * Everything but the table goes to stderr.
 */
import { Presets, SingleBar } from 'cli-progress';
import type { RefineProgress } from '../refine/run-options.ts';
import type { RunSummary } from '../refine/statistics.ts';

/** Where progress goes. */
export interface ProgressPrinter {
  update(progress: RefineProgress): void;
  notice(line: string): void;
  stop(): void;
}

const PLAIN_EVERY_MS = 10_000;

/** A printer for stderr. */
export function progressPrinter({ json }: { readonly json: boolean }): ProgressPrinter {
  const stream = process.stderr;
  const silent: ProgressPrinter = { update: () => {}, notice: () => {}, stop: () => {} };
  if (json) return silent;
  if (!stream.isTTY) {
    let last = 0;
    return {
      ...silent,
      notice: (line) => stream.write(`gristmill: ${line}\n`),
      update: (progress) => {
        if (progress.done || Date.now() - last >= PLAIN_EVERY_MS) {
          last = Date.now();
          stream.write(`gristmill: ${plain(progress)}\n`);
        }
      },
    };
  }
  const bar = new SingleBar(
    {
      stream,
      format:
        ' {bar} {percentage}% | {rows} docs | {docs}/s | {tokens} tokens/s | kept {kept}% | ETA {left}',
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
      stream.write(`gristmill: ${line}\n`);
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
  const fresh = Math.max(done - (byRows ? progress.rowsResumed : progress.bytesResumed), 1);
  const left = (seconds * (total - done)) / fresh;
  const kept = rows === 0 ? 0 : (100 * (progress.kept + progress.edited)) / rows;
  const payload = {
    rows: rows.toLocaleString('en'),
    docs: docsPerSecond.toFixed(1),
    tokens: Math.round(tokensPerSecond).toLocaleString('en'),
    kept: kept.toFixed(1),
    left: duration(left),
  };
  return { total, done, payload };
}

function plain(progress: RefineProgress): string {
  const { total, done, payload } = fields(progress);
  const percent = ((100 * done) / total).toFixed(1);
  return `${percent}% | ${payload.rows} docs | ${payload.docs}/s | ${payload.tokens} tokens/s | kept ${payload.kept}% | ETA ${payload.left}`;
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

/** The closing table of a run. */
export function summaryTable(summary: RunSummary): string {
  const share = (rows: number): string =>
    summary.rowsIn === 0 ? '' : `${((100 * rows) / summary.rowsIn).toFixed(1)}%`;
  const rows: [string, string, string][] = [
    ['rows in', summary.rowsIn.toLocaleString('en'), ''],
    ['kept', summary.kept.toLocaleString('en'), share(summary.kept)],
    ['edited', summary.edited.toLocaleString('en'), share(summary.edited)],
    ['dropped', summary.dropped.toLocaleString('en'), share(summary.dropped)],
    ['failed', summary.failed.toLocaleString('en'), share(summary.failed)],
    ...Object.entries(summary.reasons).map(([reason, n]): [string, string, string] => [
      `  ${reason}`,
      n.toLocaleString('en'),
      share(n),
    ]),
    ['chars in', summary.charsIn.toLocaleString('en'), ''],
    [
      'chars out',
      summary.charsOut.toLocaleString('en'),
      summary.charsIn === 0 ? '' : `${((100 * summary.charsOut) / summary.charsIn).toFixed(1)}%`,
    ],
    ['windows', summary.windows.toLocaleString('en'), ''],
    [
      'units',
      `${summary.units}`,
      summary.unitsResumed > 0 ? `${summary.unitsResumed} resumed` : '',
    ],
    ['time', duration(summary.seconds), ''],
    ['docs/s', summary.docsPerSecond.toFixed(1), ''],
    ['tokens/s', Math.round(summary.tokensPerSecond).toLocaleString('en'), ''],
  ];
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map(([name, value, note]) =>
    `${name.padEnd(widths[0]!)}  ${value.padStart(widths[1]!)}  ${note}`.trimEnd(),
  );
  for (const error of summary.errors) {
    lines.push(`failed: ${error.input}: ${error.code}: ${error.message}`);
  }
  if (summary.interrupted) lines.push('interrupted: run the same command again to finish');
  return `${lines.join('\n')}\n`;
}
