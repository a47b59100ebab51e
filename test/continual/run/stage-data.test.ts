import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PlanStage } from '../../../src/continual/plan/types.ts';
import { StageData } from '../../../src/continual/run/stage-data.ts';
import { seedOf } from '../../../src/tokens/blend.ts';
import { sequencesOf } from '../../../src/tokens/store-batches.ts';
import { SequenceOrder } from '../../../src/tokens/token-data.ts';
import type { TokenStore } from '../../../src/tokens/token-store.ts';
import { byteStore, plan, segmentsOf, stageOf } from './support.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-stage-data-'));
let store: TokenStore;
beforeAll(() => {
  store = byteStore(folder);
});
afterAll(() => {
  store.dispose();
  rmSync(folder, { recursive: true, force: true });
});

const dataOf = (stage: PlanStage, seen = {}) => new StageData({ plan, stage, store, seen });
const orderOf = (name: string, first: number, count: number) => {
  const domain = store.index.domains.findIndex((own) => own.name === name);
  return new SequenceOrder(sequencesOf(store, domain, plan.nCtx), seedOf(plan.seed, name)).at(
    first,
    count,
  );
};

describe('StageData', () => {
  it('goes on in a dataset where the lineage left off, none twice in an epoch', () => {
    const first = dataOf(stageOf(segmentsOf([[3, { old: 1 }]])));
    const second = dataOf(stageOf(segmentsOf([[2, { old: 1 }]])), first.seenBefore(24));
    const read = [...first.at(0, 24), ...second.at(0, 16)];
    expect(read.map(({ sequence }) => sequence)).toEqual(orderOf('old', 0, 40));
    expect(new Set(read.map(({ sequence }) => sequence)).size).toBe(40);
    expect(second.seenBefore(8)).toEqual({ old: 32 });
  });

  it('is a function of the position, however it is asked, over segments too', () => {
    const segments = segmentsOf([
      [3, { old: 0.6, new: 0.2 }, { small: 0.2 }],
      [2, { new: 0.7 }, { small: 0.1, old: 0.2 }],
    ]);
    const stage = stageOf(segments, {
      replay: { share: 0.2, order: 'reshuffled', seed: 3, offset: 5 },
    });
    const seen = { small: 30, old: 20 };
    const whole = dataOf(stage, seen).at(0, 40);
    const data = dataOf(stage, seen);
    for (const [from, count] of [
      [39, 1],
      [8, 8],
      [20, 17],
      [0, 3],
    ] as const) {
      expect(data.at(from, count)).toEqual(whole.slice(from, from + count));
    }
    for (const position of [0, 1, 23, 24, 25, 40]) {
      const counts = Object.fromEntries(
        data
          .countsBefore(position)
          .map(({ dataset, kind, count }) => [`${kind} ${dataset}`, count]),
      );
      const own: Record<string, number> = {};
      for (const { domain, kind } of whole.slice(0, position)) {
        const key = `${kind} ${store.index.domains[domain]!.name}`;
        own[key] = (own[key] ?? 0) + 1;
      }
      for (const [key, count] of Object.entries(counts)) expect(count).toBe(own[key] ?? 0);
    }
    // New data of a dataset go on over the border of the segments.
    const fresh = whole.filter(({ kind, domain }) => kind === 'new' && domain === 1);
    expect(fresh.map(({ sequence }) => sequence)).toEqual(orderOf('new', 0, fresh.length));
  });

  it('replays only what was seen, each once, in the order of before, from an offset around the end', () => {
    const replay = { share: 0.5, order: 'original', seed: 0, offset: 6 } as const;
    const stage = stageOf(segmentsOf([[2, { new: 0.5 }, { old: 0.5 }]]), { replay });
    const data = dataOf(stage, { old: 10 });
    const replayed = data.at(0, 16).filter(({ kind }) => kind === 'replay');
    const seen = orderOf('old', 0, 10);
    const expected = [...seen.slice(6), ...seen.slice(0, 4)];
    expect(replayed.map(({ sequence }) => sequence)).toEqual(expected);
    expect(data.replays).toEqual([
      { dataset: 'old', nSeen: 10, sequences: Int32Array.from(expected) },
    ]);
  });

  it('reshuffles by the seed of the replay', () => {
    const draw = (seed: number) => {
      const replay = { share: 0.5, order: 'reshuffled', seed, offset: 0 } as const;
      const stage = stageOf(segmentsOf([[2, { new: 0.5 }, { old: 0.5 }]]), { replay });
      return [...dataOf(stage, { old: 8 }).replays[0]!.sequences];
    };
    expect(draw(1)).not.toEqual(draw(2));
    for (const seed of [1, 2]) {
      expect(draw(seed).sort((a, b) => a - b)).toEqual(orderOf('old', 0, 8).sort((a, b) => a - b));
    }
  });

  it('counts a dataset that was seen more than once as seen whole, not twice', () => {
    const nSmall = sequencesOf(store, 2, plan.nCtx);
    const stage = stageOf(segmentsOf([[6, { new: 0.5 }, { small: 0.5 }]]));
    const seen = { small: 2 * nSmall + 3 };
    expect(nSmall).toBeGreaterThanOrEqual(16);
    const data = dataOf(stage, seen);
    expect(data.replays[0]).toMatchObject({ nSeen: nSmall });
    expect([...data.replays[0]!.sequences]).toEqual(orderOf('small', 0, 24));
  });

  it('refuses too little new data and too little seen data', () => {
    const nSmall = sequencesOf(store, 2, plan.nCtx);
    const stage = stageOf(segmentsOf([[8, { small: 1 }]]), { name: 'again' });
    expect(() => dataOf(stage)).toThrow(
      `stage again: dataset small is needed for 64 sequences of 16 tokens, but ${nSmall} are there in at most 1 epochs`,
    );
    expect(() => dataOf({ ...stage, maxEpochs: 3 })).not.toThrow();
    expect(() => dataOf({ ...stage, maxEpochs: 2 }, { small: 50 })).toThrow(
      /small is needed for 114/,
    );
    expect(() =>
      dataOf(stageOf(segmentsOf([[2, { new: 0.5 }, { old: 0.5 }]])), { old: 7 }),
    ).toThrow(/replay of dataset old needs 8 sequences of 16 tokens, but only 7/);
    expect(() => dataOf(stageOf(segmentsOf([[2, { other: 1 }]])))).toThrow(
      /dataset other has no document/,
    );
  });
});
