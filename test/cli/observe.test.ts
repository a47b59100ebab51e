/**
 * Runs as they are seen from outside, by the compiled command: metrics are scraped while it works, logs are read as they are
 * written. What both say in the end is what the run's summary says.
 */
import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RunSummary } from '../../src/refine/statistics.ts';
import { writeTestCorpus } from '../support/corpus.ts';
import { seriesOf } from '../support/metrics.ts';
import { hasRedis, RedisServer } from '../support/redis-server.ts';
import { heard, type LogLine, linesOf, scrapes } from '../support/scrapes.ts';
import { outputOf, run, start } from './support.ts';

const N_UNITS = 12;
const TRACE = '0af7651916cd43dd8448eb211c80319c';
const TRACEPARENT = `00-${TRACE}-b7ad6b7169203331-01`;
const SCRAPED = ['--metrics-port', '0', '--metrics-linger', '60', '--log', 'json', '--json'];

let folder: string;
let corpus: string;
let texts: readonly string[];
let nOut = 0;
const outOf = (): string => join(folder, `out-${nOut++}`);
const settings = ['--document-model', 'random:tiny', '--doc-threshold', '0.45', '--threads', '1'];
const commandFor = (out: string, ...more: string[]): string[] => [
  ...['refine', corpus, '--out', out, '--unit-rows', '24', ...settings, ...more],
];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gristmill-observe-'));
  corpus = join(folder, 'corpus.parquet');
  texts = await writeTestCorpus(corpus, { nRows: N_UNITS * 24, rowGroupRows: 24, seed: 5 });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The counters of a scrape, of whichever run: `rows_total kept`. */
function totalsOf(series: ReadonlyMap<string, number>): Record<string, number> {
  const totals: Record<string, number> = {};
  for (const [key, value] of series) {
    const [, name, label] = /^gristmill_(\w+)\{run="\w+",\w+="(\w+)"\}$/.exec(key) ?? [];
    if (name?.endsWith('_total') || name === 'units') totals[`${name} ${label}`] = value;
  }
  return totals;
}

function expectTotals(totals: Record<string, number>, summary: RunSummary, out: string): void {
  const { kept, edited, dropped, failed, charsIn, charsOut, promptTokens, newTokens } = summary;
  expect(totals).toMatchObject({
    ...{ 'rows_total kept': kept, 'rows_total edited': edited, 'rows_total dropped': dropped },
    ...{ 'rows_total failed': failed, 'characters_total in': charsIn },
    ...{ 'characters_total out': charsOut, 'tokens_total prompt': promptTokens },
    ...{ 'tokens_total generated': newTokens, 'bytes_total out': publicBytes(out) },
    ...Object.fromEntries(
      Object.entries(summary.reasons).map(([reason, rows]) => [
        `row_reasons_total ${reason}`,
        rows,
      ]),
    ),
  });
}

const publicBytes = (out: string): number =>
  [...outputOf(out).keys()].reduce((sum, path) => sum + statSync(join(out, path)).size, 0);

/** The worker of a command. */
function childOf(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')[0]);
}

