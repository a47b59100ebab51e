import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openExpertHere, openExpertProcess } from '../../../src/annotate/expert/expert-engine.ts';
import { RANDOM_MODEL_PRESETS, writeRandomModel } from '../../../src/model/random.ts';
import type { NativeEngineOptions, PromptFrame } from '../../../src/native/engine.ts';
import { distFile } from '../../../src/paths.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-expert-engine-'));
const modelPath = join(folder, 'tiny.gguf');
const crashing = fileURLToPath(
  new URL('../../refine/fixtures/crashing-worker.mjs', import.meta.url),
);
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
const prompts = ['A first text.', 'Second | menu | links', 'Third\nwith lines\nof its own', 'four'];
const asked = { prompts, frame, maxNewTokens: 4 };

beforeAll(async () => {
  await writeRandomModel({ ...RANDOM_MODEL_PRESETS.tiny, path: modelPath, seed: 3 });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));
afterEach(() => {
  for (const name of Object.keys(process.env)) {
    if (name.startsWith('GRISTMILL_TEST_')) delete process.env[name];
  }
});

describe('openExpertProcess', () => {
  it('answers as an engine in this process does', async () => {
    const here = await openExpertHere(options);
    const apart = await openExpertProcess(options);
    try {
      expect(apart.info).toEqual(here.info);
      const answers = await apart.answer(asked);
      expect(answers).toEqual(await here.answer(asked));
      expect(answers).toHaveLength(4);
      expect(await apart.answer({ ...asked, prompts: [] })).toEqual([]);
    } finally {
      await Promise.all([here.dispose(), apart.dispose()]);
    }
    await apart.dispose();
    await expect(apart.answer(asked)).rejects.toMatchObject({ code: 'DISPOSED' });
  });

  // A terminal's Ctrl-C goes to the whole process group: it used to kill the engine under the work still to be finished.
  it.skipIf(process.platform !== 'linux')(
    'outlives an interrupt of its process group',
    async () => {
      const children = () =>
        readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim().split(' ');
      const before = new Set(children());
      const engine = await openExpertProcess(options);
      try {
        const first = await engine.answer(asked);
        const own = children().filter((pid) => !before.has(pid));
        expect(own).toHaveLength(1);
        process.kill(Number(own[0]), 'SIGINT');
        expect(await engine.answer(asked)).toEqual(first);
        expect(children().filter((pid) => !before.has(pid))).toEqual(own);
      } finally {
        await engine.dispose();
      }
    },
  );

  it('survives a prompt that kills it, and sets only that one aside', async () => {
    process.env['GRISTMILL_TEST_SCRIPT'] = distFile('annotate/expert/expert-process.js');
    const deadly = [...prompts, 'this one must KILL-THE-ENGINE now', 'a last one'];
    const engine = await openExpertProcess(options, crashing);
    const plain = await openExpertHere(options);
    try {
      const answers = await engine.answer({ ...asked, prompts: deadly });
      const ends = ['stop', 'length'];
      expect(answers.map(({ end }) => (ends.includes(end) ? 'answered' : end))).toEqual([
        ...Array(4).fill('answered'),
        'crashed',
        'answered',
      ]);
      const whole = await plain.answer({ ...asked, prompts: deadly });
      for (const index of [0, 1, 2, 3, 5]) expect(answers[index]).toEqual(whole[index]);
    } finally {
      await Promise.all([engine.dispose(), plain.dispose()]);
    }
  });

  it('gives up on a process that dies while it loads the model', async () => {
    process.env['GRISTMILL_TEST_SCRIPT'] = distFile('annotate/expert/expert-process.js');
    process.env['GRISTMILL_TEST_DIE_AT_OPEN'] = '1';
    await expect(openExpertProcess(options, crashing)).rejects.toMatchObject({
      code: 'ENGINE_PROCESS_DIED',
    });
  });

  it('passes the errors of the model on with their codes', async () => {
    const opening = openExpertProcess({ ...options, modelPath: join(folder, 'none.gguf') });
    await expect(opening).rejects.toMatchObject({ code: 'ENGINE_MODEL_MISSING' });
  });
});
