import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addonFile } from '../../src/paths.ts';
import {
  documents,
  folder,
  llamaFrame,
  open,
  raggedTexts,
  removeFolder,
  tinyModel,
} from './support.ts';

let path: string;
beforeAll(async () => {
  path = await tinyModel('life');
});
afterAll(removeFolder);

const answers = ['keep_doc()', 'drop_doc()'] as const;
const long = { ...documents(raggedTexts(200, 60)), docs: null, frame: llamaFrame };

describe('opening', () => {
  const broken = (name: string, change: (bytes: Buffer) => Buffer): string => {
    const file = join(folder, name);
    writeFileSync(file, change(readFileSync(path)));
    return file;
  };
  const code = async (file: string, options = {}) =>
    open(file, options).then(
      () => 'opened',
      (error) => error.code,
    );

  it('says what is wrong with a model file', async () => {
    expect(await code(join(folder, 'nowhere.gguf'))).toBe('ENGINE_MODEL_MISSING');
    expect(await code(folder)).toBe('ENGINE_MODEL_MISSING');
    expect(await code(broken('empty.gguf', () => Buffer.alloc(0)))).toBe('ENGINE_MODEL_INVALID');
    expect(await code(broken('text.gguf', () => Buffer.alloc(999, 'x')))).toBe(
      'ENGINE_MODEL_INVALID',
    );
    for (const keep of [20, 100, 3000, 20_000, 400_000, 707_000]) {
      const file = broken('short.gguf', (bytes) => bytes.subarray(0, keep));
      expect(await code(file), `${keep} bytes`).toBe('ENGINE_MODEL_INVALID');
    }
    const renamed = broken('other.gguf', (bytes) =>
      Buffer.from(bytes.toString('latin1').replaceAll('llama', 'mamba'), 'latin1'),
    );
    expect(await code(renamed)).toBe('ENGINE_ARCHITECTURE_UNSUPPORTED');
  });

  it('says which cache does not go with the heads of a model', async () => {
    // Heads of 16: it once was said to be out of memory.
    await expect(open(path, { kvType: 'q8_0' })).rejects.toMatchObject({
      code: 'OPTION_INVALID',
      message: expect.stringContaining('heads of 16 are no whole blocks of 32'),
    });
    expect(await code(path, { kvType: 'bf16' })).toBe('opened');
  });

  it('never dies of a damaged header', async () => {
    const bytes = readFileSync(path);
    for (let at = 8; at < 800; at += 37) {
      const file = broken('damaged.gguf', () => {
        const copy = Buffer.from(bytes);
        copy[at] = copy[at]! ^ 0xff;
        return copy;
      });
      expect(await code(file)).toMatch(/^(?:opened|ENGINE_|NATIVE_FAILED)/);
    }
  });

  it('checks options, context and device', async () => {
    expect(await code(path, { nSlots: 257 })).toBe('OPTION_INVALID');
    expect(await code(path, { nThreads: 0 })).toBe('OPTION_INVALID');
    expect(await code(path, { device: 'tpu' })).toBe('OPTION_INVALID');
    expect(await code(path, { device: 'cuda:99' })).toBe('ENGINE_DEVICE_MISSING');
    expect(await code(path, { nCtxSlot: 4096 })).toBe('ENGINE_CONTEXT_TOO_SMALL');
    expect(await code(path, { nSlots: 256, nUbatch: 1 })).toBe('opened');
    const engine = await open(path, { nCtxSlot: 256 });
    await expect(engine.scoreDocuments({ ...long, answers })).rejects.toMatchObject({
      code: 'ENGINE_CONTEXT_TOO_SMALL',
    });
    await engine.dispose();
  });

  it('checks requests', async () => {
    const engine = await open(path);
    const bad = async (change: object) =>
      engine.scoreDocuments({ ...long, answers, ...change }).then(
        () => 'scored',
        (error) => error.code,
      );
    expect(await bad({ offsets: Int32Array.of(0, 5, 3) })).toBe('OPTION_INVALID');
    expect(await bad({ offsets: Int32Array.of(0, long.data.length + 1) })).toBe('OPTION_INVALID');
    expect(await bad({ data: new Float64Array(3) })).toBe('OPTION_INVALID');
    expect(await bad({ docs: Int32Array.of(200) })).toBe('OPTION_INVALID');
    expect(await bad({ answers: ['keep', 'keep_doc'] })).toBe('OPTION_INVALID');
    expect(() => engine.detokenize(Int32Array.of(768))).toThrow(/OPTION_INVALID|option tokens/);
    await engine.dispose();
  });
});

