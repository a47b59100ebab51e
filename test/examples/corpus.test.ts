/**
 * The example corpus: the committed files are what the sources build, and the labels fit the pages.
 */
import { readFileSync } from 'node:fs';
import { type AsyncBuffer, parquetMetadata, parquetReadObjects } from 'hyparquet';
import { describe, expect, it } from 'vitest';
import {
  buildCorpus,
  type CorpusLabel,
  type CorpusRow,
  ROW_GROUP_ROWS,
} from '../../examples/build-corpus.mjs';

const examples = new URL('../../examples/', import.meta.url);
const built = buildCorpus();
const labels = built.labels
  .trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line) as CorpusLabel);
const byId = new Map(built.rows.map((row) => [row.id, row]));

function textOf(id: string): string {
  const text = byId.get(id)?.text;
  if (typeof text !== 'string') throw new Error(`no text for ${id}`);
  return text;
}

describe('example corpus', () => {
  it('is byte for byte what its sources build', () => {
    const parquet = readFileSync(new URL('corpus.parquet', examples));
    expect(Buffer.compare(parquet, built.parquet)).toBe(0);
    expect(readFileSync(new URL('corpus-labels.jsonl', examples), 'utf8')).toBe(built.labels);
  });

  it('has at least 200 documents of every kind and language it promises', () => {
    expect(built.rows.length).toBeGreaterThanOrEqual(200);
    expect(byId.size).toBe(built.rows.length);
    const kinds = new Set(built.rows.map((row) => row.kind));
    const promised = 'article blog forum qa shop docs maths recipe hopeless'.split(' ');
    expect([...kinds].sort()).toEqual(promised.sort());
    const languages = new Set(built.rows.map((row) => row.language));
    for (const language of 'en de fr es pt it pl fi sv nl ru zh ja ko th ar'.split(' ')) {
      expect(languages, language).toContain(language);
    }
  });

  it('reads back with its nested and nullable columns, in several row groups', async () => {
    const bytes = built.parquet.slice().buffer;
    const file: AsyncBuffer = { byteLength: bytes.byteLength, slice: (a, b) => bytes.slice(a, b) };
    const groups = parquetMetadata(bytes).row_groups;
    expect(groups.length).toBe(Math.ceil(built.rows.length / ROW_GROUP_ROWS));
    const objects = (await parquetReadObjects({ file })) as unknown as CorpusRow[];
    // hyparquet gives undefined for a null list or struct.
    const rows = objects.map((row) => ({ ...row, tags: row.tags ?? null, meta: row.meta ?? null }));
    expect(rows).toEqual(built.rows);
    expect(rows.filter((row) => row.text === null)).toHaveLength(1);
    expect(rows.some((row) => row.tags === null)).toBe(true);
    expect(rows.some((row) => row.tags?.length === 0)).toBe(true);
    expect(rows.some((row) => row.meta === null)).toBe(true);
  });

  it('labels lines within bounds, in order, and leaves content in every kept page', () => {
    expect(labels.map(({ id }) => id)).toEqual(built.rows.map(({ id }) => id));
    for (const { id, drop, remove } of labels) {
      expect(drop, id).toBe(byId.get(id)?.kind === 'hopeless');
      if (drop) {
        expect(remove, id).toEqual([]);
        continue;
      }
      const nLines = textOf(id).split('\n').length;
      let next = 0;
      let removed = 0;
      for (const [first, last] of remove) {
        expect(first, id).toBeGreaterThanOrEqual(next);
        expect(last, id).toBeGreaterThanOrEqual(first);
        expect(last, id).toBeLessThan(nLines);
        next = last + 2;
        removed += last - first + 1;
      }
      expect(removed, id).toBeLessThan(nLines);
    }
  });

  it('holds the shapes that readers and executors trip over', () => {
    const texts = built.rows.map((row) => row.text ?? '');
    expect(texts).toContain('');
    expect(texts.some((text) => text.split('\n').length > 1000)).toBe(true);
    expect(texts.some((text) => text.includes('\r\n'))).toBe(true);
    expect(texts.some((text) => text.includes('\u2028') && text.includes('\t'))).toBe(true);
    const longest = Math.max(...texts.flatMap((text) => text.split('\n').map((it) => it.length)));
    expect(longest).toBeGreaterThan(10_000);
  });

  it('names no real site', () => {
    for (const row of built.rows) {
      expect(row.domain).toMatch(/\.example$/);
      for (const link of (row.text ?? '').match(/(?:https?:\/\/|www\.)[^\s"'<>)]+/g) ?? []) {
        expect(link, row.id).toMatch(/\.example\b/);
      }
    }
  });
});
