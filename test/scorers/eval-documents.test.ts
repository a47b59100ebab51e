import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { documentLogistic, wordCount } from '../../src/scorers/baselines/documents.ts';
import {
  areaUnderCurve,
  evaluateDocuments,
  measureDocuments,
} from '../../src/scorers/eval-documents.ts';
import { type GoldDocument, readGoldDocuments } from '../../src/scorers/gold.ts';
import { testTexts } from '../support/corpus.ts';
import { goldFile } from '../train/support.ts';

const long = testTexts(40, 3).map((text) => `${text}\n${text}\n${text}`);
const documents: GoldDocument[] = long.map((text, at) => ({
  id: `doc-${at}`,
  domain: '',
  text: at % 2 === 0 ? text : text.toUpperCase().slice(0, 90),
  label: at % 2 === 0 ? 1 : 0,
}));

describe('areaUnderCurve', () => {
  it('counts pairs in the right order, ties half', () => {
    const anyRow = fc.record({
      score: fc.integer({ min: 0, max: 5 }),
      label: fc.constantFrom(0, 1),
    });
    fc.assert(
      fc.property(fc.array(anyRow, { maxLength: 30 }), (rows) => {
        let right = 0;
        let pairs = 0;
        for (const keep of rows.filter(({ label }) => label === 1)) {
          for (const drop of rows.filter(({ label }) => label === 0)) {
            pairs++;
            right += keep.score > drop.score ? 1 : keep.score === drop.score ? 0.5 : 0;
          }
        }
        const found = areaUnderCurve(
          rows.map(({ score }) => score),
          rows.map(({ label }) => label),
        );
        expect(found).toBeCloseTo(pairs === 0 ? 0.5 : right / pairs, 12);
      }),
    );
  });
});

describe('measureDocuments', () => {
  it('weighs both classes alike', () => {
    const measures = measureDocuments([3, 1, 2, 0], [1, 1, 1, 0], [1, 0, 1, 0]);
    expect(measures).toEqual({ balancedAccuracy: (2 / 3 + 1) / 2, auc: 1, nDocs: 4, nKeep: 3 });
  });
});

describe('evaluateDocuments', () => {
  it('applies the rule of 200 words', async () => {
    const text = (nWords: number): string => 'word '.repeat(nWords);
    const few: GoldDocument[] = [
      { id: 'a', domain: '', text: text(200), label: 1 },
      { id: 'b', domain: '', text: text(199), label: 0 },
      { id: 'c', domain: '', text: text(500), label: 0 },
      { id: 'd', domain: '', text: ` ${text(3)}\n`, label: 1 },
    ];
    const result = await evaluateDocuments({ refiner: wordCount, documents: few, nFolds: null });
    expect(result).toMatchObject({ balancedAccuracy: 0.5, auc: 0.25, nDocs: 4, refiner: 'words' });
  });

  it('learns form by cross-validation, the same each time', async () => {
    const ask = () => evaluateDocuments({ refiner: documentLogistic, documents, nFolds: 4 });
    const first = await ask();
    expect(first.balancedAccuracy).toBeGreaterThan(0.9);
    const { secondsPerMB: _first, ...measures } = first;
    expect(await ask()).toMatchObject(measures);
  });

  it('refuses to learn from nothing', async () => {
    const ask = evaluateDocuments({ refiner: documentLogistic, documents, nFolds: null });
    await expect(ask).rejects.toMatchObject({ code: 'OPTION_INVALID' });
  });
});

const quality = goldFile('dev-docquality.jsonl.gz');

describe.runIf(quality)('documents judged by people', () => {
  it('are told apart better by form than by length', async () => {
    const judged: GoldDocument[] = [];
    for await (const document of readGoldDocuments(quality!)) judged.push(document);
    const words = await evaluateDocuments({ refiner: wordCount, documents: judged, nFolds: null });
    const form = await evaluateDocuments({
      refiner: documentLogistic,
      documents: judged,
      nFolds: 5,
    });
    expect(words.balancedAccuracy).toBeCloseTo(0.696, 3);
    expect(form.balancedAccuracy).toBeGreaterThan(0.74);
    expect(form.auc).toBeGreaterThan(0.82);
  });
});
