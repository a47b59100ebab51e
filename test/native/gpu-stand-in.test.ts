/**
 * The way of `--device cuda:0` without a GPU: on a backend that stands in the place of CUDA's (gpu-stand-in/). What it cannot
 * say is what a card computes and how fast; what the host does before, beside and after that is the same.
 */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type StandIn, standIn, whyNoStandIn } from '../support/gpu-stand-in.ts';

if (whyNoStandIn !== null) console.warn(`NOT TESTED on the stand-in of a GPU: ${whyNoStandIn}`);

/** A model of random weights that is asked for programs, small enough for a step to take milliseconds. */
const RANDOM_PROGRAMS = [
  '--chunk-model',
  'random:tiny',
  '--stages',
  'chunk',
  '--slots',
  '4',
  '--id-column',
  'id',
];

describe.skipIf(whyNoStandIn !== null)('cuda:0 on the stand-in', () => {
  let gpu: StandIn;
  /** Two files, so two units, of a few short documents. */
  let corpus: string;
  beforeAll(() => {
    gpu = standIn();
    corpus = join(gpu.folder, 'corpus');
    mkdirSync(corpus);
    for (const name of ['a', 'b']) {
      const rows = [1, 2, 3].map((n) => ({
        id: `${name}${n}`,
        text: 'The mill stands.\nLog in\n'.repeat(n),
      }));
      const lines = rows.map((row) => `${JSON.stringify(row)}\n`);
      writeFileSync(join(corpus, `${name}.jsonl`), lines.join(''));
    }
  });
  afterAll(() => gpu?.dispose());

  /** Prints what the module's `result` is. */
  const evaluate = (settings: string, body: string) => {
    const { stdout, stderr, status, counts } = gpu.script(
      settings,
      `import { native } from '${gpu.folder}/dist/native/index.js';
       import { RANDOM_MODEL_PRESETS, writeRandomModel } from '${gpu.folder}/dist/model/random.js';
       const text = 'The mill stands where the river bends. ';
       const documents = (texts) => {
         const encoded = texts.map((one) => new TextEncoder().encode(one));
         const offsets = new Int32Array(texts.length + 1);
         for (const [at, one] of encoded.entries()) offsets[at + 1] = offsets[at] + one.length;
         return { data: new Uint8Array(Buffer.concat(encoded)), offsets };
       };
       const model = async (changes = {}) => {
         const path = '${gpu.folder}/tiny-' + (changes.type ?? 'own') + '.gguf';
         await writeRandomModel({ ...RANDOM_MODEL_PRESETS.tiny, seed: 7, ...changes, path });
         return path;
       };
       const open = (modelPath, device, more = {}) => native().openEngine({
         modelPath, device, nThreads: 1, nSlots: 8, nCtxSlot: 1024, nUbatch: 512, ...more });
       const frame = { prefix: '<s>[INST] ', suffix: ' [/INST]', addBos: true, trimStart: false,
         trimEnd: false, maxTokens: 900, truncate: 'prompt' };
       const request = { ...documents(Array.from({ length: 24 }, (_, at) => text.repeat(1 + (at * 7) % 23))),
         docs: null, frame, answers: ['keep_doc()', 'drop_doc()'] };
       const failure = (error) => ({ code: error.code, message: error.message });
       ${body}
       console.log(JSON.stringify(result));`,
    );
    expect(stderr).toBe('');
    expect(status).toBe(0);
    return { result: JSON.parse(stdout), counts };
  };

  it('lists devices with their models and memory', () => {
    const { stdout } = gpu.command('devices=2,mib=2048', 'devices', '--json');
    const { devices, hasGpuBackend, missing } = JSON.parse(stdout);
    expect(devices.map(({ name }: { name: string }) => name).sort()).toEqual([
      'cpu',
      'cuda:0',
      'cuda:1',
    ]);
    const second = devices.find(({ name }: { name: string }) => name === 'cuda:1');
    expect(second).toMatchObject({
      description: 'Stand-in B',
      totalBytes: 2 ** 31,
      sharesMemory: false,
    });
    expect([hasGpuBackend, missing]).toEqual([true, '']);
    expect(gpu.command('', 'devices').stdout).toContain(
      'cuda:0  Stand-in A  4096 of 4096 MiB free\n',
    );
  });

  it('finds GPUs that share the memory of the CPU', () => {
    // They were passed over: their type is another one.
    const { stdout } = gpu.command('integrated=1', 'devices');
    expect(stdout).toMatch(/^cuda:0 .*MiB free, shared with the CPU$/m);
    const { result } = evaluate(
      'integrated=1',
      `const engine = await open(await model(), 'cuda:0');
       const result = { device: engine.info().device };
       await engine.dispose();`,
    );
    expect(result).toEqual({ device: 'Stand-in A' });
  });

  it('loads no backend of a GPU for a run on the CPU', () => {
    const { result, counts } = evaluate(
      '',
      `const engine = await open(await model(), 'cpu');
       const { logitDiff } = await engine.scoreDocuments(request);
       const result = logitDiff.length;
       await engine.dispose();`,
    );
    expect(result).toBe(24);
    expect(counts).toEqual([]);
  });

  it('scores documents as the CPU does, with the table of embeddings on the card', () => {
    const { result, counts } = evaluate(
      '',
      `const path = await model();
       const score = async (device) => {
         const engine = await open(path, device);
         const { logitDiff } = await engine.scoreDocuments(request);
         await engine.dispose();
         return [...logitDiff];
       };
       const result = { cpu: await score('cpu'), gpu: await score('cuda:0') };`,
    );
    for (const [at, expected] of result.cpu.entries())
      expect(Math.abs(result.gpu[at] - expected)).toBeLessThan(0.05);
    expect(Math.max(...result.cpu) - Math.min(...result.cpu)).toBeGreaterThan(0.1);
    // One thread of the host looked the rows up, and they crossed to the card.
    expect(counts[0]!.graphs).toBeGreaterThan(0);
    expect(counts[0]!.tableLookups).toBe(counts[0]!.graphs);
  });

  it('does not wait for steps of which nothing is read', () => {
    const { result, counts } = evaluate(
      '',
      `const engine = await open(await model(), 'cuda:0', { nSlots: 1, nUbatch: 64 });
       await engine.scoreDocuments({ ...request, ...documents([text.repeat(80)]) });
       const { ubatches } = engine.stats();
       const result = ubatches;
       await engine.dispose();`,
    );
    expect(result).toBeGreaterThan(8);
    // A wait for each step's end came in front of those for the memory of the next one's inputs.
    expect(counts[0]!.repeatedWaits).toBeLessThan(result / 2);
  });

  it('writes programs under the grammar, and text without', () => {
    const { result } = evaluate(
      '',
      `import { DIALECTS } from '${gpu.folder}/dist/program/dialects.js';
       const engine = await open(await model(), 'cuda:0');
       const lineFormat = { prefix: '[', minDigits: 3, suffix: ']', firstLine: 0 };
       const grammar = DIALECTS.prox.makeGrammar({ deletionOnly: false });
       const lines = documents(Array.from({ length: 12 }, (_, at) => (text + '\\n').repeat(1 + at)));
       const windows = await engine.planWindows({ ...lines, docs: null, lineFormat, windows: { unit: 'tokens', max: 400, countBos: true } });
       const { programs } = await engine.generatePrograms({ ...lines, windows, frame, lineFormat, grammar, maxNewTokens: 60 });
       const free = await engine.generateText({ ...request, maxNewTokens: 5 });
       const result = { programs, free: free.programs.length };
       await engine.dispose();`,
    );
    expect(result.programs.length).toBeGreaterThanOrEqual(12);
    for (const program of result.programs)
      expect(program).toMatch(/^(keep_all|remove_lines|normalize)/);
    expect(result.free).toBe(24);
  });

  it('says what did not fit, what is free and what takes less', () => {
    const { result } = evaluate(
      'mib=64',
      `const path = await model();
       const large = await open(path, 'cuda:0', { nSlots: 256, nCtxSlot: 2048 }).catch(failure);
       const none = await open(path, 'cuda:7').catch(failure);
       const fits = await open(path, 'cuda:0', { nSlots: 2 });
       const result = { large, none, fits: fits.info().device };
       await fits.dispose();`,
    );
    expect(result.large.code).toBe('ENGINE_OUT_OF_MEMORY');
    expect(result.large.message).toMatch(
      /on cuda:0: out of memory: a cache of \d+ MiB for 256 slots of 2048 tokens, \d+ MiB available; fewer slots take less \(--slots\): at most \d+ fit/,
    );
    expect(result.none).toEqual({
      code: 'ENGINE_DEVICE_MISSING',
      message: expect.stringContaining('device cuda:7 is not there; available: '),
    });
    expect(result.fits).toBe('Stand-in A');
  });

  it('takes as many slots as a card has room for, where none are asked for', () => {
    // ultrax asks for 16 slots of 32,768 tokens: 56 GiB, and a card of 24 had no room for a refiner that is published for it.
    const { result } = evaluate(
      'mib=24576,compute=0',
      `const path = '${gpu.folder}/cache.gguf';
       await writeRandomModel({ ...RANDOM_MODEL_PRESETS['qwen3-0.6b'], path, seed: 1,
         nEmbd: 64, nFf: 64, vocabSize: 1024 });
       const sizes = { nSlots: 16, nCtxSlot: 32768, nUbatch: 4096 };
       const asked = await open(path, 'cuda:0', sizes).catch(failure);
       const slots = async (more) => {
         const engine = await open(path, 'cuda:0', { ...sizes, fitSlots: true, ...more });
         const { programs } = await engine.generateText({ ...request, maxNewTokens: 3 });
         const { nSlots } = engine.info();
         await engine.dispose();
         return [nSlots, programs.length];
       };
       const first = await open(path, 'cuda:0', { ...sizes, nSlots: 3 });
       const result = { asked, beside: await slots({}) };
       await first.dispose();
       Object.assign(result, { alone: await slots({}), few: await slots({ nSlots: 5 }),
         onCpu: await open(path, 'cpu', { nSlots: 3, fitSlots: true }).then(async (engine) => {
           const { nSlots } = engine.info();
           await engine.dispose();
           return nSlots;
         }) });`,
    );
    expect(result.asked.message).toContain('a cache of 57344 MiB for 16 slots of 32768 tokens');
    expect(result.asked.message).toContain('at most 6 fit');
    expect(result).toMatchObject({ alone: [6, 24], beside: [3, 24], few: [5, 24], onCpu: 3 });
  });

  it('refines by the default of ultrax on a card of 24 GB, and says how many slots it took', () => {
    const model = join(gpu.folder, 'ultrax.gguf');
    gpu.script(
      '',
      `import { RANDOM_MODEL_PRESETS, writeRandomModel } from '${gpu.folder}/dist/model/random.js';
       await writeRandomModel({ ...RANDOM_MODEL_PRESETS['qwen3-0.6b'], path: '${model}', seed: 1,
         nEmbd: 64, nFf: 64, vocabSize: 1024 });`,
    );
    const refine = (name: string, ...more: string[]) =>
      gpu.command(
        'mib=24576,compute=0',
        ...['refine', corpus, '--out', join(gpu.folder, name), '--chunk-model', model],
        ...['--profile', 'ultrax', '--stages', 'chunk', '--device', 'cuda:0', '--limit', '1'],
        ...['--id-column', 'id', ...more],
      );
    const fitted = refine('fitted');
    expect(fitted.stderr).toContain(
      'chunk stage on cuda:0: 6 slots of 32768 tokens instead of 16, as many as fit what is free',
    );
    expect(fitted.status).toBe(0);
    const asked = refine('asked', '--slots', '16');
    expect(asked.stderr).toContain('ENGINE_OUT_OF_MEMORY');
    expect(asked.status).toBe(1);
  });

  it('says in the caller’s process that a card had no room for a step', () => {
    // The process was ended. The engine is lost, what it holds of the card is given back, and another one can be opened.
    const { result } = evaluate(
      'full=2',
      `const path = await model();
       const engine = await open(path, 'cuda:0');
       const first = await engine.scoreDocuments(request).catch(failure);
       const second = await engine.generateText({ ...request, maxNewTokens: 2 }).catch(failure);
       const tokens = engine.tokenize(new TextEncoder().encode(text), { addSpecial: false, parseSpecial: false });
       await engine.dispose();
       const again = await open(path, 'cuda:0', { nSlots: 4 });
       const { logitDiff } = await again.scoreDocuments(request);
       await again.dispose();
       const onCpu = await open(path, 'cpu');
       const { logitDiff: expected } = await onCpu.scoreDocuments(request);
       await onCpu.dispose();
       const result = { first, second, tokens: tokens.length,
         differs: Math.max(...logitDiff.map((value, at) => Math.abs(value - expected[at]))) };`,
    );
    expect(result.first.code).toBe('ENGINE_OUT_OF_MEMORY');
    expect(result.first.message).toMatch(
      /on cuda:0: out of memory: CUDA error: out of memory; a cache of \d+ MiB for 8 slots of 1024 tokens, \d+ of 4096 MiB are free; fewer slots take less \(--slots\)/,
    );
    expect(result.second).toEqual(result.first);
    expect(result.tokens).toBeGreaterThan(3);
    expect(result.differs).toBeLessThan(0.05);
  });

  it('says in the caller’s process that a card had no room for a training step, and keeps the weights', () => {
    const { result } = evaluate(
      'full=6',
      `const shape = { nVocab: 64, nEmbd: 32, nLayer: 2, nHead: 4, nHeadKv: 2, nHeadDim: 8, nFf: 64, ropeTheta: 10000,
         rmsEpsilon: 1e-5, tied: true, nClasses: 0 };
       const { openTrainer } = await import('${gpu.folder}/dist/train/trainer.js');
       const tokens = Int32Array.from({ length: 64 }, (_, at) => (at * 37) % 64);
       const positions = Int32Array.from({ length: 62 }, (_, at) => (at < 31 ? at : at + 1));
       const labels = Int32Array.from(positions, (at) => tokens[at + 1]);
       const failures = [];
       const train = async () => {
         const trainer = await openTrainer({ shape, nSeq: 2, nCtx: 32, seed: 3, device: 'cuda:0', nThreads: 1 });
         const losses = [];
         while (losses.length < 4) {
           const made = await trainer.steps([{ batches: [{ tokens, positions, labels }], lr: 1e-2 }]).catch(failure);
           if (made.code) failures.push({ ...made, step: losses.length });
           else losses.push(made.losses[0]);
         }
         await trainer.dispose();
         return losses;
       };
       const [interrupted, whole] = [await train(), await train()];
       const result = { failures, interrupted, whole };`,
    );
    expect(result.failures).toHaveLength(1);
    expect(result.failures[0].code).toBe('TRAIN_OUT_OF_MEMORY');
    expect(result.failures[0].message).toMatch(
      /a training step beside \d+ MiB of activations: CUDA error: out of memory; \d+ of 4096 MiB are free on cuda:0; fewer sequences at a time/,
    );
    expect(result.failures[0].step).toBeGreaterThan(0);
    expect(result.interrupted).toEqual(result.whole);
  });

  it('trains as the CPU does', () => {
    const { result } = evaluate(
      '',
      `const shape = { nVocab: 64, nEmbd: 32, nLayer: 2, nHead: 4, nHeadKv: 2, nHeadDim: 8, nFf: 64, ropeTheta: 10000,
         rmsEpsilon: 1e-5, tied: true, nClasses: 0 };
       const { openTrainer } = await import('${gpu.folder}/dist/train/trainer.js');
       const tokens = Int32Array.from({ length: 64 }, (_, at) => (at * 37) % 64);
       const positions = Int32Array.from({ length: 62 }, (_, at) => (at < 31 ? at : at + 1));
       const labels = Int32Array.from(positions, (at) => tokens[at + 1]);
       const train = async (device) => {
         const trainer = await openTrainer({ shape, nSeq: 2, nCtx: 32, seed: 3, device, nThreads: 1 });
         const losses = [];
         for (let step = 0; step < 6; step++) {
           const made = await trainer.steps([{ batches: [{ tokens, positions, labels }], lr: 1e-2 }]);
           losses.push(made.losses[0]);
         }
         await trainer.dispose();
         return losses;
       };
       const result = { cpu: await train('cpu'), gpu: await train('cuda:0') };`,
    );
    expect(result.gpu.at(-1)).toBeLessThan(result.gpu[0] - 0.1);
    for (const [step, loss] of result.cpu.entries()) expect(result.gpu[step]).toBeCloseTo(loss, 3);
  });

  it('says what a trainer did not find room for', () => {
    const { result } = evaluate(
      'mib=1',
      `const shape = { nVocab: 512, nEmbd: 128, nLayer: 2, nHead: 4, nHeadKv: 2, nHeadDim: 32, nFf: 256, ropeTheta: 10000,
         rmsEpsilon: 1e-5, tied: true, nClasses: 0 };
       const { openTrainer } = await import('${gpu.folder}/dist/train/trainer.js');
       const result = await openTrainer({ shape, nSeq: 2, nCtx: 32, device: 'cuda:0', nThreads: 1 }).catch(failure);`,
    );
    expect(result.code).toBe('TRAIN_OUT_OF_MEMORY');
    expect(result.message).toMatch(/gradients and moments \(\d+ MiB\).*1 MiB are free on cuda:0/);
  });

  it('refines on two devices', () => {
    const out = join(gpu.folder, 'two');
    const { status, stderr } = gpu.command(
      'devices=2',
      ...['refine', corpus, '--out', out, ...RANDOM_PROGRAMS, '--device', 'cuda:0,1'],
    );
    expect(stderr).not.toContain('ENGINE_');
    expect(status).toBe(0);
    const parts = readdirSync(out).filter((name) => name.startsWith('part-'));
    expect(parts).toHaveLength(2);
  });

  it('begins nothing while one of the devices is not there, or has no room', () => {
    // The whole corpus was refined on the first; then the run ended without a summary.
    const out = join(gpu.folder, 'missing');
    const flags = [...RANDOM_PROGRAMS, '--device', 'cuda:0,1'];
    const missing = gpu.command('devices=1', 'refine', corpus, '--out', out, ...flags);
    expect(missing.status).toBe(1);
    expect(missing.stderr).toContain(
      'ENGINE_DEVICE_MISSING: device cuda:1 is not there; available: ',
    );
    expect(existsSync(out)).toBe(false);
    const full = gpu.command(
      'devices=2,mib1=2',
      ...['refine', corpus, '--out', out, ...flags, '--slots', '64'],
    );
    expect(full.status).toBe(1);
    expect(full.stderr).toContain('ENGINE_OUT_OF_MEMORY');
    expect(readdirSync(out).filter((name) => name.endsWith('.parquet'))).toEqual([]);
    // What has produced nothing stands in nobody's way.
    const onCpu = gpu.command(
      '',
      'refine',
      corpus,
      '--out',
      out,
      ...RANDOM_PROGRAMS,
      '--limit',
      '2',
    );
    expect(onCpu.stderr).not.toContain('RUN_CHANGED');
    expect(onCpu.status).toBe(0);
  });

  it('holds a run to the model of its card', () => {
    const out = join(gpu.folder, 'held');
    const refine = (device: string) =>
      gpu.command(
        'devices=2',
        ...['refine', corpus, '--out', out, '--device', device],
        ...RANDOM_PROGRAMS,
      );
    const first = refine('cuda');
    expect(first.status).toBe(0);
    const again = refine('cuda:0');
    expect(again.stderr).not.toContain('RUN_CHANGED');
    expect(again.status).toBe(0);
    const other = refine('cuda:1');
    expect(other.stderr).toMatch(/RUN_CHANGED.*options\.deviceModel: "Stand-in A" -> "Stand-in B"/);
    expect(other.status).toBe(1);
  });

  it('refuses devices that it would not use', () => {
    const { result } = evaluate(
      'devices=2',
      `const { openRefiner } = await import('${gpu.folder}/dist/index.js');
       const result = await openRefiner({ device: 'cuda:0,1' }).catch(failure);`,
    );
    expect(result.code).toBe('OPTION_INVALID');
    expect(result.message).toContain('one device');
  });

  it('says what the backend said when it ended the process', () => {
    // `died (SIGABRT)` was all; and ggml forked a debugger.
    const flags = ['--out', join(gpu.folder, 'fault'), ...RANDOM_PROGRAMS, '--device', 'cuda:0'];
    const fault = gpu.command('fault=2', 'refine', corpus, ...flags, '--limit', '1');
    expect(fault.stderr).toContain('CUDA error: an illegal memory access was encountered');
    expect(fault.stderr).toMatch(/cuda:0: a cache of \d+ MiB for \d+ slots/);
  });

  it('ends a run at once when a card has no room for a step', () => {
    const flags = ['--out', join(gpu.folder, 'full'), ...RANDOM_PROGRAMS, '--device', 'cuda:0'];
    const { status, stderr } = gpu.command('full=2', 'refine', corpus, ...flags, '--limit', '2');
    expect(status).toBe(1);
    expect(stderr).toMatch(
      /ENGINE_OUT_OF_MEMORY: .* on cuda:0: out of memory: CUDA error: out of memory.*--slots/,
    );
    expect(stderr).not.toContain('was started again');
  });
});
