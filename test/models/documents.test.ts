/** The authored documents for training: their form, and that they cover what models/documents/README.md says. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const folder = fileURLToPath(new URL('../../models/documents', import.meta.url));

interface Row {
  readonly id: string;
  readonly kind: string;
  readonly language: string;
  readonly text: string;
  readonly removable: readonly number[];
}

const rowsOf = (file: string): Row[] =>
  readFileSync(join(folder, file), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Row);

const files = readdirSync(folder).filter((name) => name.endsWith('.jsonl'));
const bad = rowsOf('bad.jsonl');
const good = files.filter((name) => name !== 'bad.jsonl').flatMap(rowsOf);

describe('models/documents', () => {
  it('has rows of one form, each text once', () => {
    for (const row of [...good, ...bad]) {
      expect(Object.keys(row), row.id).toEqual(['id', 'kind', 'language', 'text', 'removable']);
      expect(row.language, row.id).toMatch(/^[a-z]{2}$/);
      expect(row.text.length, row.id).toBeGreaterThanOrEqual(80);
      expect(row.text.length, row.id).toBeLessThanOrEqual(5_200);
      const nLines = row.text.split('\n').length;
      const sorted = [...new Set(row.removable)].sort((left, right) => left - right);
      expect(row.removable, row.id).toEqual(sorted);
      for (const line of row.removable) expect(line, row.id).toBeLessThan(nLines);
    }
    const all = [...good, ...bad];
    expect(new Set(all.map(({ id }) => id)).size).toBe(all.length);
    expect(new Set(all.map(({ text }) => text)).size).toBe(all.length);
  });

  it('keeps most of a good document, and nothing of a bad one', () => {
    for (const { id, text, removable } of good) {
      const lines = text.split('\n');
      const nGone = removable.reduce((sum, line) => sum + lines[line]!.length, 0);
      expect(nGone, id).toBeLessThan(0.25 * text.length);
    }
    for (const { id, text, removable } of bad) {
      expect(removable.length, id).toBe(text.split('\n').length);
    }
  });

  it('covers the kinds and languages that the README names', () => {
    const readme = readFileSync(join(folder, 'README.md'), 'utf8');
    const kinds = new Set(good.map(({ kind }) => (kind.startsWith('code-') ? 'code' : kind)));
    const languages = new Set(good.map(({ language }) => language));
    const codes = new Set(good.map(({ kind }) => kind).filter((kind) => kind.startsWith('code-')));
    expect(readme).toContain(`${good.length} good documents in ${kinds.size} kinds`);
    expect(readme).toContain(`source code in ${codes.size} languages`);
    expect(readme).toContain(`${languages.size} languages`);
    const badKinds = new Set(bad.map(({ kind }) => kind));
    expect(readme).toContain(
      `${bad.length} documents that a refiner should drop, in ${badKinds.size} kinds`,
    );
    for (const language of languages) {
      expect(
        bad.some((row) => row.language === language),
        language,
      ).toBe(true);
    }
  });
});
