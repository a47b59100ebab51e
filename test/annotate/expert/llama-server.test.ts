/** The expert against a server of somebody else's making: llama.cpp's own, built from the vendored tree. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openExpert } from '../../../src/annotate/expert/expert.ts';
import { annotateDocuments } from '../../../src/annotate/label/label-documents.ts';
import { RANDOM_MODEL_PRESETS, writeRandomModel } from '../../../src/model/random.ts';
import { testTexts } from '../../support/corpus.ts';
import {
  buildLlamaServer,
  type LlamaServer,
  startLlamaServer,
  whyNoLlamaServer,
} from '../../support/llama-server.ts';

const missing = await whyNoLlamaServer();
if (missing) console.warn(`llama-server: ${missing}: the expert is NOT tested against it`);

const folder = mkdtempSync(join(tmpdir(), 'gristmill-llama-server-'));
const gguf = join(folder, 'chat.gguf');
const chatTemplate =
  "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}\n{% endfor %}<assistant>";
let server: LlamaServer;

describe.skipIf(missing !== null)('an expert at llama-server', () => {
  beforeAll(async () => {
    await buildLlamaServer();
    await writeRandomModel({ ...RANDOM_MODEL_PRESETS.tiny, path: gguf, seed: 11, chatTemplate });
    server = await startLlamaServer(gguf, { nCtx: 1024 });
  }, 1_800_000);
  afterAll(async () => {
    await server?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const users = ['one', 'two words', 'three\nlines of\ntext', 'naïve 漢字 😀', '<think>'];
  const request = (user: string, system: string | null = 'Judge.') => ({
    system,
    user,
    maxTokens: 12,
  });

  it('gets answers, counts and the reason of their end', async () => {
    await using expert = await openExpert({ url: server.url, model: 'tiny', concurrency: 3 });
    const answers = await Promise.all(users.map((user) => expert.ask(request(user))));
    for (const { finish, promptTokens, answerTokens } of answers) {
      expect(finish === 'stop' || answerTokens === 12).toBe(true);
      expect(promptTokens).toBeGreaterThan(5);
    }
    const { estimated, failed, retries } = expert.stats();
    expect([estimated, failed, retries]).toEqual([0, 0, 0]);
  });

  it('counts the prompt as our own engine does under the same template', async () => {
    await using remote = await openExpert({ url: server.url, model: 'tiny' });
    await using local = await openExpert({ gguf, isolate: false, threads: 1, slots: 2 });
    for (const user of users) {
      const [there, here] = [await remote.ask(request(user)), await local.ask(request(user))];
      expect([user, there.promptTokens]).toEqual([user, here.promptTokens]);
    }
  });

  it('hears that a prompt is too long, and loses that one only', async () => {
    await using expert = await openExpert({ url: server.url, model: 'tiny', maxFailures: 1 });
    await expect(expert.ask(request('word '.repeat(3000)))).rejects.toMatchObject({
      code: 'ANNOTATE_EXPERT_FAILED',
      details: { attempts: 1, ofPrompt: true },
    });
    expect((await expert.ask(request('fits'))).cached).toBe(false);
  });

  it('hears that an address is wrong', async () => {
    const url = server.url.replace('/v1', '/v9');
    await using expert = await openExpert({ url, model: 'tiny' });
    await expect(expert.ask(request('x'))).rejects.toMatchObject({
      code: 'ANNOTATE_EXPERT_REFUSED',
      details: { status: 404 },
    });
  });

  it('goes through documents, and pays once', async () => {
    const corpus = join(folder, 'corpus.jsonl');
    const rows = testTexts(12, 9).map((text, row) => JSON.stringify({ id: `d${row}`, text }));
    writeFileSync(corpus, `${rows.join('\n')}\n`);
    const annotate = () =>
      annotateDocuments({
        inputs: [corpus],
        out: join(folder, 'out'),
        expert: { url: server.url, model: 'tiny', concurrency: 2 },
        maxChars: 400,
        answerTokens: 16,
      });
    const first = await annotate();
    // Random weights give no scores: what counts is that every row is accounted for.
    expect(first).toMatchObject({
      rowsIn: 12,
      unfinished: 0,
      expert: { requests: 24, retries: 0 },
    });
    expect(first.labelled + first.failed).toBe(12);
    const again = await annotate();
    expect(again).toMatchObject({
      ...{ labelled: first.labelled, failures: first.failures },
      expert: { requests: 0, cached: 24 },
    });
  });
});
