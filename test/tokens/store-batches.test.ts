import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { writeByteStore } from '../../src/tokens/byte-store.ts';
import { sequencesOf, stepBatches, validationSets } from '../../src/tokens/store-batches.ts';
import type { TokenStore } from '../../src/tokens/token-store.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-batches-'));
let store: TokenStore;
beforeAll(() => {
  const texts = { trained: ['abcdefghij', 'klmnopqrst'], held: ['0123456789'], empty: [] };
  store = writeByteStore({ out: folder, texts, validationShare: 0 });
});
afterAll(() => {
  store.dispose();
  rmSync(folder, { recursive: true, force: true });
});

it('predicts every token of a sequence, the last one from the sequence behind it', () => {
  expect([0, 1, 2].map((domain) => sequencesOf(store, domain, 4))).toEqual([5, 2, 0]);
  const [first, second] = stepBatches(
    store,
    [
      { domain: 0, sequence: 0 },
      { domain: 1, sequence: 1 },
      { domain: 0, sequence: 2 },
      { domain: 0, sequence: 1 },
    ],
    { nCtx: 4, nSeq: 2 },
  );
  expect(Buffer.from(first!.tokens).toString()).toBe('abcd4567');
  expect(Buffer.from(first!.labels).toString()).toBe('bcde5678');
  expect([...first!.positions]).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  // Documents end with 256: the third sequence crosses from one into the other.
  expect([...second!.tokens]).toEqual([...Buffer.from('ij'), 256, ...Buffer.from('kefgh')]);
});

it('spreads windows evenly over what is held out, and leaves out what holds out nothing', () => {
  const own = writeByteStore({
    out: join(folder, 'held'),
    texts: { trained: ['ab'.repeat(20)], short: ['xy'], none: [] },
    validationShare: 1,
  });
  const sets = validationSets(own, { nCtx: 8, nSeq: 2, windows: 3 });
  expect(sets.map(({ name }) => name)).toEqual(['trained', 'short']);
  const [long, short] = sets;
  expect(long!.batches.map(({ labels }) => labels.length)).toEqual([16, 8]);
  expect([...short!.batches[0]!.labels]).toEqual(['y'.charCodeAt(0), 256]);
  expect(short!.batches[0]!.tokens).toHaveLength(16);
  own.dispose();
});
