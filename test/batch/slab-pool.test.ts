import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  alignUp,
  type Region,
  releaseRegion,
  retainRegion,
  SlabPool,
} from '../../src/batch/slab-pool.ts';

const SLAB = 1024;

function bytesOf(region: Region): Uint8Array {
  return new Uint8Array(region.sab, region.byteOffset, region.byteLength);
}

/** Whether a promise settles within a few turns. */
async function settles(promise: Promise<unknown>, ms = 30): Promise<boolean> {
  const done = promise.then(() => true);
  return Promise.race([done, new Promise<boolean>((resolve) => setTimeout(resolve, ms, false))]);
}

describe('SlabPool', () => {
  it('regions are aligned, disjoint and inside their slab', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: SLAB }), { maxLength: 40 }),
        async (sizes) => {
          const pool = new SlabPool({ slabBytes: SLAB, nSlabs: 3 });
          const live: Region[] = [];
          for (const size of sizes) {
            let region: Region | null = null;
            const asked = pool.allocate(size, 'input').then((granted) => {
              region = granted;
            });
            while (!region) {
              await Promise.resolve();
              if (await settles(asked, 0)) break;
              // The pool is full: the oldest region is given back.
              releaseRegion(live.shift()!);
            }
            await asked;
            live.push(region!);
            const { byteOffset, byteLength } = live.at(-1)!;
            expect(byteOffset % 64).toBe(0);
            expect(byteLength).toBe(alignUp(size));
            expect(byteOffset + byteLength).toBeLessThanOrEqual(SLAB);
            for (const other of live.slice(0, -1)) {
              if (other.sab !== live.at(-1)!.sab || other.byteLength === 0 || byteLength === 0)
                continue;
              const apart =
                other.byteOffset + other.byteLength <= byteOffset ||
                byteOffset + byteLength <= other.byteOffset;
              expect(apart).toBe(true);
            }
          }
          for (const region of live) releaseRegion(region);
        },
      ),
      { numRuns: 40 },
    );
  });

  it('an empty pool makes input wait, keeps a slab for output, and goes on when a slab is free', async () => {
    const pool = new SlabPool({ slabBytes: SLAB, nSlabs: 3 });
    const first = await pool.allocate(SLAB, 'input');
    const second = await pool.allocate(SLAB, 'input');
    const third = pool.allocate(SLAB, 'input');
    expect(await settles(third)).toBe(false);
    const output = await pool.allocate(SLAB, 'output');
    expect(new Set([first.sab, second.sab, output.sab]).size).toBe(3);
    releaseRegion(output);
    releaseRegion(first);
    const reused = await third;
    expect(reused.sab).toBe(first.sab);
    expect(pool.highWater).toBe(3);
    releaseRegion(second);
    releaseRegion(reused);
  });

  it('serves a lane in the order it was asked', async () => {
    const pool = new SlabPool({ slabBytes: SLAB, nSlabs: 2 });
    const held = await pool.allocate(SLAB, 'input');
    const order: number[] = [];
    const waiting = [0, 1, 2].map(async (n) => {
      const region = await pool.allocate(n === 0 ? SLAB : 64, 'input');
      order.push(n);
      releaseRegion(region);
    });
    releaseRegion(held);
    await Promise.all(waiting);
    expect(order).toEqual([0, 1, 2]);
  });

  it('counts references: a slab is reused only after the last one', async () => {
    const pool = new SlabPool({ slabBytes: SLAB, nSlabs: 2 });
    const region = await pool.allocate(SLAB, 'input');
    retainRegion(region);
    releaseRegion(region);
    const next = pool.allocate(SLAB, 'input');
    expect(await settles(next)).toBe(false);
    releaseRegion(region);
    expect((await next).sab).toBe(region.sab);
  });

  it('gives what is larger than a slab a buffer of its own', async () => {
    const pool = new SlabPool({ slabBytes: SLAB, nSlabs: 2 });
    const large = await pool.allocate(SLAB * 3, 'input');
    expect(large.slab).toBe(-1);
    expect(large.byteLength).toBe(SLAB * 3);
    releaseRegion(large);
    expect(pool.slabsInUse).toBe(0);
  });

  it('a wait ends with the signal', async () => {
    const pool = new SlabPool({ slabBytes: SLAB, nSlabs: 2 });
    const held = await pool.allocate(SLAB, 'input');
    const control = new AbortController();
    const waiting = pool.allocate(SLAB, 'input', control.signal);
    control.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'ABORTED' });
    releaseRegion(held);
    // The lane goes on after an aborted wait.
    releaseRegion(await pool.allocate(SLAB, 'input'));
  });

  it('a worker that writes and releases is seen here', async () => {
    const pool = new SlabPool({ slabBytes: SLAB, nSlabs: 2 });
    const region = await pool.allocate(SLAB, 'input');
    const worker = new Worker(
      `const { parentPort } = require('node:worker_threads');
       parentPort.once('message', ({ sab, byteOffset, byteLength, slab, control }) => {
         new Uint8Array(sab, byteOffset, byteLength).fill(7);
         const refs = new Int32Array(control);
         if (Atomics.sub(refs, slab, 1) === 1) Atomics.notify(refs, slab);
       });`,
      { eval: true },
    );
    const next = pool.allocate(64, 'input');
    worker.postMessage(region);
    const reused = await next;
    expect(reused.sab).toBe(region.sab);
    expect(bytesOf(reused).every((byte) => byte === 7)).toBe(true);
    await worker.terminate();
  });

  it('refuses impossible sizes', () => {
    expect(() => new SlabPool({ nSlabs: 1 })).toThrow(/at least 2 slabs/);
    for (const slabBytes of [0, -1, 2 ** 31, Number.NaN])
      expect(() => new SlabPool({ slabBytes })).toThrow(/slabBytes/);
  });
});
