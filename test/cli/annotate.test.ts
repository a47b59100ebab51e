/** `gristmill annotate` as its users run it: killed, interrupted, out of budget. Requests are counted exactly. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { RANDOM_MODEL_PRESETS, writeRandomModel } from '../../src/model/random.ts';
import { readRows, scoring } from '../annotate/support.ts';
import { type ExpertServer, reply, startExpertServer } from '../support/expert-server.ts';
import { outputOf, run, start } from './support.ts';

const N_DOCS = 60;
const CONCURRENCY = 4;
const root = mkdtempSync(join(tmpdir(), 'gristmill-cli-annotate-'));
const corpus = join(root, 'corpus.jsonl');
const env = { OPENAI_API_KEY: '' };
let nFolders = 0;
const fresh = (): string => join(root, `out-${nFolders++}`);

let server: ExpertServer;
beforeAll(() => {
  const rows = Array.from({ length: N_DOCS }, (_, row) => ({
    id: `d${row}`,
    text: `E${row % 6} F${row % 5} document ${row}`,
  }));
  writeFileSync(corpus, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));
beforeEach(async () => {
  server = await startExpertServer(async (request, response) => {
    await new Promise((resolve) => setTimeout(resolve, 20));
    await scoring(request, response);
  });
});
afterEach(() => server.close());

const command = (out: string, ...more: string[]): string[] => [
  ...['annotate', 'documents', corpus, '--out', out, '--expert-url', server.url],
  ...['--expert-model', 'judge', '--concurrency', String(CONCURRENCY), ...more],
];

async function seen(nRequests: number): Promise<void> {
  while (server.seen.length < nRequests) await new Promise((resolve) => setTimeout(resolve, 2));
}

/** The output without what differs between a run at one go and one in pieces. */
function labels(out: string): Map<string, string> {
  const files = outputOf(out);
  files.delete('statistics.json');
  for (const name of files.keys()) if (name.startsWith('_annotate')) files.delete(name);
  return files;
}

