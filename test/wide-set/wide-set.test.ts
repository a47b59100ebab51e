import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { readBadDocuments, readWideSet } from './wide-set.ts';

const good = readWideSet();
const bad = readBadDocuments();
const all = [...good, ...bad];

/** Languages that the set promises to hold in some breadth. */
const MAIN_LANGUAGES = 'en zh ja ko de fr es pt ru ar hi th vi'.split(' ');

function countBy<Row>(rows: readonly Row[], key: (row: Row) => string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const row of rows) counts.set(key(row), (counts.get(key(row)) ?? 0) + 1);
  return counts;
}

/** Words; scripts without spaces count by character. */
function words(text: string): string[] {
  const pattern =
    /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]|[\p{L}\p{M}\p{N}]+/gu;
  return text.toLowerCase().match(pattern) ?? [];
}

function fiveGrams(text: string): Set<string> {
  const list = words(text);
  const grams = new Set<string>();
  for (let start = 0; start + 5 <= list.length; start++)
    grams.add(list.slice(start, start + 5).join(' '));
  return grams;
}

describe('wide set', () => {
  it('holds as many documents, kinds and languages as it promises', () => {
    expect(good.length).toBeGreaterThanOrEqual(430);
    expect(bad.length).toBeGreaterThanOrEqual(130);
    const kinds = countBy(good, ({ kind }) => kind);
    expect(kinds.size).toBeGreaterThanOrEqual(52);
    for (const [kind, count] of kinds) expect(count, kind).toBeGreaterThanOrEqual(5);
    const languages = countBy(good, ({ language }) => language);
    expect(languages.size).toBeGreaterThanOrEqual(21);
    for (const language of MAIN_LANGUAGES)
      expect(languages.get(language) ?? 0, language).toBeGreaterThanOrEqual(8);
    expect(languages.get('en')! / good.length).toBeGreaterThan(0.4);
    expect(languages.get('en')! / good.length).toBeLessThan(0.55);
    const badLanguages = countBy(bad, ({ language }) => language);
    for (const language of MAIN_LANGUAGES)
      expect(badLanguages.get(language) ?? 0, language).toBeGreaterThanOrEqual(2);
  });

  it('has the fields that its README names, each file one kind', () => {
    const files = readdirSync(import.meta.dirname).filter((name) => name.endsWith('.jsonl'));
    const kinds = new Set(good.map(({ kind }) => kind));
    expect(files.sort()).toEqual([...kinds, 'bad'].map((name) => `${name}.jsonl`).sort());
    for (const { id, kind, language, text } of all) {
      expect(id).toMatch(/^[a-z0-9-]+$/);
      expect(kind, id).toMatch(/^[a-z-]+$/);
      expect(language, id).toMatch(/^[a-z]{2}$/);
      expect(text, id).toBe(text.trimEnd());
      expect(text.includes('\r'), id).toBe(false);
    }
    expect(new Set(all.map(({ id }) => id)).size).toBe(all.length);
    for (const { id, kind } of good) expect(id.startsWith(`${kind}-`), id).toBe(true);
  });

  it('keeps to its lengths', () => {
    for (const { id, text } of good) {
      expect(text.length, id).toBeGreaterThanOrEqual(150);
      expect(text.length, id).toBeLessThanOrEqual(6000);
    }
    const long = good.filter(({ text }) => text.length >= 600).length;
    expect(long / good.length).toBeGreaterThan(0.6);
  });

  it('names removable lines that exist, in a minority of documents', () => {
    for (const { id, text, removable } of good) {
      const lines = text.split('\n');
      for (const [position, line] of removable.entries()) {
        expect(Number.isInteger(line) && line >= 0 && line < lines.length, id).toBe(true);
        if (position > 0) expect(line, id).toBeGreaterThan(removable[position - 1]!);
      }
      const nRemovable = removable.reduce((sum, line) => sum + lines[line]!.length, 0);
      expect(nRemovable / text.length, id).toBeLessThan(0.25);
    }
    const withSome = good.filter(({ removable }) => removable.length > 0).length;
    expect(withSome).toBeGreaterThan(0);
    expect(withSome / good.length).toBeLessThan(0.2);
  });

  it('holds no text twice and no two that share more than 30 % of their five-grams', () => {
    expect(new Set(all.map(({ text }) => text)).size).toBe(all.length);
    const grams = all.map(({ text }) => fiveGrams(text));
    const holders = new Map<string, number[]>();
    const alike: string[] = [];
    for (const [document, set] of grams.entries())
      for (const gram of set) {
        const list = holders.get(gram);
        if (list) list.push(document);
        else holders.set(gram, [document]);
      }
    for (const [document, set] of grams.entries()) {
      const shared = new Map<number, number>();
      for (const gram of set)
        for (const other of holders.get(gram)!)
          if (other !== document) shared.set(other, (shared.get(other) ?? 0) + 1);
      for (const [other, count] of shared)
        if (count / set.size > 0.3) alike.push(`${all[document]!.id} and ${all[other]!.id}`);
    }
    expect(alike).toEqual([]);
  });
});
