/**
 * Case `sites`: what counting the lines of a corpus by site costs, as an operator starts it: the command on a file, all
 * processes counted.
 *
 * Contenders in turn, round by round, so that what else the machine does falls on all: this package on JSON lines and on
 * Parquet, an earlier commit of it (GRISTMILL_BASELINE: a folder where that commit is built), DuckDB with the same count in
 * SQL, and the signature stage of datatrove's sentence deduplication (installed on demand, see python-contenders.ts), which
 * hashes and sorts lines and counts nothing yet.
 *
 * Text: $GRISTMILL_DATA/web-raw (default ../shared/data beside the package); without it the example corpus, repeated. A host
 * has twenty pages.
 */
import { createWriteStream, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { stringColumn } from '../../src/corpus/schema.ts';
import { openSink } from '../../src/corpus/sink.ts';
import { packageRoot } from '../../src/paths.ts';
import { pythonWith } from '../python-contenders.ts';
import type { Bench, BenchContext, BenchTable } from '../types.ts';
import { median } from './median.ts';
import { costOf, type ProcessCost } from './process-cost.ts';
import { pages } from './web-pages.ts';

const ROUNDS = { full: 3, quick: 1 };
const BYTES = { full: 200e6, quick: 20e6 };
const PAGES_OF_SITE = 20;
const GROUP_ROWS = 2000;
const MAIN = 'dist/cli/main.js';

export const bench: Bench = {
  name: 'sites',
  async run(context: BenchContext): Promise<BenchTable> {
    const folder = mkdtempSync(join(tmpdir(), 'gristmill-bench-sites-'));
    try {
      return await contenders(folder, context);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

async function contenders(folder: string, context: BenchContext): Promise<BenchTable> {
  const size = context.quick ? 'quick' : 'full';
  const texts = await pages(BYTES[size], context);
  const megabytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0) / 1e6;
  const [lines, parquet] = [join(folder, 'pages.jsonl'), join(folder, 'pages.parquet')];
  await writePages(texts, lines, parquet);
  let runs = 0;
  const out = (): string => join(folder, `out-${runs++}`);
  const count = (file: string, root = packageRoot) =>
    costOf([
      ...[process.execPath, join(root, MAIN), 'sites', 'count', file, '--site-column', 'url'],
      ...['--out', out(), '--threads', '1'],
    ]);
  const scripts = process.env['GRISTMILL_BENCH_FOLDER']!;
  const all = new Map<string, () => Promise<ProcessCost>>([
    ['gristmill, JSON lines', () => count(lines)],
    ['gristmill, Parquet', () => count(parquet)],
    [
      'DuckDB, JSON lines',
      () => costOf([process.execPath, join(scripts, 'duckdb-sites.mjs'), lines, out()]),
    ],
  ]);
  const notes = [
    `${texts.length.toLocaleString('en')} pages, ${megabytes.toFixed(1)} MB of text, ${PAGES_OF_SITE} pages a host; one thread; CPU-seconds of the whole process tree, start included; median of ${ROUNDS[size]} rounds in turn.`,
    'datatrove hashes and sorts lines of text (its default folds punctuation away); it counts none of them by site. DuckDB knows no copies of a page and no registered domains.',
  ];
  const before = process.env['GRISTMILL_BASELINE'];
  if (before === undefined) notes.push('No earlier commit: set GRISTMILL_BASELINE.');
  else all.set('gristmill before, JSON lines', () => count(lines, before));
  const python = pythonWith('datatrove-sites', ['datatrove[processing]', 'spacy'], context.log);
  if (python === null) notes.push('datatrove: not measured, it cannot be installed here.');
  else {
    const script = join(scripts, 'python', 'datatrove_signatures.py');
    all.set('datatrove, signatures of lines', () => costOf([python, script, lines, out()]));
  }
  const costs = new Map<string, ProcessCost[]>();
  for (let round = 0; round < ROUNDS[size]; round++) {
    for (const [name, run] of all) {
      try {
        const cost = await run();
        costs.set(name, [...(costs.get(name) ?? []), cost]);
        context.log(`round ${round + 1}, ${name}: ${cost.cpuSeconds.toFixed(2)} CPU s`);
      } catch (error) {
        all.delete(name);
        const said = (error as Error).message.trim().split('\n');
        const last = said.findLast((line) => line !== '' && !line.startsWith('cost '));
        context.log(`${name} does not run: ${last}`);
        notes.push(`${name}: not measured (${last}).`);
      }
    }
  }
  const cpuOf = (own: readonly ProcessCost[]): number =>
    median(own.map(({ cpuSeconds }) => cpuSeconds));
  const first = cpuOf(costs.get('gristmill, JSON lines')!);
  return {
    title: 'Counting lines by site',
    columns: ['contender', 'CPU s', 'MB per CPU-second', 'CPU against ours', 'wall s', 'peak MB'],
    rows: [...costs].map(([name, own]) => [
      name,
      cpuOf(own),
      megabytes / cpuOf(own),
      cpuOf(own) / first,
      median(own.map(({ wallSeconds }) => wallSeconds)),
      median(own.map(({ peakBytes }) => peakBytes)) / 2 ** 20,
    ]),
    notes,
  };
}

/** The same rows as JSON lines and as Parquet in row groups. */
async function writePages(texts: readonly string[], lines: string, parquet: string): Promise<void> {
  const stream = createWriteStream(lines);
  const sink = await openSink({
    format: 'parquet',
    path: parquet,
    columns: [stringColumn('text')],
    textColumn: 'text',
    extra: [{ name: 'url', type: 'string' }],
    rowGroupRows: GROUP_ROWS,
  });
  const encoder = new TextEncoder();
  for (let first = 0; first < texts.length; first += GROUP_ROWS) {
    const group = texts.slice(first, first + GROUP_ROWS);
    const urls = group.map((_, row) => {
      return `https://www.site${Math.floor((first + row) / PAGES_OF_SITE)}.com/page/${first + row}`;
    });
    stream.write(
      group.map((text, row) => `${JSON.stringify({ url: urls[row], text })}\n`).join(''),
    );
    await sink.write({
      text: group.map((text) => encoder.encode(text)),
      rows: null,
      carry: null,
      extra: { url: urls },
    });
  }
  await sink.close();
  stream.end();
  await finished(stream);
}
