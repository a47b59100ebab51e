/** `gristmill models convert` and `models pull` as commands. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { splitWords } from '../../src/model/tokenizer-training.ts';
import { byteLevelTokenizer, smallConfig, writeJson, writeModel } from '../support/hf-model.ts';
import { HubMirror } from '../support/hub-mirror.ts';
import { run } from './support.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-cli-models-'));
const source = join(folder, 'source');
const mirror = new HubMirror();

beforeAll(async () => {
  writeModel(source, smallConfig('MistralForCausalLM', { sliding_window: 100 }));
  const cut = { type: 'ByteLevel', add_prefix_space: false, use_regex: true };
  writeJson(source, 'tokenizer.json', byteLevelTokenizer(splitWords, cut));
  for (const name of readdirSync(source)) mirror.files.set(name, readFileSync(join(source, name)));
  await mirror.start();
});
afterAll(async () => {
  await mirror.stop();
  rmSync(folder, { recursive: true, force: true });
});

describe('gristmill models convert', () => {
  it('converts, says what it wrote and what is left out', async () => {
    const out = join(folder, 'model.gguf');
    const { code, stdout, stderr } = await run([
      'models',
      'convert',
      source,
      '--out',
      out,
      '--type',
      'q8_0',
    ]);
    expect([code, stderr]).toEqual([0, expect.stringContaining('note: sliding_window 100')]);
    expect(stdout.toString()).toContain('llama, 21 tensors');
    expect(existsSync(out)).toBe(true);
  });

  it('prints JSON, and a coded error', async () => {
    const out = join(folder, 'named.gguf');
    const { code, stdout, stderr } = await run([
      'models',
      'convert',
      source,
      '--out',
      out,
      '--name',
      'x',
      '--json',
    ]);
    expect([code, stderr]).toEqual([0, '']);
    expect(JSON.parse(stdout.toString())).toMatchObject({ out, nTensors: 21, type: 'bf16' });
    const failed = await run(['models', 'convert', folder, '--out', out]);
    expect([failed.code, failed.stderr]).toEqual([
      1,
      expect.stringContaining('MODEL_FILES_INVALID'),
    ]);
  });
});

describe('gristmill models pull', () => {
  it('pulls a revision into the cache', async () => {
    const env = {
      XDG_CACHE_HOME: join(folder, 'cache'),
      HF_ENDPOINT: mirror.endpoint,
      HF_TOKEN: '',
    };
    const { code, stdout } = await run(['models', 'pull', `${mirror.repo}@v1/x`], { env });
    expect(code).toBe(0);
    const path = stdout.toString().trim();
    expect(path.startsWith(join(folder, 'cache'))).toBe(true);
    expect(existsSync(path)).toBe(true);
    const again = await run(['models', 'pull', `${mirror.repo}@v1/x`, '--json'], { env });
    expect(JSON.parse(again.stdout.toString())).toMatchObject({
      path,
      bytesReceived: 0,
      revision: 'v1/x',
    });
    const failed = await run(['models', 'pull', 'nothing'], { env });
    expect([failed.code, failed.stderr]).toEqual([2, expect.stringContaining('owner/name')]);
  });
});

describe('gristmill models merge', () => {
  it('merges by a shape, prints a row a model, and refuses options that exclude each other', async () => {
    const inputs = [1, 2, 3].map((seed) => join(folder, `step-${seed}.gguf`));
    for (const [at, path] of inputs.entries()) {
      const { code } = await run(['models', 'random', path, '--preset', 'tiny', '--seed', `${at}`]);
      expect(code).toBe(0);
    }
    const out = join(folder, 'merged.gguf');
    const merging = ['models', 'merge', ...inputs, '--out', out];
    const { code, stdout, stderr } = await run([
      ...merging,
      '--shape',
      'linear',
      '--every',
      '1000',
    ]);
    expect([code, stderr]).toEqual([0, '']);
    const weights = stdout.toString().matchAll(/step-\d\.gguf +([\d.]+)\n/g);
    // A straight line over 2000 steps: 1 − the mean of the first 1000, then differences.
    const shown = [...weights].map(([, weight]) => Number(weight));
    for (const [at, weight] of [0.25025, 0.5, 0.24975].entries()) {
      expect(shown[at]).toBeCloseTo(weight, 3);
    }
    expect(existsSync(out)).toBe(true);
    const both = await run([...merging, '--shape', 'linear', '--weights', '0.2,0.3,0.5']);
    expect([both.code, both.stderr]).toEqual([2, expect.stringContaining('--shape')]);
    const json = await run([...merging, '--weights', '0.2,0.3,0.5', '--json']);
    expect(JSON.parse(json.stdout.toString())).toMatchObject({
      form: 'gguf',
      inputs: inputs.map((path, at) => ({ path, weight: [0.2, 0.3, 0.5][at] })),
    });
  });
});
