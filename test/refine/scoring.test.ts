import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openPageScorer } from '../../src/lines/page-scorer.ts';
import { execute } from '../../src/program/execute.ts';
import { linePrograms, programOf } from '../../src/program/line-verdict.ts';
import { resolveOptions } from '../../src/program/options.ts';
import { openRefiner } from '../../src/refine/refiner.ts';
import { openLocalScoring } from '../../src/refine/scoring-engine.ts';
import { scoringStages } from '../../src/refine/scoring-stages.ts';
import { evidenceAgainst, LEAST_EVIDENCE } from '../../src/scores/evidence.ts';
import { syntheticDocuments, writeDocumentScorer, writeLineScorer } from '../lines/support.ts';
import { syntheticPages } from '../train/support.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-scoring-'));
const lines = join(folder, 'lines.gguf');
const documents = join(folder, 'documents.gguf');
const pages = syntheticPages(12, 21);
const texts = pages.map(({ text }) => text);

beforeAll(async () => {
  const made = [await writeLineScorer(lines), await writeDocumentScorer(documents)];
  for (const { trainer } of made) await trainer.dispose();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('linePrograms', () => {
  it('removes the lines below the threshold and no other', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 40 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.constantFrom('prox' as const, 'ultrax' as const),
        (scores, threshold, dialect) => {
          const windows = linePrograms(scores, threshold, dialect);
          expect(windows).toHaveLength(1);
          const all = scores.map((_, line) => `line number ${line}`);
          const kept = all.filter((_, line) => scores[line]! >= threshold);
          const outcome = execute(all.join('\n'), windows[0]!.program, {
            dialect,
            minKeptRatio: 0,
          });
          if (kept.length > 0) expect(outcome.text).toBe(kept.join('\n'));
          else expect(outcome.status).toBe('dropped');
        },
      ),
    );
  });

  it('gives a page of very many runs several programs', () => {
    const scores = Array.from({ length: 1001 }, (_, line) => line % 2);
    const windows = linePrograms(scores, 0.5, 'prox');
    expect(windows.map(({ lineStart, lineEnd }) => [lineStart, lineEnd])).toEqual([
      [0, 400],
      [400, 800],
      [800, 1001],
    ]);
    const ops = windows.flatMap(({ program }) => program.split('\n'));
    expect(ops).toHaveLength(501);
    expect(ops[500]).toBe('remove_lines(start=1000, end=1000)');
  });
});

describe('evidenceAgainst', () => {
  it('adds the log-odds of the lines that would go', () => {
    const odds = (score: number): number => Math.log((1 - score) / score);
    expect(evidenceAgainst([0.1, 0.9, 0.3, 0.6], 0.5)).toBeCloseTo(odds(0.1) + odds(0.3));
    expect(evidenceAgainst([0.6, 0.7], 0.65)).toBe(0);
    expect(evidenceAgainst([0, 1], 0.5)).toBe(Number.POSITIVE_INFINITY);
    expect(evidenceAgainst([], 0.5)).toBe(0);
  });
});

describe('scoringStages', () => {
  const THRESHOLD = { retention: 0.99, threshold: 0.4, noiseRemoved: 0.5 };
  /** The program written for a page with these scores. */
  async function programFor(scores: readonly number[], asked = {}): Promise<string> {
    const engine = {
      infos: [{ kind: 'line-score', thresholds: [THRESHOLD] }],
      score: async () => ({
        documents: new Float32Array(0),
        lineStarts: Int32Array.of(0, scores.length),
        lines: Float32Array.from(scores),
      }),
    } as unknown as Parameters<typeof scoringStages>[0];
    const text = { data: new Uint8Array(), offsets: new Int32Array(2) };
    // Under the published executor programs are made and executed elsewhere.
    const options = resolveOptions({ executor: 'compat' });
    const reserve = (): never => {
      throw new Error('nothing is cut where it is scored');
    };
    const pool = { options, reserve };
    const score = scoringStages(engine, { documentThreshold: null, lines: asked, pool });
    const { verdicts, written } = await score(
      text as Parameters<typeof score>[0],
      Int32Array.of(0),
    );
    expect(verdicts).toBeNull();
    return written!.programs[0]!.map((window) => programOf(window, 'prox')).join('\n');
  }

  it('leaves a page as it is when little speaks against its lines', async () => {
    expect(await programFor([0.9, 0.35, 0.9])).toBe('keep_chunk()');
    expect(await programFor([0.35, 0.3, 0.1, 0.2])).toBe('remove_lines(start=0, end=3)');
    expect(await programFor([0.9, 1 / (1 + Math.exp(LEAST_EVIDENCE + 0.1))])).toBe(
      'remove_lines(start=1, end=1)',
    );
  });

  it('takes a threshold that was asked for at its word', async () => {
    expect(await programFor([0.9, 0.35, 0.9], { lineThreshold: 0.4 })).toBe(
      'remove_lines(start=1, end=1)',
    );
  });
});

