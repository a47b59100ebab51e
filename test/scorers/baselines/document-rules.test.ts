import { describe, expect, it } from 'vitest';
import {
  passesC4Document,
  passesGopherDocument,
} from '../../../src/scorers/baselines/document-rules.ts';

const sentence = (at: number): string =>
  `The river rose by ${at + 2} feet in a single night, and nobody of the village thought that it would be back.`;
const prose = Array.from({ length: 6 }, (_, at) => sentence(at));

describe('C4 on documents', () => {
  it('wants five sentences on lines that end', () => {
    expect(passesC4Document(prose.join('\n'))).toBe(true);
    expect(passesC4Document(prose.slice(0, 5).join(' '))).toBe(true);
    expect(passesC4Document(prose.slice(0, 4).join('\n'))).toBe(false);
    expect(passesC4Document(prose.map((line) => line.slice(0, -1)).join('\n'))).toBe(false);
  });

  it('refuses braces and filler', () => {
    expect(passesC4Document(`${prose.join('\n')}\nif (x) {`)).toBe(false);
    expect(passesC4Document(`${prose.join('\n')}\nLorem Ipsum dolor sit amet.`)).toBe(false);
  });
});

describe('Gopher and FineWeb on documents', () => {
  const passes = (...lines: string[]) => passesGopherDocument(lines.join('\n'));

  it('keeps prose and refuses short texts', () => {
    expect(passes(...prose)).toBe(true);
    expect(passes(...prose.slice(0, 2))).toBe(false);
  });

  it('counts symbols, numbers, stop words and the length of words', () => {
    expect(passes(...prose, '# '.repeat(30))).toBe(false);
    expect(passes(...prose, '123 '.repeat(40).trim())).toBe(false);
    expect(passes('Wasser steigt über Nacht an, weil es regnet. '.repeat(12))).toBe(false);
    expect(passes(...prose.map((line) => line.replaceAll(' ', '')))).toBe(false);
  });

  it('looks at lines: bullets, ellipses, ends, short ones, copies', () => {
    expect(passes(...prose.map((line) => `- ${line}`))).toBe(false);
    expect(passes(...prose.map((line) => `${line}..`))).toBe(false);
    expect(passes(...prose.map((line) => line.slice(0, -1)))).toBe(false);
    const menu = Array.from({ length: 13 }, (_, at) => `Menu entry number ${at}`);
    expect(passes(...prose, ...menu.slice(0, 11))).toBe(true);
    expect(passes(...prose, ...menu)).toBe(false);
    expect(passes(...prose, prose[0]!)).toBe(false);
  });
});
