/** Annotations by several workers on one folder, held against the files of one machine. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { annotateChunks } from '../../../src/annotate/chunks/annotate-chunks.ts';
import type { AnnotateChunksOptions } from '../../../src/annotate/chunks/chunk-options.ts';
import { annotateDocuments } from '../../../src/annotate/label/label-documents.ts';
import type { AnnotateDocumentsOptions } from '../../../src/annotate/label/label-types.ts';
import { askShare } from '../../../src/annotate/ranges/ask-ranges.ts';
import { finishAnnotation } from '../../../src/annotate/ranges/finish-annotation.ts';
import { start } from '../../cli/support.ts';
import {
  type Behaviour,
  completion,
  type ExpertServer,
  reply,
  startExpertServer,
} from '../../support/expert-server.ts';
import { scoredAnswer } from '../support.ts';

const root = mkdtempSync(join(tmpdir(), 'gristmill-ranges-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const at = (name: string): string => join(root, name);

const N_FILES = 7;
const inputs = at('in');
mkdirSync(inputs);
for (let file = 0; file < N_FILES; file++) {
  const rows = Array.from({ length: 5 }, (_, row) => {
    const number = file * 5 + row;
    const lines = [
      `Document ${number} E${number % 6} F${number % 5}${number === 11 ? ' REFUSE' : ''}.`,
      `It tells of bees and of mill number ${number * 37}, ${number === 23 ? 'CUT' : 'whole'}.`,
      'Home | News | Contact',
      // The same in all: near duplicates that only one process sees.
      ...(number % 9 === 0 ? ['Nothing but the same sentence here, again and again.'] : []),
    ];
    return {
      id: `d${number}`,
      text: number === 17 ? null : lines.join('\n'),
      domain: `s${file}.example`,
    };
  });
  writeFileSync(
    join(inputs, `${file}.jsonl`),
    rows.map((row) => `${JSON.stringify(row)}\n`).join(''),
  );
}

/** Answers by the prompt alone: scores, a refusal of one document, an answer that is cut. */
const judging: Behaviour = ({ user }, response) => {
  if (user.includes('REFUSE')) {
    reply(response, JSON.stringify({ error: { message: 'this prompt is refused' } }), {
      status: 400,
    });
  } else if (user.includes('CUT')) {
    const choice = { index: 0, message: { role: 'assistant', content: 'Because' } };
    reply(response, completion('', { choices: [{ ...choice, finish_reason: 'length' }] }));
  } else reply(response, completion(scoredAnswer(user)));
};

let server: ExpertServer;
beforeEach(async () => {
  server = await startExpertServer(judging);
});
afterEach(() => server.close());

const expert = () => ({ url: server.url, model: 'judge', backOffMs: 1, maxRetries: 0 });
const documents = (out: string, more: Partial<AnnotateDocumentsOptions> = {}) => ({
  ...{ inputs: [inputs], out: at(out), expert: expert(), keepRule: 'prox' },
  ...more,
});
const shareOf = (options: AnnotateDocumentsOptions, index: number, count = 3) =>
  askShare({ kind: 'documents', options }, { index, count });

/** Every file of a set but the statistics, which have times. */
function setOf(out: string): Map<string, string> {
  const files = readdirSync(at(out)).filter((name) => statSync(join(at(out), name)).isFile());
  const read = (name: string): string => readFileSync(join(at(out), name)).toString('base64');
  return new Map(
    files.filter((name) => !name.startsWith('statistics.')).map((name) => [name, read(name)]),
  );
}

