import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { checkPlan } from '../../../src/continual/plan/config.ts';
import { resolvePlan } from '../../../src/continual/plan/resolve.ts';
import { Lineage } from '../../../src/continual/run/lineage.ts';
import type { TokenStore } from '../../../src/tokens/token-store.ts';
import { byteStore, writtenPlan } from './support.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-lineage-'));
let store: TokenStore;
beforeAll(() => {
  store = byteStore(folder);
});
afterAll(() => {
  store.dispose();
  rmSync(folder, { recursive: true, force: true });
});

const lineageOf = (stages: Parameters<typeof writtenPlan>[1]) =>
  new Lineage(resolvePlan(checkPlan(writtenPlan(folder, stages))), store);
const schedule = { kind: 'constant', peakLr: 1e-3 } as const;

it('counts along a checkpoint’s own way', () => {
  const lineage = lineageOf({});
  expect(lineage.start(0)).toEqual({ seen: {}, replayed: {}, elsewhere: {} });
  expect(lineage.at(0, 'constant').seen).toEqual({ old: 120 });
  expect(lineage.at(0, 'annealed').seen).toEqual({ old: 160 });
  const { seen, replayed } = lineage.at(1, 'annealed');
  expect(seen['old']).toBe(120);
  expect(seen['new']! + replayed['old']!).toBe(96);
  expect(Math.abs(replayed['old']! - 0.3 * 96)).toBeLessThan(1);
  expect(lineage.tokensAt(2, 'annealed')).toEqual({
    new: { newTokens: 96 * 16, replayedTokens: 0 },
    old: { newTokens: 160 * 16, replayedTokens: 0 },
  });
  expect(lineage.data(1)!.replays.map(({ dataset }) => dataset)).toEqual(['old']);
});

it('takes data that were seen elsewhere as seen, not as epochs of what is there', () => {
  const done = { name: 'done', data: 'old', tokens: '1B', done: true, schedule } as const;
  const lineage = lineageOf({
    model: { from: 'model.gguf' },
    tokenizer: undefined,
    stages: [done, { name: 'on', data: { old: 1, new: 1 }, steps: 10, replay: 0.25, schedule }],
  });
  expect(lineage.data(0)).toBeNull();
  const { seen, elsewhere } = lineage.at(1, 'annealed');
  expect(elsewhere['old']).toBe(Math.round(1e9 / 128) * 8);
  expect(seen['old']! - elsewhere['old']!).toBe(30);
  const [replayed] = lineage.data(1)!.replays;
  expect(replayed!.nSeen).toBeLessThan(1000);
});
