import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { writeByteStore } from '../../src/tokens/byte-store.ts';
import { openTokenStore } from '../../src/tokens/token-store.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-byte-store-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('has the bytes of every text, and an end behind each', () => {
  const texts = { a: ['one', 'zwei ü'], b: ['three'] };
  writeByteStore({ out: folder, texts, validationShare: 0 }).dispose();
  using store = openTokenStore(folder);
  const { nTokens } = store.index.domains[0]!.train;
  const expected = [...Buffer.from('one'), 256, ...Buffer.from('zwei ü'), 256];
  expect([...store.read(0, 'train', 0, nTokens)]).toEqual(expected);
  expect(store.index.tokenizer).toMatchObject({ nTokens: 257, eos: 256 });
  expect(store.index.domains.map(({ name, validation }) => [name, validation.nDocs])).toEqual([
    ['a', 0],
    ['b', 0],
  ]);
});
