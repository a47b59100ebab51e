import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { taughtOps } from '../../src/train/taught-ops.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-taught-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function rows(name: string, answers: readonly string[], chat = false): string {
  const file = join(folder, `${name}.jsonl`);
  const lines = answers.map((answer) => {
    const messages = [
      { role: 'user', content: 'lines' },
      { role: 'assistant', content: answer },
    ];
    return JSON.stringify(chat ? { messages } : { prompt: 'lines', answer });
  });
  writeFileSync(file, `${lines.join('\n')}\n`);
  return file;
}

it('finds the functions of the answers, in the order of the grammar', async () => {
  const removing = rows('removing', ['keep_chunk()', 'remove_lines(start=0, end=1)']);
  const chats = rows('chats', ['normalize(source_str="x", target_str="")', 'no program'], true);
  expect(await taughtOps([removing], 'prox')).toEqual(['remove_lines']);
  expect(await taughtOps([chats, removing], 'prox')).toEqual(['remove_lines', 'normalize']);
  const added = rows('added', ["add_line(0, 1, 'x')\nremove_lines(1, 2)"]);
  expect(await taughtOps([added], 'ultrax')).toEqual(['remove_lines', 'add_line']);
  expect(await taughtOps([rows('none', ['keep_chunk()', 'drop_doc()'])], 'prox')).toEqual([]);
});
