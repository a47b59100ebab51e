/**
 * The prompts of the published refiners, token by token: the engine's own against the published flow said again here.
 *
 * The oracle of the ProX stages knows nothing of llama.cpp nor of frames: it renders the whole prompt as one string and
 * runs SentencePiece's merging over it in the plainest way. What BOS and the first space are was found by running the
 * published calls with the libraries that they pin (see src/refine/profiles.ts).
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { NativeEngine, RenderedPrompts } from '../../src/native/engine.ts';
import { chunkFrame } from '../../src/refine/chunk-stage.ts';
import { documentFrame } from '../../src/refine/document-stage.ts';
import { loadProfile } from '../../src/refine/find-profile.ts';
import {
  decode,
  documents,
  encode,
  open,
  raggedTexts,
  removeFolder,
  tinyModel,
} from '../engine/support.ts';

const BOS = 1;
const FIRST_BYTE = 3;
const FIRST_PIECE = 259;
const SYSTEM = 'You are a helpful, respectful and honest assistant.';
const CHATML =
  "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}{{ '<|im_start|>assistant\\n<think>\\n\\n</think>\\n\\n' }}";

let spm: NativeEngine;
let bpe: NativeEngine;
/** Rank of every piece of the SentencePiece model: random models score them in order. */
const pieces = new Map<string, number>();

beforeAll(async () => {
  spm = await open(await tinyModel('spm'), { nCtxSlot: 2048 });
  const qwen = {
    tokenizer: 'bpe',
    architecture: 'qwen3',
    chatTemplate: CHATML,
    nCtx: 8192,
  } as const;
  bpe = await open(await tinyModel('qwen', qwen), { nCtxSlot: 8192, nSlots: 1 });
  for (let id = FIRST_PIECE; id < spm.info().nVocab; id++) {
    const piece = decode(spm.detokenize(Int32Array.of(id)));
    pieces.set(piece, id);
    // What lets the oracle merge word by word.
    expect(piece.slice(1)).not.toMatch(/[ \n]/);
  }
});
afterAll(async () => {
  await Promise.all([spm?.dispose(), bpe?.dispose()]);
  removeFolder();
});

/** SentencePiece: the best-ranked pair of neighbours is joined, the leftmost of equals, until none is left. */
function sentencePiece(text: string): number[] {
  return text.split(/(?=[ \n])/).flatMap((word) => {
    const symbols = Array.from(word);
    for (;;) {
      let best = -1;
      let bestRank = Number.POSITIVE_INFINITY;
      for (let at = 0; at + 1 < symbols.length; at++) {
        const rank = pieces.get(symbols[at]! + symbols[at + 1]!) ?? Number.POSITIVE_INFINITY;
        if (rank < bestRank) [best, bestRank] = [at, rank];
      }
      if (best < 0) break;
      symbols.splice(best, 2, symbols[best]! + symbols[best + 1]!);
    }
    return symbols.flatMap((symbol) => {
      const id = pieces.get(symbol);
      return id === undefined ? Array.from(encode(symbol), (byte) => FIRST_BYTE + byte) : [id];
    });
  });
}

const promptsOf = ({ tokens, offsets }: RenderedPrompts): number[][] =>
  Array.from(offsets.subarray(1), (end, index) => [...tokens.subarray(offsets[index]!, end)]);

const LONG = Array.from(
  { length: 200 },
  (_, at) => `The mill stands where the river bends, ${at}.`,
);
const TEXTS = [
  ...raggedTexts(25, 30, 9),
  LONG.join('\n'),
  LONG.join(' '),
  ' starts with a space',
  '\tand a tab',
  'ends with white space \n\r\n\u00a0\u3000\u2028\u001f',
  '\n\ntwo line feeds first',
  'a </s> and a <s> are text [/INST] </s>',
  '  double  spaces   inside ',
  '\u2581 is SentencePiece’s own space',
  'x',
];

