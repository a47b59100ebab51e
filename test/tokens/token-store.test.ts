import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openTokenStore, type StoreIndex } from '../../src/tokens/token-store.ts';
import { idBytesOf, isHeldOut, TokenWriter } from '../../src/tokens/token-writer.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gristmill-store-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A store of one domain with documents `d0`, `d1`, … of 1, 2, … tokens. */
function writeStore(nVocab: number, eos: number, nDocs = 200): { train: number[] } {
  const idBytes = idBytesOf(nVocab);
  const writer = new TokenWriter({
    folder: join(folder, 'own'),
    idBytes,
    eos,
    validationShare: 0.25,
  });
  const train: number[] = [];
  for (let doc = 0; doc < nDocs; doc++) {
    const text = Buffer.from(`d${doc}`);
    const ids = Int32Array.from({ length: doc + 1 }, (_, at) => (doc * 7919 + at) % nVocab);
    writer.add(text, ids);
    if (!isHeldOut(text, 0.25)) train.push(...ids, ...(eos >= 0 ? [eos] : []));
  }
  const index: StoreIndex = {
    format: 1,
    tokenizer: { path: 'tokenizer.gguf', sha256: '', nTokens: nVocab, eos },
    idBytes,
    validationShare: 0.25,
    inputs: {},
    domains: [{ name: 'own', folder: 'own', ...writer.finish() }],
    nSkipped: 0,
  };
  writeFileSync(join(folder, 'store.json'), JSON.stringify(index));
  return { train };
}

describe('a token store', () => {
  it.each([
    [65_536, 0, 2],
    [65_537, -1, 4],
    [200_000, 199_999, 4],
  ])('holds ids of a vocabulary of %i as written (end %i, %i bytes)', (nVocab, eos, nBytes) => {
    const { train } = writeStore(nVocab, eos);
    using store = openTokenStore(folder);
    expect(store.index.idBytes).toBe(nBytes);
    const { nTokens, nDocs } = store.index.domains[0]!.train;
    expect(nTokens).toBe(train.length);
    expect(nDocs + store.index.domains[0]!.validation.nDocs).toBe(200);
    expect([...store.read(0, 'train', 0, nTokens)]).toEqual(train);
    expect([...store.read(0, 'train', 1000, 77)]).toEqual(train.slice(1000, 1077));
  });

  it('holds out about the share that is asked for', () => {
    const share = Array.from({ length: 4000 }, (_, doc) =>
      isHeldOut(Buffer.from(`text ${doc}`), 0.1),
    ).filter((isOut) => isOut).length;
    expect(Math.abs(share - 400)).toBeLessThan(80);
  });

  it('is the same wherever it lies, and another with other tokens', () => {
    writeStore(1000, 0);
    const identity = openTokenStore(folder).sha256;
    const file = join(folder, 'store.json');
    const index = JSON.parse(readFileSync(file, 'utf8')) as StoreIndex;
    const moved = {
      ...index,
      tokenizer: { ...index.tokenizer, path: '/elsewhere' },
      inputs: { a: 'b' },
    };
    writeFileSync(file, JSON.stringify(moved));
    expect(openTokenStore(folder).sha256).toBe(identity);
    writeStore(999, 0);
    expect(openTokenStore(folder).sha256).not.toBe(identity);
  });

  it('refuses a folder without an index, another format, and use after dispose', () => {
    expect(() => openTokenStore(folder)).toThrow(/no index/);
    writeFileSync(join(folder, 'store.json'), '{"format": 2, "domains": []}');
    expect(() => openTokenStore(folder)).toThrow(/format 1, received 2/);
    writeStore(1000, 0);
    const store = openTokenStore(folder);
    store.dispose();
    store.dispose();
    expect(() => store.read(0, 'train', 0, 1)).toThrow(/dispose/);
  });
});
