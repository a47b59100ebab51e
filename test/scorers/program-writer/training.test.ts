import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { trainTokenizer } from '../../../src/model/tokenizer-training.ts';
import { native } from '../../../src/native/index.ts';
import type { NativeTokenizer } from '../../../src/native/tokenizer.ts';
import {
  PROGRAM_PROFILE,
  PROGRAM_TRAINING_DEFAULTS,
} from '../../../src/scorers/defaults/programs.ts';
import { packFirstFit } from '../../../src/scorers/first-fit.ts';
import { REMOVE } from '../../../src/scorers/gold.ts';
import { programOf, programWindows } from '../../../src/scorers/program-pairs.ts';
import { ExampleEncoder } from '../../../src/scorers/program-writer/examples.ts';
import { windowBatch } from '../../../src/scorers/program-writer/packing.ts';
import { programRefiner } from '../../../src/scorers/program-writer/refiner.ts';
import { trainProgramWriter } from '../../../src/scorers/program-writer/training.ts';
import { syntheticPages } from '../../train/support.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-programs-'));
const tokenizerPath = join(folder, 'tokenizer.gguf');
const pages = syntheticPages(40, 3);
const format = {
  ...PROGRAM_PROFILE.chunk,
  windows: { unit: 'tokens', max: 120, countBos: true },
} as const;
let tokenizer: NativeTokenizer;

beforeAll(async () => {
  const texts = pages.map(({ text }) => text);
  await trainTokenizer({ texts, vocabSize: 500, path: tokenizerPath });
  tokenizer = await native().openTokenizer(tokenizerPath);
});
afterAll(() => {
  tokenizer.dispose();
  rmSync(folder, { recursive: true, force: true });
});

const text = async (ids: Int32Array) => new TextDecoder().decode(await tokenizer.decode(ids));

describe('examples', () => {
  it('are what the chunk stage shows, with verdicts behind lines and the program as the answer', async () => {
    const encoder = await ExampleEncoder.open(tokenizer, format);
    for (const page of pages.slice(0, 10)) {
      const tokenized = await encoder.page(page);
      const windows = programWindows(tokenized.nTokens, tokenized.removed, {
        maxWindowTokens: 120,
        firstWindowTokens: 50,
        maxOps: 4,
      });
      expect(windows.length).toBeGreaterThan(1);
      const examples = await encoder.windows(tokenized, windows);
      for (const [index, { tokens, answerStart, lineEnds, lineLabels }] of examples.entries()) {
        const { lineStart, lineEnd, ops } = windows[index]!;
        const shown = page.lines
          .slice(lineStart, lineEnd)
          .map((line, at) => `[${lineStart + at}]${line}`);
        const prompt = `[doc]\n${shown.join('\n')}\n[/doc]\n`;
        expect(await text(tokens.subarray(0, answerStart))).toBe(prompt);
        // The same tokens as those of the whole prompt, which is what the engine is given.
        const data = new TextEncoder().encode(prompt);
        const { ids } = await tokenizer.encode({ data, offsets: Int32Array.of(0, data.length) });
        expect([...tokens.subarray(0, answerStart)]).toEqual([...ids]);
        expect(await text(tokens.subarray(answerStart, -1))).toBe(programOf(ops, 'prox'));
        expect(tokens.at(-1)).toBe(tokenizer.info.eos);
        const before = await Promise.all([...lineEnds].map((at) => text(tokens.subarray(0, at))));
        expect(before).toEqual(shown.map((_, at) => `[doc]\n${shown.slice(0, at + 1).join('\n')}`));
        const { keep, remove } = encoder.verdicts;
        expect([...lineLabels]).toEqual(
          [...page.labels.subarray(lineStart, lineEnd)].map((own) =>
            own === REMOVE ? remove : keep,
          ),
        );
      }
    }
  });
});

describe('batches', () => {
  it('pack windows whole, and learn answers, verdicts and a share of the text', async () => {
    const sequences = packFirstFit([5, 6, 4, 11, 2, 9], 10);
    expect(sequences.flat().sort()).toEqual([0, 1, 2, 4, 5]);
    for (const windows of sequences) {
      const total = windows.reduce((sum, window) => sum + [5, 6, 4, 11, 2, 9][window]!, 0);
      expect(total).toBeLessThanOrEqual(10);
    }
    const example = {
      tokens: Int32Array.of(1, 2, 3, 4, 5),
      answerStart: 3,
      lineEnds: Int32Array.of(1),
      lineLabels: Int32Array.of(77),
    };
    const targets = { verdictWeight: 0.5, textWeight: 0.25, textShare: 1 };
    const batch = windowBatch([[example, example]], { nSeq: 2, nCtx: 12 }, targets, () => 0);
    expect([...batch.segments!]).toEqual([0, 0, 0, 0, 0, 1, 1, 1, 1, 1, ...Array(14).fill(-1)]);
    const learnt = [...batch.positions].map((at, index) => [
      at,
      batch.labels[index],
      batch.weights![index],
    ]);
    const own = [
      [2, 4, 1],
      [3, 5, 1],
      [1, 77, 0.5],
      [0, 2, 0.25],
    ];
    expect(learnt).toEqual([...own, ...own.map(([at, ...rest]) => [at! + 5, ...rest])]);
  });
});

describe('a model that writes programs', () => {
  it('learns, and runs as a refiner through windows, grammar and parser', async () => {
    const losses: number[] = [];
    const trainer = await trainProgramWriter(pages, {
      tokenizer,
      format,
      options: {
        ...PROGRAM_TRAINING_DEFAULTS,
        nEmbd: 32,
        nLayer: 2,
        nHead: 2,
        nHeadKv: 1,
        nFf: 64,
        nCtx: 192,
        nSeq: 4,
        nPasses: 40,
        peakLr: 5e-3,
      },
      onStep: ({ loss }) => losses.push(loss),
    });
    const path = join(folder, 'writer.gguf');
    await trainer.exportGguf({ path, type: 'q8_0', name: 'writer', nCtx: 512, tokenizerPath });
    await trainer.dispose();
    writeFileSync(
      join(folder, 'writer.profile.json'),
      JSON.stringify({ ...PROGRAM_PROFILE, chunk: { ...format, maxNewTokens: 60 } }),
    );
    expect(losses.at(-1)).toBeLessThan(losses[0]! / 3);
    const scorer = await programRefiner('writer', path).fit([]);
    let right = 0;
    let all = 0;
    for (const { lines, labels } of pages.slice(0, 8)) {
      const scores = await scorer.scoreLines(lines);
      expect([...scores].every((score) => score === 0 || score === 1)).toBe(true);
      scores.forEach((score, line) => {
        right += (score === 0) === (labels[line] === REMOVE) ? 1 : 0;
      });
      all += lines.length;
    }
    await scorer.dispose?.();
    expect(right / all).toBeGreaterThan(0.6);
  });
});
