/** `eval lm` printed a loss of NaN and ended with 0 where a model's weights were no numbers. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { RANDOM_MODEL_PRESETS, writeRandomModel } from '../../src/model/random.ts';
import { evaluateLm } from '../../src/train/eval-lm.ts';
import { formatGguf, parseGguf } from '../support/gguf-edit.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-not-finite-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('is an error by code', async () => {
  const [model, data] = [join(folder, 'm.gguf'), join(folder, 'd.jsonl')];
  await writeRandomModel({ ...RANDOM_MODEL_PRESETS.tiny, type: 'f32', seed: 1, path: model });
  writeFileSync(data, '{"text":"The mill stands by the river."}\n');
  expect((await evaluateLm({ model, data: [data] })).lossPerToken).toBeGreaterThan(0);
  const file = parseGguf(model);
  const norm = file.tensors.find(({ name }) => name === 'output_norm.weight')!;
  norm.bytes = Buffer.from(norm.bytes);
  norm.bytes.writeFloatLE(Number.NaN, 0);
  writeFileSync(model, formatGguf(file));
  await expect(evaluateLm({ model, data: [data] })).rejects.toMatchObject({
    code: 'ENGINE_DECODE_FAILED',
    details: { file: model },
  });
});