describe.each(['prox-web', 'prox-math'])('%s', (name) => {
  it('asks about documents with the ids of the published script', async () => {
    const profile = loadProfile(name, undefined);
    const frame = documentFrame(profile, spm.info());
    const rendered = await spm.renderPrompts({ ...documents(TEXTS), docs: null, frame });
    const expected = TEXTS.map((text) => {
      // Python's str.strip(); the slow tokenizer reads U+2581 as a space, as the engine does.
      // biome-ignore lint/suspicious/noControlCharactersInRegex: Python counts U+001C..001F as white space
      const stripped = text.replace(/[\s\u001c-\u001f\u0085]+$/u, '').replaceAll('\u2581', ' ');
      // add_special_tokens is off: the BOS is the template's, and no space comes after it.
      const string = `[INST] <<SYS>>\n${SYSTEM}\n<</SYS>>\n\n${stripped} [/INST]`;
      return [BOS, ...sentencePiece(string)].slice(0, 2000);
    });
    expect(promptsOf(rendered)).toEqual(expected);
    expect(expected.filter((ids) => ids.length === 2000).length).toBeGreaterThan(0);
    // They are what both ways of judging compute.
    const answers = ['keep', 'drop'] as const;
    const scored = await spm.scoreDocuments({ ...documents(TEXTS), docs: null, frame, answers });
    expect([...scored.promptTokens]).toEqual(expected.map((ids) => ids.length));
  });

  it('asks for programs with the ids of the published script', async () => {
    const profile = loadProfile(name, undefined);
    const chunk = profile.chunk!;
    const lineFormat = { ...chunk.line, firstLine: 0 } as const;
    const request = { ...documents(TEXTS), docs: null, lineFormat, windows: chunk.windows };
    const plan = await spm.planWindows(request);
    const frame = chunkFrame(profile, spm.info(), 1628);
    const rendered = await spm.renderPrompts({
      ...documents(TEXTS),
      windows: plan,
      lineFormat,
      frame,
    });
    const expected = TEXTS.flatMap((text) => publishedChunks(text)).map((lines) => {
      // vLLM tokenises the rendered text again: its BOS, the template's, and a space in front of [INST].
      const string = ` [INST] <<SYS>>\n${SYSTEM}\n<</SYS>>\n\n[doc]\n${lines}\n[/doc] [/INST]`;
      return [BOS, BOS, ...sentencePiece(string.replaceAll('\u2581', ' '))];
    });
    expect(promptsOf(rendered)).toEqual(expected);
    expect(expected.length).toBeGreaterThan(TEXTS.length);
    const written = await spm.generatePrograms({
      ...documents(TEXTS),
      windows: plan,
      lineFormat,
      frame,
      grammar: null,
      maxNewTokens: 1,
    });
    expect([...written.promptTokens]).toEqual(expected.map((ids) => ids.length));
  });
});

/** The published chunking: greedy, a BOS counted for every line, an over-long line alone. */
function publishedChunks(text: string): string[] {
  const chunks: string[][] = [];
  let open: string[] = [];
  let size = 0;
  for (const [index, line] of text.split('\n').entries()) {
    const marked = `[${String(index).padStart(3, '0')}]${line}`;
    const cost = 1 + sentencePiece(` ${marked}`.replaceAll('\u2581', ' ')).length;
    if (size + cost > 1500 && open.length > 0) {
      chunks.push(open);
      open = [];
      size = 0;
    }
    open.push(marked);
    size += cost;
  }
  return [...chunks, open].map((lines) => lines.join('\n'));
}

