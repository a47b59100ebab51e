import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { calibrated } from '../../../src/lines/calibration.ts';
import { type ScoringEncoder, unpackEncoder } from '../../../src/lines/encoder-file.ts';
import { N_LINE_FEATURES } from '../../../src/lines/feature-names.ts';
import { openPageScorer, type PageScorer, scorePages } from '../../../src/lines/page-scorer.ts';
import { blendLogits, stackHashBits } from '../../../src/lines/stack.ts';
import { measureText, textOf } from '../../oracle/pages/oracle.ts';
import { spreadScores } from '../../oracle/pages/page-scan.ts';
import { doubtOf, protectTitles } from '../../oracle/pages/protection.ts';
import { documentStackLogits, stackLogits } from '../../oracle/pages/stack.ts';
import { hostilePage, largePage } from '../../oracle/pages/texts.ts';
import { testTexts } from '../../support/corpus.ts';

const models = join(import.meta.dirname, '../../../models');
let lines: PageScorer;
let documents: PageScorer;
let ofLines: ScoringEncoder;
let ofDocuments: ScoringEncoder;

beforeAll(async () => {
  lines = await openPageScorer({ modelPath: join(models, 'default-chunk.gguf') });
  documents = await openPageScorer({ modelPath: join(models, 'default-document.gguf') });
  ofLines = unpackEncoder(lines.info.encoder, 'the lines');
  ofDocuments = unpackEncoder(documents.info.encoder, 'the documents');
});
afterAll(() => {
  lines.dispose();
  documents.dispose();
});

/** What the package's models say of a text, by the oracle. */
function oracleScores(text: string) {
  const { stack } = ofDocuments.encoder;
  const bits = [ofLines.encoder.stack!, stack!].map(stackHashBits);
  const page = measureText(text, bits[0]!, bits[1]);
  const logits = blendLogits(stackLogits(ofLines.encoder.stack!, page), ofLines.treeShare);
  const charsOf = (line: number): number => 2 ** page.features[line * N_LINE_FEATURES]! - 1;
  const doubt = doubtOf(logits, charsOf);
  const own = protectTitles(logits, page.features).map((logit) =>
    calibrated(logit, ofLines.calibration, doubt),
  );
  const { features, ids } = page.document;
  const words = { ids, starts: Int32Array.of(0, ids.length), nearAt: Int32Array.of(ids.length) };
  const [logit] = blendLogits(
    documentStackLogits(stack!, { features, words }),
    ofDocuments.treeShare,
  );
  return {
    lines: spreadScores(page.scan, own, text.split('\n').length),
    document: calibrated(logit!, ofDocuments.calibration),
  };
}

function viewsOf(pages: readonly Uint8Array[]) {
  const offsets = new Int32Array(pages.length + 1);
  pages.forEach((page, index) => {
    offsets[index + 1] = offsets[index]! + page.length;
  });
  const shared = new Uint8Array(new SharedArrayBuffer(offsets[pages.length]!));
  pages.forEach((page, index) => {
    shared.set(page, offsets[index]);
  });
  return { data: shared, offsets, docs: Int32Array.from(pages, (_, index) => index) };
}

const both = (documentThreshold = 0, nThreads = 1) => ({
  documents,
  lines,
  documentThreshold,
  nThreads,
});

function expectClose(found: Float32Array, wanted: Float32Array): void {
  expect(found.length).toBe(wanted.length);
  let worst = 0;
  found.forEach((score, line) => {
    worst = Math.max(worst, Math.abs(score - wanted[line]!));
  });
  expect(worst).toBeLessThan(1e-5);
}

