/** Sweeps and annotations as they are seen from outside: what metrics and logs say in the end is what the summary says. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeMixtures } from '../../src/mixture/tables.ts';
import { scoredAnswer } from '../annotate/support.ts';
import { mixtureTable, smallStore } from '../mixture/proxies/support.ts';
import {
  completion,
  type ExpertServer,
  reply,
  startExpertServer,
} from '../support/expert-server.ts';
import { linesOf, scrapes } from '../support/scrapes.ts';
import { start } from './support.ts';

const SCRAPED = ['--metrics-port', '0', '--metrics-linger', '60', '--log', 'json', '--json'];
const folder = mkdtempSync(join(tmpdir(), 'gristmill-observe-work-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Series without the name of the run, of which there is one. */
function ofRun(series: ReadonlyMap<string, number>): ReadonlyMap<string, number> {
  const runs = new Set([...series.keys()].flatMap((key) => /run="(\w+)"/.exec(key)?.[1] ?? []));
  expect(runs.size).toBe(1);
  return new Map([...series].map(([key, value]) => [key.replace(/run="\w+",?/, ''), value]));
}

describe('gristmill mix train --metrics-port --log json', () => {
  const N_PROXIES = 4;
  const STEPS = 6;
  let store: string;
  let table: string;
  beforeAll(async () => {
    store = await smallStore(folder);
    table = join(folder, 'mixtures.csv');
    const rows = Array.from({ length: N_PROXIES }, (_, row) => {
      return [`${row}`, [0.1 * row, 0.5, 0.5 - 0.1 * row]] as const;
    });
    await writeMixtures(table, mixtureTable(rows));
  });

  it('has proxies by state, steps, tokens and time of stages', async () => {
    const started = start([
      ...['mix', 'train', '--mixtures', table, '--store', store, '--out', join(folder, 'sweep')],
      ...['--steps', `${STEPS}`, '--batch', '4', '--micro-batch', '4', '--eval-every', '0'],
      ...['--eval-windows', '2', '--jobs', '2', '--threads', '1', '--worker', '0/1', ...SCRAPED],
    ]);
    const all = await scrapes(started);
    const { code, stdout, stderr } = await started.finished;
    expect([code, stderr]).toEqual([0, expect.any(String)]);
    expect(JSON.parse(stdout.toString())).toMatchObject({ nRuns: N_PROXIES, nTrained: N_PROXIES });
    const series = ofRun(all.at(-1)!);
    expect(series.get('gristmill_units{state="done"}')).toBe(N_PROXIES);
    expect(series.get('gristmill_units{state="waiting"}')).toBe(0);
    expect(series.get('gristmill_steps_total{}')).toBe(N_PROXIES * STEPS);
    const nTokens = series.get('gristmill_tokens_total{kind="trained"}')!;
    expect(nTokens).toBeGreaterThan(0);
    expect(nTokens % (N_PROXIES * STEPS * 4)).toBe(0);
    expect(series.get('gristmill_unit_duration_seconds_count{}')).toBe(N_PROXIES);
    expect(series.get('gristmill_unit_retries_total{}')).toBe(0);
    for (const stage of ['train', 'measure', 'commit', 'table']) {
      expect(series.get(`gristmill_stage_seconds_total{stage="${stage}"}`), stage).toBeGreaterThan(
        0,
      );
    }
    const info = [...series.keys()].find((key) => key.startsWith('gristmill_run_info'));
    expect(info).toContain('device="cpu"');
    const lines = linesOf(stderr);
    const events = lines.map(({ event }) => event);
    expect(events.filter((event) => event === 'unit-done')).toHaveLength(N_PROXIES);
    expect(events).toEqual(expect.arrayContaining(['run-opened', 'unit-begun', 'run-ended']));
    expect(lines.at(-1)).toMatchObject({
      event: 'run-ended',
      nTrained: N_PROXIES,
      worker: '0-of-1',
    });
  });
});

describe('gristmill annotate --metrics-port --log json', () => {
  const N_DOCUMENTS = 8;
  let server: ExpertServer;
  let corpus: string;
  beforeAll(async () => {
    corpus = join(folder, 'corpus.jsonl');
    const rows = Array.from({ length: N_DOCUMENTS }, (_, row) => ({
      ...{ id: `d${row}`, text: `Document ${row} E3 F3${row === 2 ? ' REFUSE' : ''} of the mill.` },
    }));
    writeFileSync(corpus, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
    let nAsked = 0;
    server = await startExpertServer(({ user }, response) => {
      if (user.includes('REFUSE')) {
        reply(response, JSON.stringify({ error: { message: 'refused' } }), { status: 400 });
      } else if (nAsked++ === 3) reply(response, '{}', { status: 500 });
      else reply(response, completion(scoredAnswer(user)));
    });
  });
  afterAll(() => server.close());
  const command = (out: string, ...more: string[]) =>
    start([
      ...['annotate', 'documents', corpus, '--out', join(folder, out), '--keep-rule', 'edu:3'],
      ...['--expert-url', server.url, '--expert-model', 'judge', ...SCRAPED, ...more],
    ]);

  it('has documents and questions by status, retries, tokens and time of stages', async () => {
    const started = command('alone');
    const all = await scrapes(started);
    const { code, stdout, stderr } = await started.finished;
    expect([code, stderr]).toEqual([0, expect.any(String)]);
    const { labelled, failed, expert } = JSON.parse(stdout.toString());
    expect([labelled, failed]).toEqual([N_DOCUMENTS - 1, 1]);
    const series = ofRun(all.at(-1)!);
    expect(series.get('gristmill_documents_total{status="labelled"}')).toBe(labelled);
    expect(series.get('gristmill_documents_total{status="failed"}')).toBe(1);
    expect(series.get('gristmill_questions_total{status="answered"}')).toBe(N_DOCUMENTS - 1);
    expect(series.get('gristmill_questions_total{status="failed"}')).toBe(1);
    expect(series.get('gristmill_question_retries_total{}')).toBe(expert.retries);
    expect(expert.retries).toBeGreaterThan(0);
    expect(series.get('gristmill_tokens_total{kind="prompt"}')).toBe(expert.promptTokens);
    expect(series.get('gristmill_stage_seconds_total{stage="ask"}')).toBeGreaterThan(0);
    const lines = linesOf(stderr);
    expect(lines.at(-1)).toMatchObject({ event: 'run-ended', labelled, failed: 1 });
    expect(stderr).not.toContain('of the mill');
  });

  it('of a worker has ranges as units', async () => {
    const started = command('worker', '--worker', '0/1');
    const all = await scrapes(started);
    const { code, stderr } = await started.finished;
    expect([code, stderr]).toEqual([0, expect.any(String)]);
    const series = ofRun(all.at(-1)!);
    expect(series.get('gristmill_units{state="done"}')).toBe(1);
    expect(series.get('gristmill_documents_total{status="read"}')).toBe(N_DOCUMENTS);
    for (const stage of ['ask', 'write', 'commit']) {
      expect(series.get(`gristmill_stage_seconds_total{stage="${stage}"}`), stage).toBeGreaterThan(
        0,
      );
    }
    expect(linesOf(stderr)).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ event: 'unit-done', unit: '00000', worker: '0-of-1' }),
      ]),
    );
  });
});