describe('the end', () => {
  it('may come twice; what comes after it throws DISPOSED', async () => {
    const engine = await open(path);
    await Promise.all([engine.dispose(), engine.dispose()]);
    await engine.dispose();
    expect(() => engine.info()).toThrow(expect.objectContaining({ code: 'DISPOSED' }));
    expect(() => engine.stats()).toThrow(expect.objectContaining({ code: 'DISPOSED' }));
    await expect(engine.scoreDocuments({ ...long, answers })).rejects.toMatchObject({
      code: 'DISPOSED',
    });
  });

  it('rejects what is under way', async () => {
    const engine = await open(path);
    const calls = [1, 2, 3].map(() => engine.scoreDocuments({ ...long, answers }));
    const settled = Promise.allSettled(calls);
    await engine.dispose();
    for (const call of await settled) {
      expect(call).toMatchObject({ status: 'rejected', reason: { code: 'DISPOSED' } });
    }
  });

  it('of one call by its signal leaves the others alone', async () => {
    const engine = await open(path);
    const small = { ...long, docs: Int32Array.of(3, 1, 2), answers };
    const expected = await engine.scoreDocuments(small);
    const controller = new AbortController();
    const aborted = engine.generateText(
      { ...long, maxNewTokens: 100 },
      { signal: controller.signal },
    );
    const queued = engine.scoreDocuments(small);
    setTimeout(() => controller.abort(), 50);
    await expect(aborted).rejects.toMatchObject({ code: 'ABORTED' });
    expect(await queued).toEqual(expected);
    const late = engine.scoreDocuments(small, { signal: AbortSignal.abort() });
    await expect(late).rejects.toMatchObject({ code: 'ABORTED' });
    await engine.dispose();
  });

  it('serves calls that overlap, in order', async () => {
    const engine = await open(path);
    const finished: number[] = [];
    await Promise.all(
      [0, 1, 2].map(async (call) => {
        await engine.scoreDocuments({ ...long, docs: Int32Array.of(call), answers });
        finished.push(call);
      }),
    );
    expect(finished).toEqual([0, 1, 2]);
    await engine.dispose();
  });

  // The worker ends without dispose(): idle, in the middle of a call, and by terminate().
  it.each(['idle', 'busy', 'terminate'])('of a worker thread, %s', async (mode) => {
    const script = `
      const { parentPort, workerData } = require('node:worker_threads');
      const { Engine } = require(workerData.addonFile);
      const engine = new Engine(workerData.options);
      engine.open().then(async () => {
        if (workerData.mode === 'idle') return parentPort.postMessage('ready');
        const done = engine.generateText(workerData.request, 1);
        parentPort.postMessage('ready');
        if (workerData.mode === 'busy') setTimeout(() => process.exit(0), 30);
        await done;
      });`;
    const options = {
      modelPath: path,
      device: 'cpu',
      nThreads: 1,
      nSlots: 4,
      nCtxSlot: 1024,
      nUbatch: 128,
    };
    const worker = new Worker(script, {
      eval: true,
      workerData: { addonFile, options, mode, request: { ...long, maxNewTokens: 200 } },
    });
    const exited = new Promise<number>((resolve) => worker.once('exit', resolve));
    await new Promise((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    });
    if (mode === 'terminate') {
      await new Promise((resolve) => setTimeout(resolve, 30));
      await worker.terminate();
    }
    expect([0, 1]).toContain(await exited);
  });

  // process.exit() runs no cleanup hook: threads that went on computing met destroyed objects (SIGSEGV).
  it('of the process, in the middle of a call', () => {
    const options = { modelPath: path, device: 'cpu', nThreads: 2, nSlots: 4 };
    const request = { text: [...long.data], offsets: [...long.offsets], frame: long.frame };
    const script = `
      const { Engine } = require(${JSON.stringify(addonFile)});
      const engine = new Engine(${JSON.stringify({ ...options, nCtxSlot: 1024, nUbatch: 128 })});
      const { text, offsets, frame } = ${JSON.stringify(request)};
      const docs = { data: Uint8Array.from(text), offsets: Int32Array.from(offsets), docs: null, frame };
      engine.open().then(() => {
        engine.generateText({ ...docs, maxNewTokens: 200 }, 1).catch(() => {});
        setTimeout(() => process.exit(7), 30);
      });`;
    const { status, stderr } = spawnSync(process.execPath, ['-'], {
      input: script,
      encoding: 'utf8',
    });
    expect([status, stderr]).toEqual([7, '']);
  });
});
