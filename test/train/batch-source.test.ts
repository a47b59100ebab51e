import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { RANDOM_MODEL_PRESETS, writeRandomModel } from '../../src/model/random.ts';
import { native } from '../../src/native/index.ts';
import { type BatchSource, sftSource } from '../../src/train/batch-source.ts';

const CHATML =
  '{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}';
const folder = mkdtempSync(join(tmpdir(), 'gristmill-batches-'));
const model = join(folder, 'bpe.gguf');
const rows = join(folder, 'rows.jsonl');
beforeAll(async () => {
  const shape = { ...RANDOM_MODEL_PRESETS.tiny, seed: 3, tokenizer: 'bpe', chatTemplate: CHATML };
  await writeRandomModel({ ...shape, tokenizer: 'bpe', path: model });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What is learnt of each sequence, as text. */
async function learnt(written: readonly object[]): Promise<[BatchSource, string[][]]> {
  writeFileSync(rows, written.map((row) => `${JSON.stringify(row)}\n`).join(''));
  const tokenizer = await native().openTokenizer(model);
  try {
    const nCtx = 128;
    const batch = { nSeq: 1, nCtx, accumulate: 1 };
    const settings = { tokenizer, tokenizerPath: model, batch, seed: 1, chat: {} };
    const source = await sftSource([rows], settings);
    const texts: string[][] = [];
    for (const { positions, labels } of source.all()) {
      const runs: number[][] = [];
      let last = -2;
      for (const [index, position] of positions.entries()) {
        if (position !== last + 1) runs.push([]);
        runs.at(-1)!.push(labels[index]!);
        last = position;
      }
      const decoded = runs.map(async (ids) => {
        expect(ids.at(-1)).toBe(tokenizer.info.eos);
        return Buffer.from(await tokenizer.decode(Int32Array.from(ids))).toString();
      });
      texts.push(await Promise.all(decoded));
    }
    return [source, texts];
  } finally {
    tokenizer.dispose();
  }
}

it('learns the answers of rows of every form, and nothing else', async () => {
  const said = (role: string, content: unknown) => ({ role, content });
  const [source, texts] = await learnt([
    {
      messages: [
        said('system', 'be brief'),
        said('user', 'one?'),
        said('assistant', 'first'),
        said('user', [{ type: 'text', text: 'two?' }]),
        said('assistant', [{ type: 'text', text: 'second' }]),
      ],
    },
    {
      conversations: [
        { from: 'human', value: 'hello' },
        { from: 'gpt', value: 'third' },
        { from: 'human', value: 'and?' },
        { from: 'gpt', value: 'fourth' },
      ],
    },
    { instruction: 'add', input: '1 2', output: 'fifth' },
    { prompt: 'x', answer: 'sixth' },
    { messages: [said('user', 'u'), { ...said('assistant', 'seventh'), weight: 0 }] },
    {
      messages: [
        said('user', 'u'),
        { ...said('assistant', 'eighth'), weight: 0 },
        said('user', 'v'),
        { ...said('assistant', 'ninth'), reasoning_content: 'a thought' },
      ],
    },
    { messages: [said('user', 'long '.repeat(300)), said('assistant', 'tenth')] },
  ]);
  expect(texts).toEqual([
    ['first', 'second'],
    ['third', 'fourth'],
    ['fifth'],
    ['sixth'],
    ['ninth'],
  ]);
  expect(source.nSequences).toBe(5);
  expect(source.skipped).toEqual({
    'examples empty or beyond 128 tokens': 1,
    'rows without an answer of weight 1': 1,
    'thoughts beside answers': 1,
  });
});

it('names file, line and field of what cannot be trained on', async () => {
  const messages = [
    { role: 'user', content: 'u' },
    { role: 'tool', content: '4' },
    { role: 'assistant', content: 'a' },
  ];
  await expect(learnt([{ prompt: 'x', answer: 'y' }, { messages }])).rejects.toMatchObject({
    code: 'TRAIN_GOLD_INVALID',
    details: { file: rows, line: 2, reason: expect.stringMatching(/^messages\[1\]\.role: /) },
  });
});