describe('a refiner over models that score', () => {
  it('removes what the model scores below the threshold', async () => {
    const scorer = await openPageScorer({ modelPath: lines });
    const expected = await Promise.all(
      pages.map(async (page) => {
        const scores = await scorer.scoreLines(page.lines);
        return page.lines.filter((_, line) => scores[line]! >= 0.2).join('\n');
      }),
    );
    scorer.dispose();
    expect(expected.some((text, index) => text !== texts[index])).toBe(true);
    // 0.2 is what the model's table says of a retention of 0.99, the default.
    for (const choice of [{}, { retention: 0.99 }, { lineThreshold: 0.2 }]) {
      await using refiner = await openRefiner({ chunkModel: lines, ...choice });
      const refined = await refiner.refine(texts);
      expect(refined.map(({ text }) => text)).toEqual(expected);
      for (const [index, { status, program }] of refined.entries()) {
        expect(status).toBe(expected[index] === texts[index] ? 'kept' : 'edited');
        expect(program).toMatch(/^(keep_chunk\(\)|remove_lines\()/);
      }
      expect((await refiner.stats())[0]).toMatchObject({ documents: texts.length });
    }
  });

  it('keeps more with a higher retention', async () => {
    const kept = async (retention: number) => {
      await using refiner = await openRefiner({ chunkModel: lines, retention });
      const refined = await refiner.refine(texts);
      return refined.reduce((sum, { text }) => sum + text.length, 0);
    };
    const [most, less, least] = [await kept(0.999), await kept(0.95), await kept(0.9)];
    expect(most).toBeGreaterThanOrEqual(less);
    expect(less).toBeGreaterThanOrEqual(least);
    expect(most).toBeGreaterThan(least);
  });

  it('drops documents that score below the threshold', async () => {
    await using refiner = await openRefiner({ documentModel: documents });
    const judged = syntheticDocuments(20, 31);
    const refined = await refiner.refine(judged.map(({ text }) => text));
    const right = refined.filter(
      ({ status }, index) => (status === 'kept') === (judged[index]!.label === 1),
    );
    expect(right.length).toBeGreaterThan(17);
    for (const { status, score, reason } of refined) {
      expect(status).toBe(score! >= 0.4 ? 'kept' : 'dropped');
      if (status === 'dropped') expect(reason).toBe('doc_refiner');
    }
    await using all = await openRefiner({ documentModel: documents, documentThreshold: 0 });
    const kept = await all.refine(judged.map(({ text }) => text));
    expect(kept.every(({ status }) => status === 'kept')).toBe(true);
  });

  it('uses the package’s refiners where no model is named', async () => {
    await using refiner = await openRefiner();
    expect(refiner.models.map((model) => 'kind' in model && model.kind)).toEqual([
      'document-score',
      'line-score',
    ]);
    const article = pages.flatMap(({ lines }) => lines.filter((line) => line.length > 60));
    const menu = ['Home', 'About us', 'Sign in', 'Cart (0)', 'Contact'];
    const text = [...menu, ...article.slice(0, 12), '© 2024 All rights reserved', ...menu].join(
      '\n',
    );
    const [refined] = await refiner.refine([text]);
    expect(refined!.status).toBe('edited');
    expect(refined!.text).toContain(article[3]!);
    expect(refined!.text).not.toContain('Cart (0)');
  });

  it('names options that do not fit', async () => {
    const wrong = [
      [{ chunkModel: lines, retention: 0.99, lineThreshold: 0.2 }, 'retention'],
      [{ chunkModel: lines, retention: 0.5 }, 'retention'],
      [{ chunkModel: lines, retention: 1.5 }, 'retention'],
      [{ chunkModel: lines, lineThreshold: -1 }, 'lineThreshold'],
      [{ chunkModel: 'random', lineThreshold: 0.5 }, 'lineThreshold'],
      [{ documentModel: documents, retention: 0.99 }, 'retention'],
      [{ chunkModel: documents }, 'chunkModel'],
      [{ documentModel: lines }, 'documentModel'],
      [{ documentModel: documents, documentMode: 'generate' }, 'documentMode'],
    ] as const;
    for (const [options, option] of wrong) {
      await expect(openRefiner(options)).rejects.toMatchObject({
        code: 'OPTION_INVALID',
        details: { option },
      });
    }
  });
});

describe('openLocalScoring', () => {
  it('scores the documents that are asked for, and none after dispose', async () => {
    const encoder = new TextEncoder();
    const bytes = [...texts, '', '\n\n'].map((text) => encoder.encode(text));
    const offsets = new Int32Array(bytes.length + 1);
    bytes.forEach((part, index) => {
      offsets[index + 1] = offsets[index]! + part.length;
    });
    const data = new Uint8Array(offsets.at(-1)!);
    bytes.forEach((part, index) => {
      data.set(part, offsets[index]);
    });
    const request = { data, offsets, docs: Int32Array.of(0, 3, 12, 13), documentThreshold: 0 };
    const models = { documentModel: documents, lineModel: lines };
    const engine = await openLocalScoring({ ...models, device: 'cpu', nThreads: 1 });
    expect(engine.infos.map(({ kind }) => kind)).toEqual(['document-score', 'line-score']);
    const { lineStarts, lines: scores, documents: judged } = await engine.score(request);
    expect(judged).toHaveLength(4);
    expect(lineStarts.at(-1)).toBe(pages[0]!.lines.length + pages[3]!.lines.length + 4);
    const all = await engine.score({ ...request, docs: null });
    for (const [index, doc] of request.docs.entries()) {
      const own = scores.subarray(lineStarts[index], lineStarts[index + 1]);
      expect(own).toEqual(all.lines.subarray(all.lineStarts[doc], all.lineStarts[doc + 1]));
    }
    // Lines of documents that fall are not asked for.
    const strict = await engine.score({ ...request, documentThreshold: 1.1 });
    expect(strict).toMatchObject({ documents: judged, lines: new Float32Array(0) });
    await engine.dispose();
    await expect(engine.score(request)).rejects.toMatchObject({ code: 'DISPOSED' });
  });
});