describe('annotate documents', () => {
  it('that is interrupted repeats no request when it goes on', async () => {
    const whole = fresh();
    const first = await run(command(whole, '--json'), { env });
    expect([first.code, first.stderr]).toEqual([0, '']);
    expect(JSON.parse(first.stdout.toString())).toMatchObject({ rowsIn: N_DOCS, labelled: N_DOCS });
    expect(server.seen).toHaveLength(2 * N_DOCS);
    await server.close();
    server = await startExpertServer(async (request, response) => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      await scoring(request, response);
    });

    const out = fresh();
    for (const share of [0.2, 0.5, 0.8]) {
      const { process, finished } = start(command(out), { env });
      await seen(Math.floor(2 * N_DOCS * share));
      process.kill('SIGINT');
      const { code, stderr, stdout } = await finished;
      expect([code, stdout.toString()]).toEqual([130, '']);
      expect(stderr).toContain('interrupted: run the same command again to finish');
      expect(labels(out).size).toBe(0);
    }
    const last = await run(command(out, '--json'), { env });
    expect([last.code, last.stderr]).toEqual([0, '']);
    expect([...server.counts().values()]).toEqual(Array(2 * N_DOCS).fill(1));
    expect(labels(out)).toEqual(labels(whole));
  });

  it('that is killed repeats only what was under way', async () => {
    const out = fresh();
    const maybeRepeated = new Set<string>();
    for (const share of [0.15, 0.4, 0.7]) {
      const { process, finished } = start(command(out), { env });
      await seen(Math.floor(2 * N_DOCS * share));
      process.kill('SIGKILL');
      expect((await finished).signal).toBe('SIGKILL');
      expect(labels(out).size).toBe(0);
      // Answers may overtake each other: what was under way is among the last few, not just the last ones.
      for (const { user } of server.seen.slice(-3 * CONCURRENCY)) maybeRepeated.add(user);
    }
    const last = await run(command(out, '--json'), { env });
    expect([last.code, last.stderr]).toEqual([0, '']);
    const counts = server.counts();
    expect(counts.size).toBe(2 * N_DOCS);
    for (const [user, count] of counts) {
      if (count > 1) expect(maybeRepeated).toContain(user);
    }
    expect(server.seen.length).toBeLessThanOrEqual(2 * N_DOCS + 3 * CONCURRENCY);
    expect((await readRows(out, 'documents.parquet')).map(({ id }) => id)).toEqual(
      Array.from({ length: N_DOCS }, (_, row) => `d${row}`),
    );
  });

  it('stops at its budget with exit code 3 and says so', async () => {
    const out = fresh();
    const first = await run(command(out, '--max-requests', '50'), { env });
    expect([first.code, first.stderr]).toEqual([3, '']);
    expect(first.stdout.toString()).toMatch(/stopped at the budget: run the same command again/);
    const statistics = JSON.parse(readFileSync(join(out, 'statistics.json'), 'utf8'));
    expect(statistics).toMatchObject({ stopped: 'budget', labelled: 25 });
    const second = await run(command(out, '--max-tokens', '100000000', '--json'), { env });
    expect(JSON.parse(second.stdout.toString())).toMatchObject({ stopped: null, labelled: N_DOCS });
    expect([...server.counts().values()]).toEqual(Array(2 * N_DOCS).fill(1));
  });

  it('fails with a code when the expert refuses, and never shows the key', async () => {
    server.behave((_, response) => reply(response, '{"error":"bad sk-secret-1"}', { status: 401 }));
    const out = fresh();
    const { code, stdout, stderr } = await run(command(out, '--json'), {
      env: { OPENAI_API_KEY: 'sk-secret-1' },
    });
    expect([code, stdout.toString()]).toEqual([1, '']);
    expect(JSON.parse(stderr).error).toMatchObject({
      code: 'ANNOTATE_EXPERT_REFUSED',
      details: { status: 401 },
    });
    expect(stderr).not.toContain('sk-secret-1');
    expect(existsSync(join(out, 'statistics.json'))).toBe(false);
  });

  it('sends the fields, headers and bounds that its flags name', async () => {
    const flags = [
      ...['--limit', '2', '--timeout', '301', '--answer-tokens', '77', '--keep-rule', 'edu:3'],
      ...['--expert-body', '{"seed":7,"temperature":null}'],
      ...['--expert-header', 'x-team: mill', 'x-secret: env:GRISTMILL_TEST_HEADER'],
    ];
    const { code, stderr } = await run(command(fresh(), ...flags), {
      env: { ...env, GRISTMILL_TEST_HEADER: 'hidden-value' },
    });
    expect([code, stderr]).toEqual([0, '']);
    expect(server.seen).toHaveLength(2);
    for (const { body, headers } of server.seen) {
      expect(body).toMatchObject({ max_tokens: 77, seed: 7 });
      expect(body).not.toHaveProperty('temperature');
      expect(headers).toMatchObject({ 'x-team': 'mill', 'x-secret': 'hidden-value' });
    }
  });

  it('goes through the proxy of the environment, and past it where that says so', async () => {
    const flags = ['--limit', '1', '--keep-rule', 'edu:3'];
    const proxied = { ...env, http_proxy: new URL(server.url).origin, no_proxy: '' };
    const elsewhere = command(fresh(), ...flags).map((part) =>
      part === server.url ? 'http://model.invalid/v1' : part,
    );
    expect((await run(elsewhere, { env: proxied })).code).toBe(0);
    expect(server.seen.map(({ path }) => path)).toEqual([
      'http://model.invalid/v1/chat/completions',
    ]);
    const past = { ...env, http_proxy: 'http://127.0.0.1:1', no_proxy: '127.0.0.1' };
    expect((await run(command(fresh(), ...flags), { env: past })).code).toBe(0);
    expect(server.seen).toHaveLength(2);
  });

  it('stops in good order with exit code 3 where a quota is used up', async () => {
    const quota = '{"error":{"code":"insufficient_quota","message":"You exceeded your quota"}}';
    server.behave(async (request, response) => {
      if (server.seen.length > 20) return reply(response, quota, { status: 429 });
      await scoring(request, response);
    });
    const out = fresh();
    const { code } = await run(command(out, '--json'), { env });
    expect(code).toBe(3);
    const statistics = JSON.parse(readFileSync(join(out, 'statistics.json'), 'utf8'));
    expect(statistics).toMatchObject({ stopped: 'quota' });
    expect(statistics.labelled).toBeGreaterThan(0);
    expect(statistics.unfinished).toBeGreaterThan(0);
  });

  it('ends after so many failures in a row, with exit code 1', async () => {
    server.behave((_, response) => reply(response, '', { status: 500 }));
    const flags = ['--max-retries', '0', '--max-failures', '3', '--concurrency', '1', '--json'];
    const { code, stderr } = await run(command(fresh(), ...flags), { env });
    expect(code).toBe(1);
    expect(JSON.parse(stderr).error.code).toBe('ANNOTATE_EXPERT_DOWN');
    expect(server.seen).toHaveLength(3);
  });

  it('takes a local model', async () => {
    const gguf = join(root, 'chat.gguf');
    const chatTemplate = "{% for m in messages %}{{ m['content'] }}{% endfor %}";
    await writeRandomModel({ ...RANDOM_MODEL_PRESETS.tiny, path: gguf, seed: 4, chatTemplate });
    const out = fresh();
    const args = [
      ...['annotate', 'documents', corpus, '--out', out, '--expert-gguf', gguf, '--json'],
      ...['--threads', '1', '--slots', '4', '--limit', '6', '--answer-tokens', '8'],
    ];
    const first = await run(args, { env });
    // Random weights justify nothing: all rows fail, and are counted.
    expect([first.code, first.stderr]).toEqual([1, '']);
    expect(JSON.parse(first.stdout.toString())).toMatchObject({
      ...{ rowsIn: 6, labelled: 0, failed: 6, expert: { requests: 12, failed: 0 } },
    });
    const again = await run(args, { env });
    expect(JSON.parse(again.stdout.toString())).toMatchObject({
      failed: 6,
      expert: { requests: 0, cached: 12 },
    });
  });

  it.each([
    [['--expert-url', 'http://127.0.0.1:1/v1'], '--expert-model'],
    [[], '--expert-url'],
    [['--expert-gguf', 'a.gguf', '--expert-url', 'http://127.0.0.1:1'], '--expert-url'],
    [['--expert-gguf', 'a.gguf', '--concurrency', '2'], '--concurrency'],
    [['--expert-url', 'http://127.0.0.1:1', '--expert-model', 'm', '--slots', '2'], '--slots'],
  ])('refuses %j', async (flags, option) => {
    const args = ['annotate', 'documents', corpus, '--out', fresh(), '--json', ...flags];
    const { code, stderr } = await run(args, { env });
    expect(code).toBe(2);
    expect(JSON.parse(stderr).error).toMatchObject({ code: 'OPTION_INVALID', details: { option } });
  });

  it('has usage errors for values that are none', async () => {
    const { code, stderr } = await run(command(fresh(), '--concurrency', 'many'), { env });
    expect(code).toBe(2);
    expect(stderr).toContain('expected a whole number in 1..1024');
  });
});

it('annotate prompts writes copies that annotate documents takes', async () => {
  const prompts = fresh();
  const { code, stdout } = await run(['annotate', 'prompts', '--out', prompts, '--json']);
  expect(code).toBe(0);
  expect(JSON.parse(stdout.toString()).files).toHaveLength(6);
  const format = join(prompts, 'format.txt');
  writeFileSync(format, `Mine!\n${readFileSync(format, 'utf8').split('=== user ===\n')[1]}`);
  await run(command(fresh(), '--prompts', prompts, '--limit', '3'), { env });
  expect(server.seen.filter(({ user }) => user.startsWith('Mine!'))).toHaveLength(3);
  const again = await run(['annotate', 'prompts', '--out', prompts, '--json']);
  expect(JSON.parse(again.stderr).error.code).toBe('RUN_OUTPUT_FAILED');
});
