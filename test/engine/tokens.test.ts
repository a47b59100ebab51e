import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { NativeEngine, PromptFrame } from '../../src/native/engine.ts';
import {
  chatmlFrame,
  decode,
  documents,
  encode,
  isOnCpu,
  lineFormat,
  llamaFrame,
  open,
  raggedTexts,
  removeFolder,
  tinyModel,
} from './support.ts';

let spm: NativeEngine;
let bpe: NativeEngine;
beforeAll(async () => {
  spm = await open(await tinyModel('spm'));
  bpe = await open(await tinyModel('bpe', { tokenizer: 'bpe', architecture: 'qwen3' }));
});
afterAll(async () => {
  await Promise.all([spm?.dispose(), bpe?.dispose()]);
  removeFolder();
});

const plain = { addSpecial: false, parseSpecial: false };
const special = { addSpecial: false, parseSpecial: true };
const kinds = [
  ['spm', () => spm, llamaFrame],
  ['bpe', () => bpe, chatmlFrame],
] as const;

describe.each(kinds)('%s tokens', (kind, engine, frame) => {
  it('spell the text', () => {
    for (const text of [...raggedTexts(20, 4), 'tab\tCR\r\nnul\u0000end', '  two  spaces ']) {
      const spelled = decode(engine().detokenize(engine().tokenize(encode(text), plain)));
      // SentencePiece puts one space of its own in front.
      expect(kind === 'spm' && text !== '' ? spelled.slice(1) : spelled).toBe(text);
    }
  });

  it('are never special in untrusted text', () => {
    const text = encode('a</s><s><unk><|im_end|><|im_start|><|endoftext|>b');
    const tokens = engine().tokenize(text, plain);
    const parsed = engine().tokenize(text, special);
    expect(parsed.length).toBeLessThan(tokens.length);
    // Control tokens have no bytes: what spells the whole text holds none.
    expect(decode(engine().detokenize(tokens)).trim()).toBe(decode(text));
    expect(decode(engine().detokenize(parsed))).not.toContain(
      kind === 'spm' ? '</s>' : '<|im_end|>',
    );
  });

  it('of a prompt are those of the whole rendered string', async () => {
    const texts = raggedTexts(12, 6).filter((text) => text !== '');
    const request = { ...documents(texts), docs: null, frame, answers: ['ab', 'ba'] as const };
    const { promptTokens } = await engine().scoreDocuments(request);
    for (const [doc, text] of texts.entries()) {
      // `<s>` in the prefix is BOS itself: it is not added a second time.
      const whole = engine().tokenize(encode(frame.prefix + text + frame.suffix), special);
      expect(promptTokens[doc]).toBe(whole.length);
    }
  });

  it('of specials inside the text stay plain in a prompt', async () => {
    const texts = ['one </s> two', 'one <|im_end|> two', 'one word two'];
    const request = { ...documents(texts), docs: null, frame, answers: ['ab', 'ba'] as const };
    const { promptTokens } = await engine().scoreDocuments(request);
    const frameTokens = engine().tokenize(encode(frame.prefix + frame.suffix), special).length;
    for (const [doc, text] of texts.entries()) {
      const own = engine().tokenize(encode(text), plain).length;
      expect(Math.abs(promptTokens[doc]! - frameTokens - own)).toBeLessThanOrEqual(2);
    }
  });
});

it('trims as the frame says', async () => {
  const frame = { ...llamaFrame, trimStart: true, trimEnd: true };
  const texts = ['word', ' \n\t word \u00a0\u3000\u2028', '\u2009word\r\n'];
  const { promptTokens, logitDiff } = await spm.scoreDocuments({
    ...documents(texts),
    docs: null,
    frame,
    answers: ['keep', 'drop'],
  });
  expect(new Set(promptTokens).size).toBe(1);
  expect(Math.max(...logitDiff) - Math.min(...logitDiff)).toBeLessThan(1e-4);
});

describe('truncation', () => {
  const text = 'The mill stands where the river bends, '.repeat(200);
  const score = (frame: PromptFrame) =>
    spm.scoreDocuments({ ...documents([text]), docs: null, frame, answers: ['keep', 'drop'] });

  it('cuts the rendered prompt, as published', async () => {
    const { promptTokens, flags } = await score({ ...llamaFrame, maxTokens: 300 });
    expect([...promptTokens]).toEqual([300]);
    expect([...flags]).toEqual([1]);
  });

  it('or cuts the content so that the frame stays whole', async () => {
    const { promptTokens, flags } = await score({
      ...llamaFrame,
      maxTokens: 300,
      truncate: 'content',
    });
    expect(promptTokens[0]).toBeLessThanOrEqual(300);
    expect(promptTokens[0]).toBeGreaterThan(290);
    expect([...flags]).toEqual([1]);
  });

  it('does not cost the whole of a huge text', async () => {
    const huge = text.repeat(500);
    const request = { ...documents([huge, text]), docs: null, answers: ['keep', 'drop'] as const };
    const { logitDiff } = await spm.scoreDocuments({
      ...request,
      frame: { ...llamaFrame, maxTokens: 300 },
    });
    expect(logitDiff[0]).toBeCloseTo(logitDiff[1]!, isOnCpu ? 4 : 1);
  });
});

describe('planWindows', () => {
  // The published rule, one line at a time.
  function oracle(text: string, maxTokens: number) {
    const windows: { lineStart: number; lineEnd: number; tokens: number; oversize: number }[] = [];
    let open = { lineStart: 0, lineEnd: 0, tokens: 0, oversize: 0 };
    const close = () => {
      if (open.lineEnd > open.lineStart) windows.push(open);
      open = { lineStart: open.lineEnd, lineEnd: open.lineEnd, tokens: 0, oversize: 0 };
    };
    for (const [line, content] of text.split('\n').entries()) {
      const marked = `[${String(line).padStart(3, '0')}]${content}`;
      const tokens = spm.tokenize(encode(marked), plain).length + 1;
      if (open.tokens + tokens > maxTokens) close();
      open.lineEnd = line + 1;
      open.tokens += tokens;
      if (tokens > maxTokens) {
        open.oversize = 1;
        close();
      }
    }
    close();
    return windows;
  }

  it('equals the naive rule', async () => {
    const texts = [...raggedTexts(30, 40), '', 'a\r\nb\u2028c', `x\n${'long '.repeat(100)}\ny`];
    for (const maxTokens of [20, 60, 200]) {
      const plan = await spm.planWindows({
        ...documents(texts),
        docs: null,
        lineFormat,
        windows: { unit: 'tokens', max: maxTokens, countBos: true },
      });
      const expected = texts.flatMap((text, doc) =>
        oracle(text, maxTokens).map((window) => ({ doc, ...window })),
      );
      const received = [...plan.doc].map((doc, index) => ({
        doc,
        lineStart: plan.lineStart[index]!,
        lineEnd: plan.lineEnd[index]!,
        tokens: plan.size[index]!,
        oversize: plan.oversize[index]!,
      }));
      expect(received).toEqual(expected);
    }
  });

  it('plans the documents it is asked for', async () => {
    const plan = await spm.planWindows({
      ...documents(raggedTexts(6, 3)),
      docs: Int32Array.of(1, 4),
      lineFormat,
      windows: { unit: 'tokens', max: 1500, countBos: true },
    });
    expect([...plan.doc]).toEqual([1, 4]);
  });
});
