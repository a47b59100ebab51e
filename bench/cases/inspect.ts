/**
 * Case `inspect`: how long the inspector of a large run takes to open and to answer, and what its server holds in memory.
 *
 * The run is made by refining one unit of 10,000 rows, with scores kept, and giving it a hundred names (links to its files,
 * inputs too): a million rows as a run of a million rows writes them, each with a text to be fetched. The server is the command
 * in a process of its own. *Opens* is from the start of the command to the answer of the first page of the table, *warm* the
 * same with the index that the first start has kept. Interactions are what clicks of the page ask: filters, orders, pages,
 * documents, thresholds, words apart.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import {
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fingerprintOf } from '../../src/corpus/inputs.ts';
import { openSink } from '../../src/corpus/sink.ts';
import { distFile } from '../../src/paths.ts';
import { refineCorpus } from '../../src/refine/run.ts';
import type { Bench, BenchContext, BenchTable } from '../types.ts';
import { median } from './median.ts';

const UNIT_ROWS = 10_000;
const N_UNITS = { full: 100, quick: 10 };
const N_INTERACTIONS = 200;

export const bench: Bench = {
  name: 'inspect',
  async run(context: BenchContext): Promise<BenchTable> {
    const folder = mkdtempSync(join(tmpdir(), 'gristmill-bench-inspect-'));
    const nUnits = context.quick ? N_UNITS.quick : N_UNITS.full;
    try {
      context.log('making the run');
      const { out, megabytes } = await makeRun(folder, nUnits);
      const rows: (readonly (string | number)[])[] = [];
      for (const start of ['first start', 'second start']) {
        context.log(start);
        const figures = await measure(out);
        rows.push([start, ...figures]);
      }
      return {
        title: `inspector, ${(nUnits * UNIT_ROWS).toLocaleString('en')} rows, ${megabytes} MB of text`,
        columns: [
          'start',
          'page, s',
          'first rows, s',
          'CPU s',
          'index whole, s',
          'CPU s',
          'lengths whole, s',
          'interaction, median ms',
          'p95 ms',
          'server CPU a click, ms',
          'peak MB',
        ],
        rows,
        notes: [
          `${cpus()[0]?.model}, ${cpus().length} cores, load ${loadavg()[0]!.toFixed(1)}`,
          `${N_INTERACTIONS} interactions: filters, orders, pages, documents, thresholds`,
        ],
      };
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

/** A run of many units out of one. */
async function makeRun(folder: string, nUnits: number) {
  const input = join(folder, 'in', 'part-00000.parquet');
  mkdirSync(join(folder, 'in'));
  const bytes = await writeInput(input);
  const out = join(folder, 'out');
  await refineCorpus({ inputs: [input], out, idColumn: 'id', keepScores: true, isolate: false });
  const ledger = join(out, '_gristmill');
  const record = JSON.parse(readFileSync(join(ledger, 'units/00000.json'), 'utf8'));
  const identity = JSON.parse(readFileSync(join(ledger, 'run.json'), 'utf8'));
  const inputs: object[] = [];
  for (let unit = 0; unit < nUnits; unit++) {
    const name = String(unit).padStart(5, '0');
    const path = join(folder, 'in', `part-${name}.parquet`);
    if (unit > 0) linkSync(input, path);
    inputs.push({
      path,
      bytes: identity.inputs[0].bytes,
      fingerprint: await fingerprintOf(path, false),
    });
    if (unit === 0) continue;
    const renamed = (file: { path: string }) => {
      const other = file.path.replace('part-00000', `part-${name}`);
      linkSync(join(out, file.path), join(out, other));
      return { ...file, path: other };
    };
    const copy = {
      ...record,
      unit,
      input: record.input.replace('part-00000', `part-${name}`),
      files: record.files.map(renamed),
      ...(record.scores && { scores: renamed(record.scores) }),
    };
    writeFileSync(join(ledger, 'units', `${name}.json`), JSON.stringify(copy, null, 2));
  }
  const whole = { ...identity, inputs, units: nUnits };
  writeFileSync(join(ledger, 'run.new'), JSON.stringify(whole, null, 2));
  renameSync(join(ledger, 'run.new'), join(ledger, 'run.json'));
  return { out, megabytes: Math.round((bytes * nUnits) / 1e6) };
}

