/**
 * Slabs for reading a few rows again and again: pools are handed on, not made anew for each read, as buffers of 16 MiB are not
 * bounded by garbage collection. Whoever borrows one gives it back when its batches are released.
 */
import { SlabPool } from '../batch/slab-pool.ts';

const SLABS = Object.freeze({ slabBytes: 16 * 2 ** 20, nSlabs: 2 });
/** Pools that nobody uses and that are kept. */
const MAX_IDLE = 2;
const idle: SlabPool[] = [];

/** A pool until it is disposed of. */
export function borrowSlabs(): Disposable & { readonly slabs: SlabPool } {
  const slabs = idle.pop() ?? new SlabPool(SLABS);
  return {
    slabs,
    [Symbol.dispose]() {
      if (idle.length < MAX_IDLE) idle.push(slabs);
    },
  };
}
