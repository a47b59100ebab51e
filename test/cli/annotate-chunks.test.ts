import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from './support.ts';

let folder: string;
let gold: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'gristmill-annotate-chunks-'));
  gold = join(folder, 'gold.jsonl');
  const page = (id: number) => ({
    id: `p${id}`,
    text: `Home | About\nPage ${id} tells of mill ${id * 7} by the river.\nShare on X`,
    line_labels: '010',
  });
  writeFileSync(gold, [0, 1, 2, 3].map((id) => `${JSON.stringify(page(id))}\n`).join(''));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const chunks = (...args: string[]) => run(['annotate', 'chunks', ...args]);

describe('gristmill annotate chunks', () => {
  it('prints a summary, or one JSON object that is statistics.json', async () => {
    const out = join(folder, 'set');
    const plain = await chunks(gold, '--way', 'gold', '--out', out, '--near-duplicate', '1');
    expect(plain.code).toBe(0);
    expect(plain.stdout.toString()).toMatch(/^documents +4\nwindows +4\n/);
    const json = await chunks(
      gold,
      '--way',
      'gold',
      '--out',
      out,
      '--json',
      '--shares',
      'keep=0.5,all=0',
    );
    expect(json.code).toBe(0);
    const statistics = JSON.parse(json.stdout.toString());
    expect(statistics).toEqual(JSON.parse(readFileSync(join(out, 'statistics.json'), 'utf8')));
    expect(statistics.settings).toMatchObject({ way: 'gold', shares: { keep: 0.5, all: 0 } });
  });

  it.each([
    [['--way', 'guess'], 2],
    [['--way', 'gold', '--shares', 'some=1'], 2],
    [['--way', 'gold', '--validation', '2'], 2],
    [['--way', 'programs'], 2],
    [['--way', 'gold', '--expert-gguf', 'model.gguf'], 2],
    [['--way', 'gold', '--profile', 'no-such-profile'], 1],
  ])('refuses %j with code %i', async (flags, code) => {
    const out = join(folder, 'refused');
    const finished = await chunks(gold, '--out', out, ...flags);
    expect(finished.code).toBe(code);
    expect(finished.stderr).not.toBe('');
    expect(existsSync(join(out, 'statistics.json'))).toBe(false);
  });
});
