import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SCHEDULE_TARGETS } from '../../src/interop/schedules/export.ts';
import { run } from './support.ts';

let folder: string;
let plan: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'gristmill-continue-export-'));
  plan = join(folder, 'plan.yaml');
  writeFileSync(
    plan,
    `batch: { nSeq: 512, nCtx: 2048 }
datasets:
  english: { path: data/english }
  german: {}
stages:
  - { name: base, data: english, steps: 2000, schedule: { kind: cosine, peakLr: 3e-4, minLr: 3e-5, warmup: 1 % } }
  - name: german
    data: german
    steps: 2000
    replay: 5 %
    schedule: { kind: infinite, peakLr: 3e-4, constantLr: 1.65e-4, minLr: 3e-5, warmup: 1 %, cooldown: { shape: cosine, length: 59 % }, constant: 25 %, anneal: {} }
`,
  );
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('gristmill continue export', () => {
  it('writes a folder for every stage, again over its own, and not over others', async () => {
    const out = join(folder, 'megatron');
    const args = ['continue', 'export', plan, '--trainer', 'megatron', '--out', out];
    const first = await run([...args, '--checkpoints', '/ckpt/{stage}-{checkpoint}']);
    expect({ code: first.code, stderr: first.stderr }).toEqual({ code: 0, stderr: '' });
    const printed = first.stdout.toString();
    expect(printed).toContain("trainer's own");
    expect(printed).toMatch(/^warning: german: Megatron-LM: .*anneal \(exponential\)/m);
    expect(readdirSync(out).sort()).toEqual(['base', 'german']);
    const text = (stage: string, name: string) => readFileSync(join(out, stage, name), 'utf8');
    expect(text('base', 'schedule.args')).toContain('--lr-decay-style cosine');
    expect(text('german', 'continue.args')).toContain('--load /ckpt/base-annealed\n--finetune');
    expect(text('german', 'blend.txt')).toBe('0.950000 german\n0.050000 data/english\n');
    expect(text('german', 'lr-table.csv').trim().split('\n')).toHaveLength(2001);
    const record = JSON.parse(text('german', 'export.json')) as Record<string, unknown>;
    expect(record).toMatchObject({ trainer: 'megatron', schedule: { form: 'table', exact: true } });

    const again = await run([...args, '--stage', 'german', '--json']);
    expect(JSON.parse(again.stdout.toString())).toMatchObject({
      trainer: 'megatron',
      stages: [{ stage: 'german', schedule: { form: 'table' } }],
    });
    writeFileSync(join(out, 'german', 'mine.txt'), 'mine');
    const refused = await run([...args, '--json']);
    expect(refused.code).toBe(1);
    expect(JSON.parse(refused.stderr)).toMatchObject({
      error: { code: 'EXPORT_FOREIGN', details: { what: 'mine.txt' } },
    });
    expect(readFileSync(join(out, 'german', 'mine.txt'), 'utf8')).toBe('mine');
  });

  it('lists trainers, and says what is missing', async () => {
    const listed = await run(['continue', 'export', '--list', '--json']);
    expect(Object.keys(JSON.parse(listed.stdout.toString()) as object)).toEqual(SCHEDULE_TARGETS);
    const bare = await run(['continue', 'export', plan]);
    expect(bare.code).toBe(2);
    expect(bare.stderr).toContain('--trainer');
    const out = join(folder, 'none');
    const unknown = await run([
      'continue',
      'export',
      plan,
      '--trainer',
      'hf',
      '--out',
      out,
      '--stage',
      'french',
    ]);
    expect(unknown.stderr).toMatch(/OPTION_INVALID.*base, german/);
    expect(existsSync(out)).toBe(false);
  });
});
