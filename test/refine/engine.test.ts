import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RANDOM_MODEL_PRESETS, writeRandomModel } from '../../src/model/random.ts';
import type { NativeEngineOptions, PromptFrame } from '../../src/native/engine.ts';
import {
  FLAG_CRASHED,
  openLocalEngine,
  openProcessEngine,
  type RefinerEngine,
} from '../../src/refine/engine.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-engine-'));
const modelPath = join(folder, 'tiny.gguf');
const crashing = fileURLToPath(new URL('fixtures/crashing-engine.mjs', import.meta.url));
const options: NativeEngineOptions = {
  modelPath,
  device: 'cpu',
  nThreads: 1,
  nSlots: 4,
  nCtxSlot: 512,
  nUbatch: 128,
};
const frame: PromptFrame = {
  prefix: 'Judge: ',
  suffix: ' Verdict:',
  addBos: true,
  trimStart: false,
  trimEnd: false,
  maxTokens: 400,
  truncate: 'content',
};
const answers = ['keep_doc()', 'drop_doc()'] as const;
const lineFormat = { prefix: '[', minDigits: 3, suffix: ']', firstLine: 0 } as const;

function documents(texts: readonly string[]) {
  const encoded = texts.map((text) => new TextEncoder().encode(text));
  const offsets = new Int32Array(texts.length + 1);
  for (const [doc, text] of encoded.entries()) offsets[doc + 1] = offsets[doc]! + text.length;
  return { data: Buffer.concat(encoded), offsets };
}

const texts = ['A first text.', 'Second | menu | links', 'Third\nwith lines\nof its own', 'four'];

beforeAll(async () => {
  await writeRandomModel({ ...RANDOM_MODEL_PRESETS.tiny, path: modelPath, seed: 3 });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function everything(engine: RefinerEngine, views: ReturnType<typeof documents>) {
  const docs = Int32Array.of(0, 2, 3);
  const windows = await engine.planWindows({
    ...views,
    docs,
    lineFormat,
    windows: { unit: 'tokens', max: 64, countBos: true },
  });
  const programs = await engine.generatePrograms({
    ...views,
    windows,
    frame,
    lineFormat,
    grammar: null,
    maxNewTokens: 8,
  });
  const scores = await engine.scoreDocuments({ ...views, docs, frame, answers });
  const answered = await engine.generateText({ ...views, docs, frame, maxNewTokens: 4 });
  return { windows, programs, scores, answered };
}

describe('openProcessEngine', () => {
  it('answers as an engine in this process does', async () => {
    const local = await openLocalEngine(options);
    const remote = await openProcessEngine(options);
    try {
      expect(remote.info).toEqual(local.info);
      expect(await everything(remote, documents(texts))).toEqual(
        await everything(local, documents(texts)),
      );
      expect((await remote.stats()).promptTokens).toBe((await local.stats()).promptTokens);
    } finally {
      await Promise.all([local.dispose(), remote.dispose()]);
    }
  });

  // A terminal's Ctrl-C goes to the whole process group: it used to kill the engine under the work still to be finished.
  it.skipIf(process.platform !== 'linux')(
    'outlives an interrupt of its process group',
    async () => {
      const children = () =>
        readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim().split(' ');
      const before = new Set(children());
      let restarts = 0;
      const engine = await openProcessEngine(options, { onRestart: () => restarts++ });
      try {
        const request = { ...documents(texts), docs: null, frame, answers };
        const first = await engine.scoreDocuments(request);
        for (const pid of children()) if (!before.has(pid)) process.kill(Number(pid), 'SIGINT');
        expect(await engine.scoreDocuments(request)).toEqual(first);
        expect(restarts).toBe(0);
      } finally {
        await engine.dispose();
      }
    },
  );

  it('survives a document that kills it, and sets only that one aside', async () => {
    const deadly = [...texts, 'this one must KILL-THE-ENGINE now', 'a last one'];
    let restarts = 0;
    const engine = await openProcessEngine(options, {
      processFile: crashing,
      onRestart: () => restarts++,
    });
    const plain = await openLocalEngine(options);
    try {
      const request = { ...documents(deadly), docs: null, frame, answers };
      const crashed = await engine.scoreDocuments(request);
      expect([...crashed.flags]).toEqual([0, 0, 0, 0, FLAG_CRASHED, 0]);
      const whole = await plain.scoreDocuments(request);
      for (const doc of [0, 1, 2, 3, 5]) {
        // Batches of another size may round the last bits of a logit differently.
        expect(crashed.logitDiff[doc]).toBeCloseTo(whole.logitDiff[doc]!, 3);
      }
      expect(restarts).toBeGreaterThanOrEqual(2);
      const { windows, programs } = await everything(engine, documents(deadly.slice(2)));
      const victim = windows.doc.indexOf(2);
      expect(programs.flags[victim]).toBe(FLAG_CRASHED);
      expect(programs.flags.filter((flag) => flag & FLAG_CRASHED)).toHaveLength(1);
    } finally {
      await Promise.all([engine.dispose(), plain.dispose()]);
    }
  });

  it('gives up on a child that dies while it loads the model', async () => {
    process.env['GRISTMILL_TEST_DIE_AT_OPEN'] = '1';
    try {
      const opening = openProcessEngine(options, { processFile: crashing });
      await expect(opening).rejects.toMatchObject({ code: 'ENGINE_PROCESS_DIED' });
    } finally {
      delete process.env['GRISTMILL_TEST_DIE_AT_OPEN'];
    }
  });

  it('passes the errors of the model on with their codes', async () => {
    const opening = openProcessEngine({ ...options, modelPath: join(folder, 'none.gguf') });
    await expect(opening).rejects.toMatchObject({ code: 'ENGINE_MODEL_MISSING' });
  });

  it('refuses calls after dispose, and disposes twice', async () => {
    const engine = await openProcessEngine(options);
    await engine.dispose();
    await engine.dispose();
    const request = { ...documents(texts), docs: null, frame, answers };
    await expect(engine.scoreDocuments(request)).rejects.toMatchObject({ code: 'DISPOSED' });
  });
});