describe('gristmill refine --metrics-port --log json', () => {
  it('tells Prometheus and the log what the summary says, and before that how far it is', async () => {
    const out = outOf();
    const started = start(commandFor(out, ...SCRAPED), { env: { TRACEPARENT } });
    const all = await scrapes(started);
    const { code, stdout, stderr } = await started.finished;
    expect(code).toBe(0);
    const summary = JSON.parse(stdout.toString()) as RunSummary;
    const totals = totalsOf(all.at(-1)!);
    expectTotals(totals, summary, out);
    expect(totals['units done']).toBe(N_UNITS);
    const stages = Object.keys(totals).filter((key) => key.startsWith('stage_seconds_total'));
    expect(stages.map((key) => key.split(' ')[1])).toEqual([
      ...['read', 'judge', 'execute', 'write', 'commit'],
    ]);
    expect(stages.every((key) => totals[key]! >= 0 && totals[key]! < summary.seconds * 3)).toBe(
      true,
    );
    expect(totals['stage_seconds_total judge']).toBeGreaterThan(0);
    // Under way it was seen, and no counter ever fell.
    const done = all.map((series) => totalsOf(series)['units done'] ?? 0);
    expect(done.some((units) => units > 0 && units < N_UNITS)).toBe(true);
    for (const [at, series] of all.slice(1).entries()) {
      for (const [key, value] of series) {
        if (!/_total\{|_count|_sum|_bucket/.test(key)) continue;
        expect(value, key).toBeGreaterThanOrEqual(all[at]!.get(key) ?? 0);
      }
    }
    const lines = linesOf(stderr);
    const of = (event: string): LogLine[] => lines.filter((line) => line.event === event);
    const runs = new Set(lines.map(({ run: id }) => id).filter((id) => id !== undefined));
    expect([...runs]).toEqual([expect.stringMatching(/^[0-9a-f]{12}$/)]);
    expect([of('unit-begun').length, of('unit-done').length]).toEqual([N_UNITS, N_UNITS]);
    expect(of('unit-done').map(({ unit }) => unit)).toEqual([...Array(N_UNITS).keys()]);
    const rows = of('unit-done').reduce((sum, line) => sum + Number(line['rowsIn']), 0);
    expect(rows).toBe(summary.rowsIn);
    expect(of('run-ended')).toMatchObject([{ rowsIn: summary.rowsIn, kept: summary.kept }]);
    for (const line of lines) {
      expect(line).toMatchObject({ trace_id: TRACE, span_id: 'b7ad6b7169203331' });
      expect(Number.isNaN(Date.parse(String(line['time'])))).toBe(false);
    }
  }, 120_000);

  it('counts what this command did where it goes on, and the whole over all workers of a split', async () => {
    const out = outOf();
    const sums: Record<string, number> = {};
    for (const worker of ['0/2', '1/2']) {
      const started = start(commandFor(out, '--worker', worker, ...SCRAPED));
      const totals = totalsOf((await scrapes(started)).at(-1)!);
      const { stderr } = await started.finished;
      for (const [key, value] of Object.entries(totals)) sums[key] = (sums[key] ?? 0) + value;
      const named = linesOf(stderr).find(({ event }) => event === 'unit-done');
      expect(named).toMatchObject({ worker: worker.replace('/', '-of-') });
    }
    const finished = await run(['cluster', 'finish', out, '--json']);
    expectTotals(sums, JSON.parse(finished.stdout.toString()) as RunSummary, out);
    expect(sums['units done']).toBe(N_UNITS);
    // Again: all of it was there.
    const again = start(commandFor(out, ...SCRAPED));
    const last = (await scrapes(again)).at(-1)!;
    await again.finished;
    const totals = totalsOf(last);
    expect(totals['units resumed']).toBe(N_UNITS);
    expect(totals['rows_total kept']).toBe(0);
    const resumed = [...last].find(([key]) => key.startsWith('gristmill_resumed_rows{'));
    expect(resumed?.[1]).toBe(N_UNITS * 24);
  }, 120_000);

  it.skipIf(process.platform !== 'linux')(
    'counts right over a worker that was killed, and says so',
    async () => {
      const out = outOf();
      const started = start(commandFor(out, ...SCRAPED), { env: { TRACEPARENT } });
      let isKilled = false;
      const ledger = join(out, '_gristmill/units');
      const all = await scrapes(started, () => {
        if (isKilled) return;
        let nDone = 0;
        try {
          nDone = readdirSync(ledger).filter((name) => name.endsWith('.json')).length;
        } catch {
          // Not begun.
        }
        if (nDone === 0 || nDone > N_UNITS - 3) return;
        isKilled = true;
        const worker = childOf(started.process.pid!);
        expect(readFileSync(`/proc/${worker}/environ`, 'utf8')).toContain(TRACEPARENT);
        process.kill(worker, 'SIGKILL');
      });
      const { code, stdout, stderr } = await started.finished;
      expect([code, isKilled]).toEqual([0, true]);
      const totals = totalsOf(all.at(-1)!);
      expectTotals(totals, JSON.parse(stdout.toString()) as RunSummary, out);
      const deaths = [...all.at(-1)!].find(([key]) => key.includes('worker_deaths_total'));
      expect(deaths?.[1]).toBe(1);
      const died = linesOf(stderr).filter(({ event }) => event === 'worker-died');
      expect(died).toMatchObject([{ level: 'error', exit: expect.stringContaining('SIGKILL') }]);
    },
    120_000,
  );

  it('counts the rows of a stream, whose output stays what it is', async () => {
    const flags = ['refine', corpus, '--out', '-', ...settings];
    const plain = await run([...flags, '--json']);
    const started = start([...flags, ...SCRAPED]);
    const rows: Buffer[] = [];
    started.process.stdout!.on('data', (chunk: Buffer) => rows.push(chunk));
    const said = heard(started);
    while (!said().includes('"run-ended"')) await sleep(20);
    const url = /metrics: (http:\S+\/metrics)"/.exec(said())![1]!;
    const totals = totalsOf(seriesOf(await (await fetch(url)).text()));
    const { code, stdout } = await started.finished;
    expect(code).toBe(0);
    expect(stdout.equals(plain.stdout)).toBe(true);
    const { kept, dropped } = JSON.parse(plain.stderr) as RunSummary;
    expect(totals).toMatchObject({ 'rows_total kept': kept, 'rows_total dropped': dropped });
  }, 120_000);

  it('tells failures as lines, with their codes, and shows no text of a document', async () => {
    const missing = await run(['refine', join(folder, 'none'), '--out', outOf(), '--log', 'json']);
    expect(missing.code).toBe(1);
    expect(linesOf(missing.stderr).at(-1)).toMatchObject({
      ...{ level: 'error', event: 'error', code: 'CORPUS_READ_FAILED' },
    });
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const { port } = taken.address() as { port: number };
    const refused = await run([...commandFor(outOf()), '--metrics-port', String(port)]);
    taken.close();
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/^gristmill: METRICS_PORT_FAILED: metrics on port \d+ of 127/);
    const log = await run([...commandFor(outOf()), '--log', 'json', '--json']);
    expect(log.code).toBe(0);
    const shown = texts
      .flatMap((text) => text.split('\n'))
      .filter((line) => line.length > 20 && log.stderr.includes(line.slice(0, 20)));
    expect(shown).toEqual([]);
  }, 120_000);
});

