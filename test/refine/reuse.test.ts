/** Cutting corpora anew from kept scores: the same bytes as refining them again. */
import {
  appendFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { refineCorpus } from '../../src/refine/run.ts';
import type { RefineCorpusOptions } from '../../src/refine/run-options.ts';
import { syntheticPages } from '../train/support.ts';

const base = mkdtempSync(join(tmpdir(), 'gristmill-reuse-'));
const corpus = join(base, 'corpus');
const texts = [
  ...syntheticPages(90, 8).map(({ text }) => text),
  ...Array.from({ length: 15 }, (_, page) => Array(9).fill(`Home | Login | ${page}`).join('\n')),
  '',
  '\n\n',
  null,
];
/** Of the model’s table; test/scores/batch-scores.test.ts holds every edge. */
const TABLE = [0.999, 0.99, 0.98, 0.97, 0.93, 0.8];

beforeAll(async () => {
  mkdirSync(corpus);
  const rows = texts.map((text, id) => JSON.stringify({ id: String(id), text }));
  const third = Math.ceil(rows.length / 3);
  for (const part of [0, 1, 2]) {
    const own = rows.slice(part * third, (part + 1) * third);
    writeFileSync(join(corpus, `${part}.jsonl`), `${['no row', ...own].join('\n')}\n`);
  }
  await refine('kept', { keepScores: 'all' });
});
afterAll(() => rmSync(base, { recursive: true, force: true }));

async function refine(out: string, options: Partial<RefineCorpusOptions> = {}) {
  const all = { inputs: corpus, isolate: false, idColumn: 'id', threads: 1, workers: 0 };
  return refineCorpus({ ...all, out: join(base, out), ...options });
}

const reuse = (out: string, options: Partial<RefineCorpusOptions> = {}, from = 'kept') =>
  refine(out, { reuse: join(base, from), ...options });

/** Data files by their paths. */
function filesOf(out: string): Map<string, string> {
  const all = readdirSync(join(base, out), { recursive: true, encoding: 'utf8' });
  const data = all.filter((name) => /part-/.test(name) && !name.startsWith('_')).sort();
  return new Map(data.map((name) => [name, readFileSync(join(base, out, name)).toString('hex')]));
}

const coded = (code: string) => expect.objectContaining({ code });

describe('refining with reuse', () => {
  it('gives the bytes of refining, at every retention of the table and between its entries', async () => {
    const seen = new Set<string>();
    for (const retention of [...TABLE, 0.973, 0.88]) {
      const name = String(retention);
      const again = await refine(`again-${name}`, { retention });
      const cut = await reuse(`cut-${name}`, { retention });
      expect(filesOf(`cut-${name}`)).toEqual(filesOf(`again-${name}`));
      const { kept, edited, dropped, failed, charsOut, thresholds, reasons } = again;
      expect(cut).toMatchObject({ kept, edited, dropped, failed, charsOut, thresholds, reasons });
      expect(cut.promptTokens).toBe(0);
      seen.add(String(charsOut));
    }
    // The retentions do cut differently.
    expect(seen.size).toBeGreaterThan(5);
  });

  it('gives the bytes of refining at other thresholds, executors, forms of output and models', async () => {
    const choices: Partial<RefineCorpusOptions>[] = [
      { lineThreshold: 0.37 },
      { lineThreshold: 0 },
      { documentThreshold: 0.9 },
      { documentThreshold: 0.01, retention: 0.9 },
      { executor: 'compat', format: 'parquet', keepOriginal: true },
      { execute: { minKeptRatio: 0.9 }, lineThreshold: 0.9, droppedText: true },
    ];
    for (const [at, choice] of choices.entries()) {
      await refine(`again-${at}`, choice);
      await reuse(`cut-${at}`, choice);
      expect(filesOf(`cut-${at}`)).toEqual(filesOf(`again-${at}`));
    }
  });

  it('judges by a language model’s scores of documents', async () => {
    const lm = { documentModel: 'random', chunkModel: 'default' } as const;
    await refine('lm', { ...lm, keepScores: true });
    const scores = [...filesOf('lm').keys()].length;
    expect(scores).toBeGreaterThan(3);
    await refine('lm-again', { ...lm, documentThreshold: 0.5001, retention: 0.98 });
    await reuse('lm-cut', { documentThreshold: 0.5001, retention: 0.98 }, 'lm');
    expect(filesOf('lm-cut')).toEqual(filesOf('lm-again'));
  });

  it('keeps the scores again, so that a cut can be cut', async () => {
    await reuse('second', { retention: 0.9, keepScores: 'all' });
    await reuse('third', { retention: 0.97 }, 'second');
    expect(filesOf('third')).toEqual(filesOf('cut-0.97'));
    expect(
      JSON.parse(readFileSync(join(base, 'second/_gristmill/run.json'), 'utf8')).reused,
    ).toMatch(/^[0-9a-f]{64}$/);
  });

  it('goes on where it was interrupted, and not with another cut', async () => {
    const stop = new AbortController();
    const started = reuse('broken', {
      retention: 0.97,
      stop: stop.signal,
      onProgress: ({ rows }) => {
        if (rows > 0) stop.abort();
      },
    });
    expect(await started).toMatchObject({ interrupted: true });
    await expect(reuse('broken', { retention: 0.9 })).rejects.toEqual(coded('RUN_CHANGED'));
    await reuse('broken', { retention: 0.97 });
    expect(filesOf('broken')).toEqual(filesOf('cut-0.97'));
  });
});

describe('refining with reuse is refused', () => {
  it('for thresholds that the scores do not tell, naming the nearest', async () => {
    const refused = reuse('x', { lineThreshold: 0.4567 });
    await expect(refused).rejects.toEqual(coded('RUN_SCORES_COARSE'));
    await expect(refused).rejects.toThrow(/0\.4\d* and 0\.46/);
    await refine('staying', { keepScores: true });
    await expect(reuse('x', { documentThreshold: 0.01 }, 'staying')).rejects.toThrow(
      /--keep-all-scores/,
    );
    await reuse('same', { documentThreshold: 0.9 }, 'staying');
    expect(filesOf('same')).toEqual(filesOf('cut-2'));
  });

  it('for runs without scores, other options and other inputs', async () => {
    await refine('none');
    await expect(reuse('x', {}, 'none')).rejects.toEqual(coded('RUN_SCORES_ABSENT'));
    await expect(reuse('x', { chunkModel: 'default' })).rejects.toThrow(/chunkModel/);
    await expect(reuse('x', { unitRows: 5 })).rejects.toThrow(/unitRows/);
    await expect(reuse('-', { out: '-' })).rejects.toEqual(coded('OPTION_INVALID'));
    const other = join(base, 'other');
    cpSync(corpus, other, { recursive: true, preserveTimestamps: true });
    await expect(reuse('x', { inputs: other })).rejects.toEqual(coded('RUN_REUSE_CHANGED'));
    const less = join(corpus, '0.jsonl');
    await expect(reuse('x', { inputs: less })).rejects.toThrow(/1\.jsonl/);
  });

  it('for scores that are gone, cut or not all there', async () => {
    const copy = (name: string): string => {
      cpSync(join(base, 'kept'), join(base, name), { recursive: true });
      return join(base, name, '_gristmill');
    };
    rmSync(join(copy('gone'), 'scores/part-00001.scores'));
    await expect(reuse('x', {}, 'gone')).rejects.toThrow(/part-00001\.scores is gone/);
    appendFileSync(join(copy('longer'), 'scores/part-00002.scores'), 'x');
    await expect(reuse('x', {}, 'longer')).rejects.toThrow(/not as it was written/);
    rmSync(join(copy('unfinished'), 'units/00000.json'));
    await expect(reuse('x', {}, 'unfinished')).rejects.toThrow(/unit 0 of 3 is not committed/);
  });
});