describe('scores of the package’s models', () => {
  it('are the oracle’s within 1e-5 on hostile pages', async () => {
    await fc.assert(
      fc.asyncProperty(hostilePage, async (bytes) => {
        const wanted = oracleScores(textOf(bytes));
        const found = await scorePages(both(), viewsOf([bytes]));
        expect(Math.abs(found.documents![0]! - wanted.document)).toBeLessThan(1e-5);
        expectClose(found.lines!, wanted.lines);
      }),
      { numRuns: 100 },
    );
  });

  it('are the oracle’s within 1e-5 on texts of the corpus', async () => {
    for (const text of testTexts(40, 5)) {
      const wanted = oracleScores(text);
      expectClose(await lines.scoreLines(text.split('\n')), wanted.lines);
      const [score] = await documents.scoreDocuments([text]);
      expect(Math.abs(score! - wanted.document)).toBeLessThan(1e-5);
    }
  });

  it('are the oracle’s on a page of a million lines and on one of a line of ten megabytes', async () => {
    for (const page of [largePage('a million lines'), largePage('a line of ten megabytes')]) {
      const wanted = oracleScores(textOf(page));
      const found = await scorePages(both(), viewsOf([page]));
      expect(Math.abs(found.documents![0]! - wanted.document)).toBeLessThan(1e-5);
      expectClose(found.lines!, wanted.lines);
    }
  }, 600_000);

  it('are the same bits alone, in company, in any order and with any number of threads', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(hostilePage, { minLength: 1, maxLength: 12 }), async (pages) => {
        const views = viewsOf(pages);
        const together = await scorePages(both(), views);
        expect(await scorePages(both(0, 3), views)).toEqual(together);
        const backwards = { ...views, docs: views.docs.toReversed() };
        const reversed = await scorePages(both(0, 2), backwards);
        expect(reversed.documents).toEqual(together.documents!.toReversed());
        for (const [index, page] of pages.entries()) {
          const alone = await scorePages(both(), viewsOf([page]));
          const own = together.lineStarts!.subarray(index, index + 2);
          expect(alone.lines).toEqual(together.lines!.slice(own[0], own[1]));
        }
      }),
      { numRuns: 20 },
    );
  });

  it('are not made of the lines of documents that fall', async () => {
    const views = viewsOf(testTexts(6, 2).map((text) => Buffer.from(text)));
    const all = await scorePages(both(), views);
    const sorted = all.documents!.toSorted();
    const some = await scorePages(both(sorted[3]!), views);
    expect(some.documents).toEqual(all.documents);
    const nLines = (of: typeof all, index: number): number =>
      of.lineStarts![index + 1]! - of.lineStarts![index]!;
    for (const index of views.docs) {
      const stays = all.documents![index]! >= sorted[3]!;
      expect(nLines(some, index)).toBe(stays ? nLines(all, index) : 0);
    }
  });
});

describe('scorePages', () => {
  it('names offsets and documents that are not there', async () => {
    const data = new Uint8Array(8);
    const wrong = [
      [{ data, offsets: Int32Array.of(0, 9), docs: Int32Array.of(0) }, 'offsets[0]'],
      [{ data, offsets: Int32Array.of(4, 2), docs: Int32Array.of(0) }, 'offsets[0]'],
      [{ data, offsets: Int32Array.of(-1, 2), docs: Int32Array.of(0) }, 'offsets[0]'],
      [{ data, offsets: Int32Array.of(0, 8), docs: Int32Array.of(1) }, 'docs'],
      [{ data, offsets: Int32Array.of(0, 8), docs: Int32Array.of(-1) }, 'docs'],
      [{ data, offsets: new Int32Array(0), docs: Int32Array.of(0) }, 'docs'],
      [{ data: 'text' as never, offsets: Int32Array.of(0), docs: Int32Array.of() }, 'data'],
    ] as const;
    for (const [views, option] of wrong) {
      await expect(scorePages(both(), views)).rejects.toMatchObject({
        code: 'OPTION_INVALID',
        details: { option },
      });
    }
    const good = viewsOf([data]);
    await expect(scorePages(both(0, 0), good)).rejects.toMatchObject({
      details: { option: 'nThreads' },
    });
    await expect(
      scorePages({ documents: lines, lines: null, documentThreshold: 0 }, good),
    ).rejects.toMatchObject({ details: { option: 'documentScorer' } });
    expect((await scorePages(both(), { ...good, docs: new Int32Array(0) })).lines).toHaveLength(0);
  });

  it('ends with ABORTED when its signal fires, between two steps of a page too', async () => {
    const views = viewsOf([Buffer.from('A line of some words, one of many.\n'.repeat(300_000))]);
    const controller = new AbortController();
    const call = scorePages(both(), views, { signal: controller.signal });
    setTimeout(() => controller.abort(), 20);
    await expect(call).rejects.toMatchObject({ code: 'ABORTED' });
    await expect(scorePages(both(), views, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'ABORTED',
    });
  });

  it('keeps a model that is let go of until its call has ended', async () => {
    const scorer = await openPageScorer({ modelPath: join(models, 'default-document.gguf') });
    const call = scorer.scoreDocuments(testTexts(20, 3));
    scorer.dispose();
    expect(await call).toHaveLength(20);
    await expect(scorer.scoreDocuments(['one'])).rejects.toMatchObject({ code: 'DISPOSED' });
  });
});