describe.skipIf(!hasRedis)('gristmill cluster work --metrics-port --log json', () => {
  it('tells of the queue and its units, in the trace of whoever submitted the run', async () => {
    const server = await RedisServer.start('s3cret');
    try {
      const env = { GRISTMILL_REDIS_URL: server.url };
      const out = outOf();
      const [, ...refine] = commandFor(out);
      const submitted = await run(['cluster', 'submit', ...refine, '--json'], {
        env: { ...env, TRACEPARENT },
      });
      const { id, traceparent } = JSON.parse(submitted.stdout.toString()) as Record<string, string>;
      expect(traceparent).toBe(TRACEPARENT);
      const started = start(['cluster', 'work', '--until-done', ...SCRAPED], { env });
      let environment = '';
      const all = await scrapes(started, () => {
        try {
          environment ||= readFileSync(`/proc/${childOf(started.process.pid!)}/environ`, 'utf8');
        } catch {
          // There is none yet, or none any more.
        }
      });
      const { code, stderr } = await started.finished;
      expect(code).toBe(0);
      if (process.platform === 'linux') expect(environment).toContain(TRACEPARENT);
      const totals = totalsOf(all.at(-1)!);
      const finished = await run(['cluster', 'finish', out, '--json'], { env });
      expectTotals(totals, JSON.parse(finished.stdout.toString()) as RunSummary, out);
      expect(totals['units done']).toBe(N_UNITS);
      const waiting = all.map((series) =>
        series.get(`gristmill_queue_units{run="${id}",state="waiting"}`),
      );
      expect(Math.max(...waiting.map((units) => units ?? 0))).toBeGreaterThan(0);
      expect(waiting.at(-1)).toBe(0);
      const lines = linesOf(stderr);
      const units = lines.filter(({ event }) => event.startsWith('unit-'));
      expect(units.length).toBe(2 * N_UNITS);
      for (const line of units) {
        expect(line).toMatchObject({ run: id, trace_id: TRACE });
        expect(line['worker']).toMatch(/-[0-9a-f]{8}$/);
      }
      expect(stderr).not.toContain('s3cret');
    } finally {
      await server.stop();
    }
  }, 240_000);
});
