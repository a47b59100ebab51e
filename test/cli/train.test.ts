/** `gristmill train` and `gristmill eval lm` as commands: what they print, how they end, and what a kill leaves. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { testTexts } from '../support/corpus.ts';
import { run, start } from './support.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-cli-train-'));
const corpus = join(folder, 'corpus.jsonl');
const config = join(folder, 'config.yaml');
const commandFor = (out: string, ...rest: string[]): string[] => [
  'train',
  config,
  '--out',
  join(folder, out),
  ...rest,
];

beforeAll(() => {
  const rows = testTexts(60, 4).map((text) => `${JSON.stringify({ text })}\n`);
  writeFileSync(corpus, rows.join(''));
  const settings = {
    objective: 'pretrain',
    out: join(folder, 'unused'),
    model: { shape: { nEmbd: 32, nLayer: 2, nHead: 2 } },
    tokenizer: { train: { vocabSize: 300 } },
    data: { inputs: [corpus] },
    steps: 400,
    batch: { nSeq: 2, nCtx: 64 },
    schedule: { peakLr: 3e-3, warmupSteps: 5 },
    checkpointEvery: 20,
    nThreads: 1,
  };
  writeFileSync(config, stringify(settings));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('gristmill train', () => {
  it('trains, and ends byte for byte the same after being killed and interrupted', async () => {
    const whole = await run(commandFor('whole', '--json'));
    expect([whole.code, whole.stderr]).toEqual([0, '']);
    const summary = JSON.parse(whole.stdout.toString());
    expect(summary).toMatchObject({ steps: 400, resumedAt: 0, interrupted: false });

    const checkpoint = join(folder, 'killed', 'checkpoint.bin');
    const killed = start(commandFor('killed'));
    while (!existsSync(checkpoint)) await sleep(5);
    killed.process.kill('SIGKILL');
    expect((await killed.finished).signal).toBe('SIGKILL');
    expect(existsSync(join(folder, 'killed', 'model.gguf'))).toBe(false);

    const interrupted = start(commandFor('killed'));
    const before = readFileSync(checkpoint);
    while (readFileSync(checkpoint).equals(before)) await sleep(5);
    interrupted.process.kill('SIGINT');
    const { code, stderr, stdout } = await interrupted.finished;
    expect([code, stderr]).toEqual([130, expect.stringContaining('finishing the step under way')]);
    expect(stdout.toString()).toContain('run the same command again');

    const finished = await run(commandFor('killed'));
    expect(finished.code).toBe(0);
    expect(finished.stdout.toString()).toMatch(/resumed at \d+/);
    for (const name of ['model.gguf', 'losses.jsonl', 'loss.svg', 'tokenizer.gguf']) {
      const [own, expected] = ['killed', 'whole'].map((out) =>
        readFileSync(join(folder, out, name)),
      );
      expect(own!.equals(expected!), name).toBe(true);
    }
  });

  it('is measured by eval lm', async () => {
    const model = join(folder, 'whole', 'model.gguf');
    const { code, stdout } = await run([
      'eval',
      'lm',
      '--model',
      model,
      '--data',
      corpus,
      '--json',
    ]);
    expect(code).toBe(0);
    const measured = JSON.parse(stdout.toString());
    expect(measured.nDocs).toBe(60);
    expect(measured.bitsPerByte).toBeGreaterThan(0);
    expect(measured.lossPerToken).toBeLessThan(Math.log(300));
  });

  it('names what is wrong and ends with 1, and with 2 for usage', async () => {
    const bad = join(folder, 'bad.yaml');
    const whole = readFileSync(config, 'utf8');
    writeFileSync(bad, whole.replace('steps: 400', 'steps: -1').replace('nEmbd', 'nEmbed'));
    const refused = await run(['train', bad]);
    expect([refused.code, refused.stderr]).toEqual([
      1,
      expect.stringMatching(/bad\.yaml.*"nEmbed" \(did you mean nEmbd\?\).*steps: Too small/),
    ]);
    expect((await run(['train'])).code).toBe(2);
    const missing = await run(['eval', 'lm', '--model', 'none.gguf', '--data', corpus]);
    expect([missing.code, missing.stderr]).toEqual([1, expect.stringContaining('none.gguf')]);
  });
});