/** Pages of a menu, sentences and a footer. @returns bytes of the texts */
async function writeInput(path: string): Promise<number> {
  const menu = ['Home', 'Menu', 'Log in', 'Subscribe to our newsletter', 'Share this page'];
  const end = ['Related articles', 'Cookie settings', '© 2024 All rights reserved'];
  const texts: Buffer[] = [];
  for (let row = 0; row < UNIT_ROWS; row++) {
    const sentences = Array.from({ length: 4 + (row % 9) }, (_, at) => {
      return `Page ${row} tells in paragraph ${at} of a harbour whose walls, built in ${1700 + ((row * 7 + at) % 300)}, hold against the storms of every winter since.`;
    });
    texts.push(Buffer.from([...menu, ...sentences, ...end].join('\n')));
  }
  const extra = ['id', 'domain', 'language'].map((name) => ({ name, type: 'string' as const }));
  const sink = await openSink({ format: 'parquet', path, columns: [], textColumn: 'text', extra });
  const column = (make: (row: number) => string) => texts.map((_, row) => make(row));
  await sink.write({
    text: texts,
    rows: null,
    carry: null,
    extra: {
      id: column((row) => `page-${row}`),
      domain: column((row) => `site-${row % 977}.example`),
      language: column((row) => ['en', 'de', 'fr'][row % 3]!),
    },
  });
  await sink.close();
  return texts.reduce((sum, { byteLength }) => sum + byteLength, 0);
}

async function measure(out: string): Promise<(string | number)[]> {
  const started = performance.now();
  const since = (): number => (performance.now() - started) / 1000;
  const child = spawn(process.execPath, [distFile('cli/main.js'), 'inspect', out, '--json'], {
    cwd: fileURLToPath(new URL('..', import.meta.url)),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    const url = await urlOf(child);
    await (await fetch(url)).text();
    await (await fetch(`${url}app.js`)).text();
    const page = since();
    const post = async (path: string, body: object) => {
      const response = await fetch(`${url}api/${path}`, {
        method: 'POST',
        headers: { origin: new URL(url).origin },
        body: JSON.stringify(body),
      });
      if (!response.ok) throw new Error(await response.text());
      return (await response.json()) as { rows: object[] };
    };
    const get = async (path: string) => {
      const response = await fetch(`${url}api/${path}`);
      if (!response.ok) throw new Error(await response.text());
      return response.json();
    };
    await get('run');
    while ((await post('query', {})).rows.length === 0) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const [firstRows, firstCpu] = [since(), cpuOf(child)];
    const { indexed, indexedCpu, sized } = await indexTimes(get, since, () => cpuOf(child));
    const before = cpuOf(child);
    const times = await interact(post, get);
    const cpu = ((cpuOf(child) - before) * 1000) / times.length;
    const sorted = [...times].sort((left, right) => left - right);
    const p95 = sorted[Math.floor(sorted.length * 0.95)]!;
    const figure = (value: number): string => value.toFixed(2);
    return [
      ...[page, firstRows, firstCpu, indexed, indexedCpu, sized].map(figure),
      ...[median(times), p95, cpu].map((value) => value.toFixed(1)),
      Math.round(peakOf(child) / 1e6),
    ];
  } finally {
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGINT');
    await ended;
  }
}

function urlOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    child.stdout!.once('data', (data) => resolve(JSON.parse(String(data)).url));
    child.once('exit', () => reject(new Error('the inspector ended')));
  });
}

interface State {
  readonly version: number;
  readonly units: { readonly committed: number };
  readonly progress: { readonly indexed: number; readonly sized: number; readonly rests: boolean };
}

async function indexTimes(
  get: (path: string) => Promise<unknown>,
  since: () => number,
  cpu: () => number,
) {
  let [indexed, indexedCpu] = [0, 0];
  for (let version = -1; ; ) {
    const state = (await get(`state?version=${version}`)) as State;
    version = state.version;
    if (indexed === 0 && state.progress.indexed === state.units.committed) {
      [indexed, indexedCpu] = [since(), cpu()];
    }
    if (state.progress.rests) return { indexed, indexedCpu, sized: since() };
    // The page waits for longer than this: blocks come by the hundred.
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Milliseconds of each answer. */
async function interact(
  post: (path: string, body: object) => Promise<unknown>,
  get: (path: string) => Promise<unknown>,
): Promise<number[]> {
  const times: number[] = [];
  const clicks: ((at: number) => Promise<unknown>)[] = [
    (at) => post('query', { status: ['edited'], offset: at * 50 }),
    (at) => post('query', { score: [at / 400, 0.5], sort: 'score' }),
    (at) => post('query', { domain: [`site-${at}.example`], sort: 'share', descending: true }),
    (at) => post('query', { language: ['de'], size: [500, null], offset: at * 200 }),
    (at) => get(`document?unit=${at % 10}&position=${(at * 7919) % UNIT_ROWS}`),
    (at) => get(`what-if?document=${at % 50}&line=${at % 150}`),
  ];
  for (let at = 0; at < N_INTERACTIONS; at++) {
    const started = performance.now();
    await clicks[at % clicks.length]!(at);
    times.push(performance.now() - started);
  }
  return times;
}

/** CPU seconds of a process, all its threads. */
function cpuOf({ pid }: ChildProcess): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** Largest resident size so far. */
function peakOf({ pid }: ChildProcess): number {
  const found = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(found?.[1] ?? 0) * 1024;
}