describe('workers of annotate documents', () => {
  it('ask for what one machine asks, and finish makes its set, byte for byte, asking nobody', async () => {
    const alone = await annotateDocuments(documents('alone'));
    expect(alone).toMatchObject({ rowsIn: 35, failed: 3, stopped: null });
    const nAsked = server.seen.length;
    const shares = await Promise.all([0, 1, 2].map((index) => shareOf(documents('three'), index)));
    expect(shares.map(({ units, unitsDone }) => units - unitsDone)).toEqual([0, 0, 0]);
    expect(server.seen.length).toBe(2 * nAsked);
    // No set yet, and no texts in the ledger.
    expect(existsSync(at('three/statistics.json'))).toBe(false);
    for (const name of readdirSync(at('three/_annotate/units'))) {
      expect(readFileSync(at(`three/_annotate/units/${name}`), 'utf8')).not.toMatch(
        /bees|127\.0\.0\.1/,
      );
    }
    await server.close();
    const end = await finishAnnotation(at('three'));
    expect(end).toMatchObject({
      units: 7,
      unitsDone: 7,
      missing: [],
      orphans: 0,
      kind: 'documents',
    });
    const { rowsIn, labelled, failed, failures, keep, drop, eduScores, expert } = alone;
    expect(end.statistics).toMatchObject({
      ...{ rowsIn, labelled, failed, failures, keep, drop, eduScores },
      expert: { requests: expert.requests - expert.failed, failed: expert.failed },
    });
    expect(end.counts.promptTokens).toBe(alone.expert.promptTokens);
    expect(setOf('three')).toEqual(setOf('alone'));
    expect(readdirSync(at('three/_annotate')).sort()).toEqual(
      readdirSync(at('alone/_annotate'))
        .concat('asked', 'run.json', 'tmp', 'units', 'workers')
        .sort(),
    );
    expect([
      ...readdirSync(at('three/_annotate/tmp')),
      ...readdirSync(at('three/_annotate/workers')),
    ]).toEqual([]);
  });

  it('stop at their budget, are told what is missing, and go on from what was answered', async () => {
    const poor = documents('poor');
    const spent = await shareOf({ ...poor, expert: { ...poor.expert, maxRequests: 14 } }, 0, 2);
    expect(spent).toMatchObject({ stopped: 'budget' });
    expect(spent.unitsDone).toBeLessThan(spent.units);
    const early = await finishAnnotation(at('poor'));
    expect(early.statistics).toBeNull();
    expect(early.missing.length).toBe(early.units - early.unitsDone);
    const before = server.seen.length;
    expect(before).toBe(14);
    await shareOf(poor, 0, 2);
    await shareOf(poor, 1, 2);
    expect(await finishAnnotation(at('poor'))).toMatchObject({ missing: [], unitsDone: 7 });
    expect(setOf('poor')).toEqual(setOf('alone'));
    // Only what failed is asked for twice.
    const twice = [...server.counts()].filter(([user, nth]) => nth > 1 && !/REFUSE|CUT/.test(user));
    expect(twice).toEqual([]);
  });

  it('are refused by the name of what differs, and shut one machine out while they live', async () => {
    const options = documents('same');
    await shareOf(options, 0);
    await expect(shareOf({ ...options, maxChars: 50 }, 1)).rejects.toMatchObject({
      code: 'RUN_CHANGED',
      details: { changes: 'options.maxChars: undefined -> 50' },
    });
    await expect(
      shareOf({ ...options, expert: { ...expert(), model: 'other' } }, 1),
    ).rejects.toThrow(/expert\.name: "judge" -> "other"/);
    await expect(shareOf({ ...options, limit: 3 }, 1)).rejects.toMatchObject({
      code: 'OPTION_INVALID',
    });
    const chunks = { inputs: [inputs], out: at('same'), way: 'rewrite' as const, expert: expert() };
    await expect(
      askShare({ kind: 'chunks', options: chunks }, { index: 1, count: 3 }),
    ).rejects.toThrow(/kind: "documents" -> "chunks"/);
    server.behave(async (request, response) => {
      await sleep(300);
      await judging(request, response);
    });
    const living = shareOf(options, 1);
    while (!existsSync(at('same/_annotate/workers/1-of-3.lock'))) await sleep(5);
    await expect(annotateDocuments(options)).rejects.toMatchObject({ code: 'RUN_OUTPUT_IN_USE' });
    await expect(finishAnnotation(at('same'))).rejects.toMatchObject({ code: 'RUN_OUTPUT_IN_USE' });
    await living;
    // Inputs that are others by the time of the end.
    await shareOf(options, 2);
    const file = join(inputs, '3.jsonl');
    const before = readFileSync(file);
    writeFileSync(file, `${before}{"id":"new","text":"E1 F1"}\n`);
    await expect(finishAnnotation(at('same'))).rejects.toMatchObject({ code: 'RUN_CHANGED' });
    writeFileSync(file, before);
    await expect(finishAnnotation(at('none'))).rejects.toMatchObject({ code: 'RUN_NOT_FOUND' });
  });

  it('as commands, one killed in the middle and started again: the set of one machine', async () => {
    server.behave(async (request, response) => {
      await sleep(20);
      await judging(request, response);
    });
    const command = (worker: string) =>
      start([
        ...['annotate', 'documents', inputs, '--out', at('killed'), '--worker', worker, '--json'],
        ...['--expert-url', server.url, '--expert-model', 'judge', '--max-retries', '0'],
        ...['--keep-rule', 'prox', '--concurrency', '1'],
      ]);
    const dying = command('0/2');
    const units = at('killed/_annotate/units');
    while (!existsSync(units) || readdirSync(units).length < 1) {
      if (dying.process.exitCode !== null) break;
      await sleep(5);
    }
    dying.process.kill('SIGKILL');
    await dying.finished;
    const finish = () => start(['cluster', 'finish', at('killed'), '--json']).finished;
    const early = await finish();
    expect([early.code, JSON.parse(early.stdout.toString())]).toMatchObject([
      3,
      { statistics: null },
    ]);
    const others = await Promise.all([command('1/2').finished, command('0/2').finished]);
    expect(others.map(({ code, stderr }) => [code, stderr])).toEqual([
      [0, expect.any(String)],
      [0, expect.any(String)],
    ]);
    expect((await finish()).code).toBe(0);
    expect(setOf('killed')).toEqual(setOf('alone'));
  });
});

