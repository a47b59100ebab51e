import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { ChildDied, inHalves, Service } from '../../src/work/service.ts';

const file = fileURLToPath(new URL('fixtures/service.mjs', import.meta.url));
let service = new Service({ file });
afterEach(async () => {
  await service.dispose();
  service = new Service({ file });
});

const isThere = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

describe('Service', () => {
  it('answers calls in one process, with what they tell in between', async () => {
    const told: unknown[] = [];
    const onTold = (value: unknown) => void told.push(value);
    const [first, second, last] = (await Promise.all([
      service.call('count', null),
      service.call('count', null),
      service.call('tellThree', null, { onTold }),
    ])) as [{ pid: number; nCalls: number }, { pid: number; nCalls: number }, string];
    expect([first.nCalls, second.nCalls, last, told]).toEqual([1, 2, 'told', [1, 2, 3]]);
    expect(second.pid).toBe(first.pid);
    await service.dispose();
    await service.dispose();
    expect(isThere(first.pid)).toBe(false);
    await expect(service.call('count', null)).rejects.toMatchObject({ code: 'DISPOSED' });
  });

  it('passes coded errors on as they are, others with their message, and what nobody catches', async () => {
    await expect(service.call('fail', 'OPTION_INVALID')).rejects.toMatchObject({
      code: 'OPTION_INVALID',
      details: { option: 'x', expected: 'y', received: 1 },
    });
    await expect(service.call('fail', null)).rejects.toThrow('not coded');
    await expect(service.call('throwLater', null)).rejects.toThrow('behind the back');
    await expect(service.call('none', null)).rejects.toThrow('no method none');
  });

  it('says how the child died and its last words, and starts another one', async () => {
    const before = (await service.call('count', null)) as { pid: number };
    const death = await service.call('die', 'GGML_ASSERT(x) failed').catch((error) => error);
    expect(death).toBeInstanceOf(ChildDied);
    expect(death).toMatchObject({ exit: 'SIGABRT', lastWords: 'GGML_ASSERT(x) failed' });
    const after = (await service.call('count', null)) as { pid: number; nCalls: number };
    expect(after.nCalls).toBe(1);
    expect(after.pid).not.toBe(before.pid);
  });

  it('tells calls what they are to know, before and while they listen', async () => {
    const waiting = service.call('untilNote', null);
    service.note('now');
    expect(await waiting).toBe('now');
  });

  it('cancels a call with the reason of its signal', async () => {
    const controller = new AbortController();
    const waiting = service.call('untilCancelled', null, { signal: controller.signal });
    const reason = new Error('enough');
    controller.abort(reason);
    await expect(waiting).rejects.toMatchObject({ code: 'ABORTED', cause: reason });
    expect(await service.call('count', null)).toMatchObject({ nCalls: 1 });
  });

  it('ends a call whose owner fails at what it is told', async () => {
    const onTold = (): void => {
      throw new Error('the owner’s own');
    };
    await expect(service.call('tellThree', null, { onTold })).rejects.toThrow('the owner’s own');
  });

  it('kills a child that is stuck, when it is disposed of', async () => {
    const stuck = service.call('stuck', null).catch((error: unknown) => error);
    await service.dispose();
    expect(await stuck).toBeInstanceOf(ChildDied);
  });
});

describe('inHalves', () => {
  it('finds what the child dies of, and does the rest', async () => {
    let nCalls = 0;
    const items = ['a', 'b', 'deadly', 'c', 'd', 'e', 'f'];
    const results = await inHalves(
      items,
      async (some) => {
        nCalls++;
        return (await service.call('dieOf', some)) as string[];
      },
      () => 'crashed',
    );
    expect(results).toEqual(['A', 'B', 'crashed', 'C', 'D', 'E', 'F']);
    expect(nCalls).toBeLessThan(10);
    expect(await inHalves([], async () => [], String)).toEqual([]);
  });
});
