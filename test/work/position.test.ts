/** What a supervisor reads of a worker's position, while it lives and after. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import { RANDOM_MODEL_PRESETS, writeRandomModel } from '../../src/model/random.ts';
import { openLocalEngine } from '../../src/refine/engine.ts';
import {
  clearPosition,
  closePositionFile,
  openPositionFile,
  PHASE_OPENING,
  PHASE_STARTING,
  PositionWriter,
  readInFlight,
  readProgress,
} from '../../src/work/position.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-position-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('a position', () => {
  it('tells the phase, what moves, the waits and the calls in flight', async () => {
    const file = openPositionFile();
    const writer = new PositionWriter(file);
    const first = readProgress(file);
    expect(first).toMatchObject({ phase: PHASE_STARTING, waits: { input: false, output: false } });
    writer.enter(PHASE_OPENING);
    const set = { unit: 3, stage: 1, first: 2 ** 33, end: 2 ** 33 + 5, nRows: 4 };
    const end = writer.begin(set);
    const other = writer.begin({ ...set, unit: 4 });
    expect(readInFlight(file)).toEqual([set, { ...set, unit: 4 }]);
    end();
    expect(readInFlight(file)).toEqual([{ ...set, unit: 4 }]);
    // The freed place is taken again, by a call that is younger than the one behind it.
    writer.begin({ ...set, unit: 5 });
    expect(readInFlight(file).map(({ unit }) => unit)).toEqual([4, 5]);
    other();
    let seen = readProgress(file);
    await writer.waiting('input', async () => {
      expect(readProgress(file).waits).toEqual({ input: true, output: false });
    });
    for (const move of [() => writer.stepped(), () => writer.committed()]) {
      move();
      expect(readProgress(file).moves).not.toBe(seen.moves);
      seen = readProgress(file);
    }
    expect(seen).toMatchObject({ phase: PHASE_OPENING, commits: 1 });
    clearPosition(file);
    expect(readInFlight(file)).toEqual([]);
    expect(readProgress(file)).toEqual(first);
    closePositionFile(file);
  });

  it('moves while native code computes, whatever the event loop does', async () => {
    const modelPath = join(folder, 'tiny.gguf');
    await writeRandomModel({ ...RANDOM_MODEL_PRESETS.tiny, path: modelPath, seed: 3 });
    const sizes = { nThreads: 1, nSlots: 2, nCtxSlot: 1024, nUbatch: 512 };
    const engine = await openLocalEngine({ modelPath, device: 'cpu', ...sizes });
    const file = openPositionFile();
    new PositionWriter(file);
    const data = Buffer.from('A line about bees and their keepers. '.repeat(60));
    const asked = engine.scoreDocuments({
      data,
      offsets: Int32Array.of(0, data.length),
      docs: null,
      frame: {
        ...{ prefix: '', suffix: '', addBos: true, trimStart: false, trimEnd: false },
        ...{ maxTokens: 1000, truncate: 'content' },
      },
      answers: ['keep_doc()', 'drop_doc()'],
    });
    let isDone = false;
    void asked.then(() => {
      isDone = true;
    });
    const moves = new Set<string>();
    while (!isDone) {
      moves.add(readProgress(file).moves);
      await sleep(1);
    }
    // A prefill of one step has many parts, each of which is a move.
    moves.add(readProgress(file).moves);
    expect(moves.size).toBeGreaterThan(1);
    expect(Number([...moves].at(-1)!.split(' ')[2])).toBeGreaterThan(10);
    await engine.dispose();
    closePositionFile(file);
  });
});