describe('inputs behind addresses', () => {
  it('are read by one machine and by workers, and finish reads them again', async () => {
    const served = createServer((request, response) => {
      const bytes = readFileSync(join(inputs, request.url!.slice(1)));
      const [, from, to] = /bytes=(\d+)-(\d*)/.exec(request.headers.range ?? '') ?? [];
      const start = Number(from ?? 0);
      const end = to ? Math.min(Number(to), bytes.length - 1) : bytes.length - 1;
      const part = bytes.subarray(start, end + 1);
      response.writeHead(from === undefined ? 200 : 206, {
        'accept-ranges': 'bytes',
        'content-length': part.length,
        etag: '"fixed"',
        ...(from !== undefined && { 'content-range': `bytes ${start}-${end}/${bytes.length}` }),
      });
      response.end(request.method === 'HEAD' ? undefined : part);
    });
    await new Promise<void>((resolve) => served.listen(0, '127.0.0.1', resolve));
    const { port } = served.address() as AddressInfo;
    const far = [0, 1].map((file) => `http://127.0.0.1:${port}/${file}.jsonl`);
    const near = [0, 1].map((file) => join(inputs, `${file}.jsonl`));
    try {
      await annotateDocuments(documents('near', { inputs: near }));
      const { code, stderr } = await start([
        ...['annotate', 'documents', ...far, '--out', at('far'), '--json'],
        ...['--expert-url', server.url, '--expert-model', 'judge', '--max-retries', '0'],
      ]).finished;
      expect([code, stderr]).toEqual([0, expect.any(String)]);
      await shareOf(documents('farther', { inputs: far }), 0, 1);
      expect(await finishAnnotation(at('farther'))).toMatchObject({ missing: [] });
      expect(setOf('far')).toEqual(setOf('near'));
      expect(setOf('farther')).toEqual(setOf('near'));
    } finally {
      served.close();
    }
  });
});

describe('workers of annotate chunks', () => {
  /** A copy of the window without its navigation. */
  const rewriting: Behaviour = ({ user }, response) => {
    const text = user.split('--------\n')[1] ?? user;
    const kept = text.split('\n').filter((line) => /^(Document|It tells|Nothing)/.test(line));
    reply(response, completion(['<<<BEGIN>>>', ...kept, '<<<END>>>'].join('\n')));
  };
  const options = (out: string): AnnotateChunksOptions => ({
    ...{ inputs: [inputs], out: at(out), way: 'rewrite', expert: expert() },
    ...{ nearDuplicate: 0.3, shares: { keep: 0.5 }, minChars: 5 },
  });

  it('make together the set of one machine: near duplicates and shares are seen by whoever finishes', async () => {
    server.behave(rewriting);
    const alone = await annotateChunks(options('chunks'));
    expect(alone.nDocuments).toBe(35);
    expect(Object.keys(alone.rejected).length).toBeGreaterThan(0);
    const asked = server.seen.length;
    for (const index of [2, 0, 1]) {
      await askShare({ kind: 'chunks', options: options('split') }, { index, count: 3 });
    }
    expect(server.seen.length).toBe(2 * asked);
    await server.close();
    const end = await finishAnnotation(at('split'));
    expect(end).toMatchObject({ kind: 'chunks', missing: [] });
    expect(end.statistics).toMatchObject({ nWindows: alone.nWindows, rejected: alone.rejected });
    expect(setOf('split')).toEqual(setOf('chunks'));
  });

  it('refuse the way that asks nobody', async () => {
    const { expert: _, ...gold } = { ...options('gold'), way: 'gold' as const };
    await expect(
      askShare({ kind: 'chunks', options: gold }, { index: 0, count: 2 }),
    ).rejects.toMatchObject({ code: 'OPTION_INVALID', details: { option: 'worker' } });
  });
});
