/** The chain example: its files are there, its chain means something, its corpora are the same on every machine. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readChain } from '../../src/chain/config.ts';
import { packageRoot } from '../../src/paths.ts';

const example = join(packageRoot, 'examples', 'chain');
const folder = mkdtempSync(join(tmpdir(), 'gristmill-example-chain-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Row {
  readonly text: string;
}
const rowsOf = (name: string): Row[] =>
  readFileSync(join(folder, 'data', name), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));

describe('examples/chain', () => {
  it('has a script that names its files, and a chain of all four stages', () => {
    const script = readFileSync(join(example, 'run.sh'), 'utf8');
    for (const [file] of script.matchAll(/examples\/[\w./-]+/g)) {
      expect(existsSync(join(packageRoot, file))).toBe(true);
    }
    const chain = readChain(join(example, 'chain.yaml'));
    expect(Object.keys(chain.corpora)).toHaveLength(4);
    expect([chain.refine, chain.tokenize, chain.mix, chain.continue]).not.toContain(undefined);
  });

  it('makes noisy pages and clean text, the same for a seed', () => {
    const make = (out: string, seed: string) =>
      execFileSync(process.execPath, [join(example, 'make-corpora.mjs'), out, '48', seed]);
    make(join(folder, 'data'), '1');
    make(join(folder, 'other'), '2');
    for (const name of ['tides', 'manuals', 'kitchen', 'garden']) {
      const [pages, clean] = [rowsOf(`${name}.jsonl`), rowsOf(`held-out/${name}.jsonl`)];
      const texts = new Set(pages.map(({ text }) => text));
      expect(clean.every(({ text }) => !texts.has(text))).toBe(true);
      expect(clean.some(({ text }) => /cookie|newsletter|Share/.test(text))).toBe(false);
      expect(pages.some(({ text }) => /cookie|newsletter|Share/i.test(text))).toBe(true);
    }
    const hash = (out: string) =>
      createHash('sha256')
        .update(readFileSync(join(folder, out, 'garden.jsonl')))
        .digest('hex');
    expect(hash('data')).not.toBe(hash('other'));
    expect(hash('data')).toBe('f894dbd4e7cb6f5f1eedc038c3834d63ef466d399e5ddd6f5f225237b3c3ffa3');
  });
});
