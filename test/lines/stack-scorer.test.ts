import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { calibrated } from '../../src/lines/calibration.ts';
import { measureDocument, measurePage, spreadScores } from '../../src/lines/measure.ts';
import { openPageScorer } from '../../src/lines/page-scorer.ts';
import { pageVerdict } from '../../src/lines/page-verdict.ts';
import {
  blendLogits,
  documentStackLogits,
  type LineStack,
  stackHashBits,
} from '../../src/lines/stack.ts';
import { inspectModel } from '../../src/model/inspect.ts';
import { BOOSTED_DEFAULTS } from '../../src/scorers/baselines/boosted.ts';
import {
  DOCUMENT_STACK_DEFAULTS,
  trainDocumentStack,
  validateDocumentStack,
} from '../../src/scorers/defaults/document-stack.ts';
import { trainStack, validateStack } from '../../src/scorers/defaults/line-stack.ts';
import { writeStackScorer } from '../../src/scorers/defaults/scorer-file.ts';
import { syntheticPages } from '../train/support.ts';
import { syntheticDocuments } from './support.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-stack-'));
const lineModel = join(folder, 'lines.gguf');
const documentModel = join(folder, 'documents.gguf');
const boosted = {
  ...BOOSTED_DEFAULTS,
  logistic: { ...BOOSTED_DEFAULTS.logistic, hashBits: 10 },
  trees: { ...BOOSTED_DEFAULTS.trees, nTrees: 12, nLeaves: 6, minHessian: 1 },
};
const documentOptions = {
  ...DOCUMENT_STACK_DEFAULTS,
  logistic: { ...DOCUMENT_STACK_DEFAULTS.logistic, hashBits: 10 },
  trees: { ...DOCUMENT_STACK_DEFAULTS.trees, nTrees: 10, nLeaves: 4, minHessian: 0.5 },
};
const calibration = { slope: 0.8, intercept: 0.2, byDoubt: { slope: -0.5, intercept: 0.3 } };
const thresholds = [{ retention: 0.99, threshold: 0.2, noiseRemoved: 0.6 }];
const pages = syntheticPages(60, 1).map((page, index) => ({
  ...page,
  source: `source-${index % 4}`,
}));
const examples = syntheticDocuments(120, 4).map((document, index) => ({
  ...document,
  kind: `kind-${index % 12}`,
  weight: 1,
}));
const data = { pages, partial: [], made: [], documents: [] };
let lines: LineStack;
let documents: LineStack;

beforeAll(async () => {
  lines = await trainStack({ ...data, boosted });
  documents = trainDocumentStack(examples, documentOptions);
  const shared = { calibration, thresholds, treeShare: 0.6 };
  writeStackScorer(lineModel, { kind: 'line-score', name: 'lines', stack: lines, ...shared });
  writeStackScorer(documentModel, {
    kind: 'document-score',
    name: 'documents',
    stack: documents,
    ...shared,
  });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('a scorer without a network', () => {
  it('says of lines what its stack says', async () => {
    const scorer = await openPageScorer({ modelPath: lineModel });
    expect(scorer.info).toMatchObject({ kind: 'line-score', nRows: 0, nCtx: 0 });
    expect(scorer.thresholds).toEqual(thresholds);
    for (const page of syntheticPages(6, 9)) {
      const spaced = page.lines.flatMap((line) => [line, '']);
      const measured = measurePage(spaced, stackHashBits(lines));
      const { logits, doubt } = pageVerdict(lines, measured, 0.6);
      const wanted = spreadScores(
        measured,
        logits.map((logit) => calibrated(logit, calibration, doubt)),
        spaced.length,
      );
      const found = await scorer.scoreLines(spaced);
      // Weights of words are bfloat16 in the file.
      found.forEach((score, line) => {
        expect(score).toBeCloseTo(wanted[line]!, 2);
      });
    }
    scorer.dispose();
  });

  it('says of documents what its stack says, and tells prose from menus', async () => {
    const scorer = await openPageScorer({ modelPath: documentModel });
    const texts = examples.slice(0, 20).map(({ text }) => text);
    const scores = await scorer.scoreDocuments(texts);
    texts.forEach((text, index) => {
      const logits = documentStackLogits(documents, measureDocument(text, 10));
      const wanted = calibrated(blendLogits(logits, 0.6)[0]!, calibration);
      expect(scores[index]).toBeCloseTo(wanted, 2);
      expect(scores[index]! > 0.5).toBe(examples[index]!.label === 1);
    });
    scorer.dispose();
  });

  it('is a model that is looked at as any other', async () => {
    expect(await inspectModel(lineModel)).toMatchObject({
      architecture: 'gristmill-scorer',
      kind: 'line-score',
    });
  });

  it('is refused when it is cut or has nothing to judge by', async () => {
    const whole = readFileSync(lineModel);
    const bad = join(folder, 'bad.gguf');
    writeFileSync(bad, whole.subarray(0, whole.length - 4000));
    await expect(openPageScorer({ modelPath: bad })).rejects.toMatchObject({
      code: 'ENGINE_MODEL_INVALID',
    });
    const renamed = Buffer.from(whole);
    renamed.write('gristmill.encodes', renamed.indexOf('gristmill.encoder'));
    writeFileSync(bad, renamed);
    await expect(openPageScorer({ modelPath: bad })).rejects.toMatchObject({
      code: 'ENGINE_MODEL_INVALID',
    });
  });
});

describe('validation', () => {
  it('scores every page by a model that saw none of its sources', async () => {
    const groups: string[][] = [];
    const validation = await validateStack({
      ...data,
      boosted,
      nGroups: 4,
      onGroup: (_, sources) => groups.push([...sources]),
    });
    expect(groups.flat().sort()).toEqual(['source-0', 'source-1', 'source-2', 'source-3']);
    expect(validation.whole.nDocs).toBe(60);
    expect(validation.whole.macroF1).toBeGreaterThan(0.9);
    expect(validation.thresholds.length).toBeGreaterThan(5);
  });

  it('keeps the share of good documents that it names, as a mean over kinds, and says what falls of each', async () => {
    const random = examples.map((example, index) => ({
      ...example,
      label: ((index * 7) % 3 === 0 ? 0 : 1) as 0 | 1,
    }));
    for (const some of [examples, random]) {
      const validation = await validateDocumentStack(some, 0.99, documentOptions);
      const { threshold } = validation.thresholds.find(({ retention }) => retention === 0.99)!;
      expect(threshold).toBeGreaterThan(0);
      const good = validation.kinds.filter(({ label }) => label === 1);
      // All kinds have fewer than twenty documents here: they count as one.
      const n = good.reduce((sum, { nDocuments }) => sum + nDocuments, 0);
      const gone = good.reduce((sum, { nDocuments, dropped }) => sum + nDocuments * dropped, 0);
      expect(gone / n).toBeLessThanOrEqual(0.01);
    }
    const validation = await validateDocumentStack(examples, 0.99, documentOptions);
    expect(validation.auc).toBeGreaterThan(0.95);
  });
});
