import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { Stopping } from '../../src/refine/stopping.ts';

const graces = { readGraceMs: 200, engineGraceMs: 900 };

describe('Stopping', () => {
  it('gives nothing up before it is told to stop, nor while something moves', async () => {
    const controller = new AbortController();
    using stopping = new Stopping(controller.signal, graces);
    await sleep(400);
    expect(stopping.giveUp.aborted).toBe(false);
    controller.abort();
    for (const _ of Array(6)) {
      stopping.moved();
      await sleep(80);
    }
    expect(stopping.giveUp.aborted).toBe(false);
  });

  it('gives a read up sooner than a computation', async () => {
    const controller = new AbortController();
    using idle = new Stopping(controller.signal, graces);
    using busy = new Stopping(controller.signal, graces);
    const stuck = busy.computing(new Promise<void>(() => undefined));
    stuck.catch(() => undefined);
    controller.abort();
    await sleep(600);
    expect([idle.giveUp.aborted, busy.giveUp.aborted]).toEqual([true, false]);
    await sleep(700);
    expect(busy.giveUp.aborted).toBe(true);
  });
});
