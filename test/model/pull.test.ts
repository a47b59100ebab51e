import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { hubFolder, pulledModel } from '../../src/model/hub-cache.ts';
import { inspectModel } from '../../src/model/inspect.ts';
import { type PullModelOptions, pullModel } from '../../src/model/pull.ts';
import { splitWords } from '../../src/model/tokenizer-training.ts';
import { byteLevelTokenizer, smallConfig, writeJson, writeModel } from '../support/hf-model.ts';
import { HubMirror } from '../support/hub-mirror.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-pull-'));
const source = join(folder, 'source');
let mirror: HubMirror;
let nCaches = 0;

beforeAll(() => {
  writeModel(source, smallConfig('Qwen3ForCausalLM', { head_dim: 32 }), { shards: 2 });
  const cut = { type: 'ByteLevel', add_prefix_space: false, use_regex: true };
  writeJson(source, 'tokenizer.json', byteLevelTokenizer(splitWords, cut));
  writeJson(source, 'tokenizer_config.json', { chat_template: 'x' });
  writeFileSync(join(source, 'model.bin'), 'nothing that is needed');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

beforeEach(async () => {
  vi.stubEnv('XDG_CACHE_HOME', join(folder, `cache-${nCaches++}`));
  vi.stubEnv('HF_TOKEN', '');
  mirror = new HubMirror();
  for (const name of readdirSync(source)) mirror.files.set(name, readFileSync(join(source, name)));
  await mirror.start();
  vi.stubEnv('HF_ENDPOINT', `${mirror.endpoint}/`);
});
afterEach(async () => {
  await mirror.stop();
  vi.unstubAllEnvs();
});

const pull = (more: Partial<PullModelOptions> = {}) => pullModel({ repo: mirror.repo, ...more });
const weights = 'model-1-of-2.safetensors';
const sourceFolder = () => join(hubFolder(mirror.repo), mirror.commit, 'hf');
const asked = (name: string) => mirror.seen.filter(({ path }) => path.endsWith(name));

describe('pullModel', () => {
  it('pulls, converts, and is found again without the network', async () => {
    expect(pulledModel({ repo: mirror.repo })).toBeNull();
    const stages = new Set<string>();
    const summary = await pull({ onProgress: ({ stage }) => stages.add(stage) });
    const { path, commit } = summary;
    expect(summary).toMatchObject({
      repo: mirror.repo,
      revision: 'main',
      commit: mirror.commit,
      type: 'bf16',
    });
    expect([...stages]).toEqual(['download', 'convert']);
    expect(await inspectModel(path)).toMatchObject({
      runnable: true,
      name: 'small-model',
      architecture: 'qwen3',
    });
    expect(existsSync(sourceFolder())).toBe(false);
    expect(asked('model.bin')).toEqual([]);
    const before = mirror.seen.length;
    expect(pulledModel({ repo: mirror.repo })).toBe(path);
    expect(pulledModel({ repo: mirror.repo, revision: commit })).toBe(path);
    expect(pulledModel({ repo: mirror.repo, type: 'q8_0' })).toBeNull();
    expect(mirror.seen.length).toBe(before);
    // Again: asks for the commit alone. A tag with a slash points at the same file.
    expect(await pull({ revision: 'v1/x' })).toMatchObject({ path, bytesReceived: 0 });
    expect(mirror.seen.length).toBe(before + 1);
    expect(pulledModel({ repo: mirror.repo, revision: 'v1/x' })).toBe(path);
  });

  it('keeps the source when asked, and converts it again without downloading', async () => {
    const { bytesReceived } = await pull({ keepSource: true });
    expect(bytesReceived).toBeGreaterThan(100_000);
    expect(readFileSync(join(sourceFolder(), weights)).equals(mirror.files.get(weights)!)).toBe(
      true,
    );
    const again = await pull({ type: 'q8_0' });
    expect(again).toMatchObject({ bytesReceived: 0 });
    expect((await inspectModel(again.path)).quantisation).toBe('Q8_0');
  });

  // They wrote into each other's partial files, and the first one removed the source of the second.
  it('one at a time pulls a commit; the other one is told', async () => {
    const all = await Promise.allSettled([pull(), pull({ type: 'q8_0' }), pull()]);
    const done = all.filter(({ status }) => status === 'fulfilled');
    expect(done).toHaveLength(1);
    for (const result of all) {
      if (result.status === 'rejected') {
        expect(result.reason).toMatchObject({ code: 'RUN_OUTPUT_IN_USE' });
      }
    }
    const { path } = await pull();
    expect((await inspectModel(path)).runnable).toBe(true);
    expect((await inspectModel((await pull({ type: 'q8_0' })).path)).runnable).toBe(true);
    expect(readdirSync(join(path, '..')).sort()).toEqual(['model.bf16.gguf', 'model.q8_0.gguf']);
  });

  it('goes on where a connection broke', async () => {
    mirror.breaks = [5000, 7000];
    const { path } = await pull();
    expect(
      asked(weights)
        .filter(({ server }) => server === 'cdn')
        .map(({ range }) => range),
    ).toEqual([undefined, 'bytes=5000-', 'bytes=12000-']);
    expect((await inspectModel(path)).runnable).toBe(true);
  });

  it('goes on where another process stopped', async () => {
    mkdirSync(sourceFolder(), { recursive: true });
    const partial = join(sourceFolder(), `${weights}.partial`);
    writeFileSync(partial, mirror.files.get(weights)!.subarray(0, 12_345));
    await pull();
    expect(asked(weights).at(-1)!.range).toBe('bytes=12345-');
  });

  it('starts again where the server knows no ranges', async () => {
    mirror.breaks = [5000];
    mirror.ignoreRanges = true;
    expect((await inspectModel((await pull()).path)).runnable).toBe(true);
  });

  it('gives up after five attempts that bring nothing', async () => {
    mirror.breaks = [0, 0, 0, 0, 0, 0, 0];
    await expect(pull()).rejects.toMatchObject({
      code: 'MODEL_HUB_FAILED',
      message: expect.stringContaining(weights),
    });
    expect(pulledModel({ repo: mirror.repo })).toBeNull();
  });

  it.each([weights, 'config.json'])('removes %s when its checksum is wrong', async (name) => {
    const altered = Buffer.from(mirror.files.get(name)!);
    altered[altered.length - 1]! ^= 1;
    mirror.altered.set(name, altered);
    await expect(pull()).rejects.toMatchObject({
      code: 'MODEL_HUB_CHECKSUM',
      details: { file: name, repo: mirror.repo },
    });
    expect(readdirSync(sourceFolder()).filter((file) => file.startsWith(name))).toEqual([]);
    mirror.altered.clear();
    expect((await inspectModel((await pull()).path)).runnable).toBe(true);
  });

  it('does not believe a partial file', async () => {
    mkdirSync(sourceFolder(), { recursive: true });
    writeFileSync(join(sourceFolder(), `${weights}.partial`), Buffer.alloc(3000, 7));
    await expect(pull()).rejects.toMatchObject({ code: 'MODEL_HUB_CHECKSUM' });
    expect((await inspectModel((await pull()).path)).runnable).toBe(true);
  });

  it('refuses a file that is longer than the listing says', async () => {
    mirror.altered.set(weights, Buffer.concat([mirror.files.get(weights)!, Buffer.alloc(10)]));
    await expect(pull()).rejects.toMatchObject({
      code: 'MODEL_HUB_FAILED',
      message: expect.stringContaining('longer than'),
    });
  });

  it('sends the token to the hub alone', async () => {
    mirror.token = 'secret';
    await expect(pull()).rejects.toMatchObject({
      code: 'MODEL_HUB_FAILED',
      message: expect.stringContaining('set HF_TOKEN'),
    });
    await expect(pull({ token: 'wrong' })).rejects.toMatchObject({
      message: expect.stringMatching(/refuses the token/),
    });
    vi.stubEnv('HF_TOKEN', 'secret');
    await pull();
    const tokens = (server: string) =>
      new Set(mirror.seen.filter((one) => one.server === server).map((one) => one.authorization));
    expect(tokens('cdn')).toEqual(new Set([undefined]));
    expect(tokens('hub')).toContain('Bearer secret');
  });

  it('says what is not there', async () => {
    await expect(pullModel({ repo: 'mill/other' })).rejects.toMatchObject({
      code: 'MODEL_HUB_FAILED',
      message: expect.stringContaining('no such repository or revision'),
    });
    mirror.files.delete('model-2-of-2.safetensors');
    await expect(pull()).rejects.toMatchObject({
      message: expect.stringContaining('model-2-of-2.safetensors'),
    });
    mirror.files.delete('config.json');
    await expect(pull()).rejects.toMatchObject({
      message: expect.stringContaining('no config.json'),
    });
    mirror.sha = '../../etc';
    await expect(pull()).rejects.toMatchObject({
      message: expect.stringContaining('names no commit'),
    });
    await expect(pull({ endpoint: 'http://127.0.0.1:1' })).rejects.toMatchObject({
      code: 'MODEL_HUB_FAILED',
    });
  });

  it('takes no path from a listing', async () => {
    const entry = { type: 'file', size: 1, oid: '0'.repeat(40) };
    mirror.moreEntries = [
      { ...entry, path: '../../evil' },
      { ...entry, path: 'a/b.safetensors' },
      { type: 'directory', path: 'dir' },
    ];
    await pull({ keepSource: true });
    expect(readdirSync(sourceFolder()).sort()).toEqual(
      [...mirror.files.keys()].filter((name) => name !== 'model.bin').sort(),
    );
  });

  it.each(['x', '../x', 'a/../b', 'a/b/c', '/a', 'a/', 'a b/c', 'a--b/c', 'a/b\n'])(
    'refuses repository %j',
    async (repo) => {
      await expect(pullModel({ repo })).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    },
  );

  it.each(['../x', '', 'a b', '-x', 'a--b'])('refuses revision %j', async (revision) => {
    await expect(pull({ revision })).rejects.toMatchObject({ code: 'OPTION_INVALID' });
  });

  it('stops when it is aborted, and keeps what came', async () => {
    const controller = new AbortController();
    const onProgress = ({ item }: { item: string }) => {
      if (item === weights) controller.abort();
    };
    await expect(pull({ signal: controller.signal, onProgress })).rejects.toMatchObject({
      code: 'ABORTED',
    });
    expect(readdirSync(sourceFolder())).toContain('config.json');
    expect(pulledModel({ repo: mirror.repo })).toBeNull();
    await pull();
    expect(asked('/config.json')).toHaveLength(1);
  });
});