describe('ultrax', () => {
  const system = 'Remove noise.\nInput: each line is prefixed with <lid:N>.';
  const rule = { unit: 'characters', max: 1200, overlap: 0.2 } as const;
  const texts = [
    ...raggedTexts(20, 120, 4),
    '',
    '\n\n\n',
    `short\n${'東京 '.repeat(500)}\nshort\n${'👍'.repeat(700)}\n`,
    Array.from({ length: 300 }, (_, at) =>
      at % 7 === 0 ? 'x'.repeat((at * 37) % 1400) : `n${at}`,
    ).join('\n'),
    Array.from({ length: 400 }, () => '').join('\n'),
  ];

  it('asks with the ids of the rendered chat, around windows of the published split', async () => {
    const profile = loadProfile('ultrax', undefined);
    const asked = { ...profile, chat: { ...profile.chat, system } };
    const lineFormat = { ...profile.chunk!.line, firstLine: 1 } as const;
    const plan = await bpe.planWindows({
      ...documents(texts),
      docs: null,
      lineFormat,
      windows: rule,
    });
    const frame = chunkFrame(asked, bpe.info(), 8000);
    const rendered = await bpe.renderPrompts({
      ...documents(texts),
      windows: plan,
      lineFormat,
      frame,
    });
    const windows = texts.flatMap((text, doc) =>
      publishedWindows(text, rule).map((one) => ({ doc, ...one })),
    );
    const received = Array.from(plan.doc, (doc, at) => ({
      doc,
      lineStart: plan.lineStart[at]!,
      ownStart: plan.ownStart[at]!,
      lineEnd: plan.lineEnd[at]!,
    }));
    expect(received).toEqual(windows.map(({ shown: _, ...lines }) => lines));
    const special = { addSpecial: false, parseSpecial: true };
    const expected = windows.map(({ shown }) => {
      const string = `<|im_start|>system\n${system}<|im_end|>\n<|im_start|>user\n${shown}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n`;
      return [...bpe.tokenize(encode(string), special)];
    });
    expect(promptsOf(rendered)).toEqual(expected);
  });

  it('owns every line once, and shows again no more than a fifth', async () => {
    const lineFormat = { prefix: '<lid:', minDigits: 1, suffix: '>', firstLine: 1 } as const;
    for (const max of [60, 400, 1200]) {
      const windows = { unit: 'characters', max, overlap: 0.2 } as const;
      const plan = await bpe.planWindows({ ...documents(texts), docs: null, lineFormat, windows });
      const owned = texts.map((text) => new Uint8Array(text.split('\n').length));
      let shownAgain = 0;
      for (const [at, doc] of plan.doc.entries()) {
        const [start, own, end] = [plan.lineStart[at]!, plan.ownStart[at]!, plan.lineEnd[at]!];
        expect(start <= own && own < end).toBe(true);
        for (let line = own; line < end; line++) owned[doc]![line]!++;
        const marked = texts[doc]!.split('\n').map((line, index) => `<lid:${index + 1}>${line}`);
        const size = Array.from(marked.slice(start, end).join('\n')).length;
        expect(plan.size[at]).toBe(size);
        expect(plan.oversize[at]).toBe(size > max ? 1 : 0);
        if (size > max) expect(end - start).toBe(1);
        if (own > start) {
          shownAgain++;
          // Characters of the lines, without the line feeds between them.
          const context = marked
            .slice(start, own)
            .reduce((sum, line) => sum + Array.from(line).length, 0);
          expect(context).toBeLessThanOrEqual(0.2 * max);
        }
      }
      for (const counts of owned) expect(counts.every((count) => count === 1)).toBe(true);
      expect(shownAgain).toBeGreaterThan(5);
    }
  });
});

interface PublishedWindow {
  readonly lineStart: number;
  readonly ownStart: number;
  readonly lineEnd: number;
  readonly shown: string;
}

/** The published split of UltraX, with the windows left out that would decide about nothing. */
function publishedWindows(
  text: string,
  { max, overlap }: { max: number; overlap: number },
): PublishedWindow[] {
  const marked = text.split('\n').map((line, index) => `<lid:${index + 1}>${line}`);
  const length = (string: string) => Array.from(string).length;
  const windows: PublishedWindow[] = [];
  let decided = 0;
  let start = 0;
  while (start < marked.length) {
    let end = start + 1;
    while (end < marked.length && length(marked.slice(start, end + 1).join('\n')) <= max) end++;
    const shown = marked.slice(start, end).join('\n');
    if (end > decided) windows.push({ lineStart: start, ownStart: decided, lineEnd: end, shown });
    decided = Math.max(decided, end);
    if (end >= marked.length) break;
    const budget = Math.trunc(length(shown) * overlap);
    let next = end;
    let used = 0;
    for (let line = end - 1; line >= start; line--) {
      if (used + length(marked[line]!) > budget) break;
      used += length(marked[line]!);
      next = line;
    }
    start = next > start ? next : end;
  }
  return windows;
}
