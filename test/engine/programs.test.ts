import { afterAll, describe, expect, it } from 'vitest';
import type { NativeEngine } from '../../src/native/engine.ts';
import type { ProgramGrammar } from '../../src/native/grammar.ts';
import { DIALECTS } from '../../src/program/dialects.ts';
import {
  chatmlFrame,
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

afterAll(removeFolder);

const models = [
  ['prox, SentencePiece, f32', 'prox', { type: 'f32' }, llamaFrame],
  ['prox, SentencePiece, bf16', 'prox', { type: 'bf16', seed: 5 }, llamaFrame],
  // llama.cpp multiplies eight rows and more by another kernel.
  ['prox, iq4_xs', 'prox', { type: 'iq4_xs', nEmbd: 256, nFf: 256 }, llamaFrame],
  ['prox, iq3_s', 'prox', { type: 'iq3_s', nEmbd: 256, nFf: 256, seed: 5 }, llamaFrame],
  ['prox, byte-level BPE', 'prox', { tokenizer: 'bpe', seed: 5 }, chatmlFrame],
  [
    'ultrax, qwen3',
    'ultrax',
    { architecture: 'qwen3', tokenizer: 'bpe', type: 'bf16', seed: 3 },
    chatmlFrame,
  ],
] as const;

/** Every program that `grammar` allows for the window, matched by hand: no automaton, no tokens. */
function isValid(program: string, grammar: ProgramGrammar, lines: readonly string[], from: number) {
  if (grammar.whole.includes(program)) return true;
  let rest = program;
  let floor = from;
  for (let op = 0; op < grammar.maxOps; op++) {
    const after = grammar.ops.flatMap(({ parts }) => afterOp(rest, parts, lines, from, floor));
    if (after.length === 0) return false;
    if (after.some((ends) => ends.rest === '')) return true;
    const next = after.find((ends) => ends.rest.startsWith(grammar.separator));
    if (next === undefined) return false;
    rest = next.rest.slice(grammar.separator.length);
    floor = next.floor;
  }
  return false;
}

function afterOp(
  text: string,
  parts: ProgramGrammar['ops'][number]['parts'],
  lines: readonly string[],
  from: number,
  floor: number,
): { rest: string; floor: number }[] {
  let low = from;
  let ascending = false;
  let selected = -1;
  let rest = text;
  for (const [index, part] of parts.entries()) {
    if (part.kind === 'literal') {
      if (!rest.startsWith(part.text)) return [];
      rest = rest.slice(part.text.length);
    } else if (part.kind === 'lineFrom' || part.kind === 'lineTo') {
      const digits = /^(?:0|[1-9]\d*)/.exec(rest)?.[0];
      if (digits === undefined) return [];
      const number = Number(digits);
      if (part.kind === 'lineFrom') {
        ascending = part.ascending ?? false;
        if (ascending) low = floor;
      }
      if (number < low || number >= from + lines.length) return [];
      if (part.kind === 'lineFrom') selected = number;
      low = number;
      rest = rest.slice(digits.length);
    } else {
      const following = parts[index + 1];
      const end = following?.kind === 'literal' ? rest.indexOf(following.text) : rest.length;
      const value = rest.slice(0, end);
      if (end < 0 || /["\\\n\r]/.test(value.replaceAll(part.quote === '"' ? "'" : '"', '')))
        return [];
      if (part.kind === 'source') {
        const scope = part.scope === 'line' ? [lines[selected - from]!] : lines;
        if (value === '' || !scope.some((line) => line.includes(value))) return [];
      } else if (encode(value).length > part.maxBytes) return [];
      rest = rest.slice(end);
    }
  }
  return [{ rest, floor: ascending ? Math.max(floor, low + 1) : floor }];
}

async function programs(
  engine: NativeEngine,
  texts: readonly string[],
  dialect: 'prox' | 'ultrax',
  frame: typeof llamaFrame,
  grammar: ProgramGrammar | null,
) {
  const views = documents(texts);
  const format = { ...lineFormat, firstLine: DIALECTS[dialect].lineBase as 0 | 1 };
  const windows = await engine.planWindows({
    ...views,
    docs: null,
    lineFormat: format,
    windows: { unit: 'tokens', max: 150, countBos: true },
  });
  const result = await engine.generatePrograms({
    ...views,
    windows,
    frame,
    lineFormat: format,
    grammar,
    maxNewTokens: 80,
  });
  return { windows, result };
}

describe.each(models)('generatePrograms, %s', (name, dialect, shape, frame) => {
  const texts = raggedTexts(24, 25);
  // Random weights seldom end a free target string.
  const grammar = DIALECTS[dialect].makeGrammar({ deletionOnly: dialect === 'ultrax' });

  it('writes only programs that are valid for their window, the same in any batch', async () => {
    const path = await tinyModel(name, shape);
    const batched = await open(path, { nSlots: 8, nUbatch: 256 });
    const single = await open(path, { nSlots: 1, nUbatch: 1024 });
    const { windows, result } = await programs(batched, texts, dialect, frame, grammar);
    const alone = await programs(single, texts, dialect, frame, grammar);
    if (isOnCpu) expect(alone.result).toEqual(result);
    else expect(alone.result.promptTokens).toEqual(result.promptTokens);

    let complete = 0;
    for (const [index, program] of result.programs.entries()) {
      if (result.flags[index]! & 1) continue;
      complete += 1;
      const lines = texts[windows.doc[index]!]!.split('\n');
      const [start, end] = [windows.lineStart[index]!, windows.lineEnd[index]!];
      const valid = isValid(program, grammar, lines.slice(start, end), start + grammar.firstLine);
      expect(valid, program).toBe(true);
    }
    expect(complete).toBeGreaterThan(result.programs.length / 5);

    const stats = batched.stats();
    const written = result.newTokens.reduce((sum, count) => sum + count, 0);
    expect(stats.forcedTokens).toBeGreaterThan(0);
    // Every written token was sampled or forced; ends of programs are sampled too.
    expect(stats.sampledTokens + stats.forcedTokens).toBeGreaterThanOrEqual(written);
    expect(stats.sampledTokens + stats.forcedTokens).toBeLessThanOrEqual(
      written + result.programs.length,
    );
    expect(stats.decodeSteps).toBe(stats.sampledTokens);
    await Promise.all([batched.dispose(), single.dispose()]);
  });

  it.runIf(isOnCpu)('decodes freely the same in any batch', async () => {
    const path = await tinyModel(name, shape);
    const batched = await open(path, { nSlots: 6, nUbatch: 300 });
    const single = await open(path, { nSlots: 1, nUbatch: 512 });
    const short = texts.slice(0, 8);
    const { result } = await programs(batched, short, dialect, frame, null);
    expect((await programs(single, short, dialect, frame, null)).result).toEqual(result);
    expect(batched.stats().forcedTokens).toBe(0);
    const generate = { ...documents(short), docs: null, frame, maxNewTokens: 12 };
    expect(await batched.generateText(generate)).toEqual(await single.generateText(generate));
    await Promise.all([batched.dispose(), single.dispose()]);
  });
});

describe.runIf(isOnCpu).each(['auto', 'off'] as const)(
  'matrices of IQ types, fused attention %s',
  (flashAttention) => {
    it('give the same bits whatever the number of slots', async () => {
      // Fewer than eight tokens or outputs of a step were multiplied by another kernel: iq3_s wrote other programs.
      const texts = raggedTexts(22, 14, 9);
      const grammar = DIALECTS.prox.makeGrammar({ deletionOnly: false });
      for (const type of ['iq3_s', 'iq4_xs'] as const) {
        const path = await tinyModel(`slots-${type}`, { type, nEmbd: 256, nFf: 256, seed: 5 });
        const results = [];
        for (const [nSlots, nUbatch] of [
          [1, 512],
          [3, 192],
          [20, 2560],
        ] as const) {
          const engine = await open(path, { nSlots, nUbatch, flashAttention });
          const request = { ...documents(texts), docs: null, frame: llamaFrame };
          const answers = ['keep_doc()', 'drop_doc()'] as const;
          const { logitDiff } = await engine.scoreDocuments({ ...request, answers });
          const free = await engine.generateText({ ...request, maxNewTokens: 10 });
          const { result } = await programs(engine, texts, 'prox', llamaFrame, grammar);
          results.push({ logitDiff, free, result });
          await engine.dispose();
        }
        expect(results[1]).toEqual(results[0]);
        expect(results[2]).toEqual(results[0]);
      }
    });
  },
);

describe('rows of logits that several threads read', () => {
  it.runIf(isOnCpu)('give the tokens that one thread takes', async () => {
    // 24 rows of 32,000: a step's rows are shared among threads from some 260,000 values on.
    const path = await tinyModel('wide', { vocabSize: 32_000 });
    const results = [];
    for (const nThreads of [1, 4]) {
      const engine = await open(path, { nThreads, nSlots: 24, nUbatch: 512 });
      const views = documents(raggedTexts(48, 12, 5));
      const generate = { ...views, docs: null, frame: llamaFrame, maxNewTokens: 6 };
      const free = await engine.generateText(generate);
      const grammar = DIALECTS.prox.makeGrammar({ deletionOnly: false });
      const written = await programs(engine, raggedTexts(24, 12, 5), 'prox', llamaFrame, grammar);
      results.push({ free, programs: written.result });
      await engine.dispose();
    }
    expect(results[1]).toEqual(results[0]);
    expect(new Set(results[0]!.free.programs).size).toBeGreaterThan(1);
  });
});

/** Windows of every length up to `longest`, side by side in one request, with a random model of each vocabulary. */
describe.each([
  ['SentencePiece', {}, llamaFrame],
  ['byte-level BPE', { tokenizer: 'bpe' }, chatmlFrame],
] as const)('ranges that ascend, %s', (name, shape, frame) => {
  const literal = (text: string) => ({ kind: 'literal' as const, text });
  const from = { kind: 'lineFrom', ascending: true } as const;
  const remove = {
    name: 'remove',
    parts: [literal('r('), from, literal(','), { kind: 'lineTo' } as const, literal(')')],
  };
  const cut = {
    name: 'cut',
    parts: [
      literal('c('),
      from,
      literal(',"'),
      { kind: 'source', scope: 'line', quote: '"' } as const,
      literal('")'),
    ],
  };
  const touch = { name: 'touch', parts: [literal('t()')] };
  const skip = {
    name: 'skip',
    parts: [literal('s('), { kind: 'lineFrom' } as const, literal(')')],
  };
  // The vocabulary has tokens that hold the separator and the start of an op: " the", " and".
  const the = { name: 'the', parts: [literal('the('), from, literal(')')] };
  const and = {
    name: 'and',
    parts: [literal('and('), { kind: 'lineFrom' } as const, literal(')')],
  };
  const grammars = {
    remove: { ops: [remove], separator: '\n' },
    'remove and cut': { ops: [remove, cut], separator: '\n' },
    'all of them': { ops: [remove, cut, touch, skip], separator: '\n' },
    words: { ops: [the, and], separator: ' ' },
  };
  const longest = 9;
  // Lines that hold nothing for `cut` stand at the end of some windows.
  const lines = Array.from({ length: longest }, (_, line) =>
    line % 3 === 2 ? '""' : `Line ${line} "so"`,
  );
  const lineStart = Int32Array.from({ length: 3 * longest }, (_, index) => index % longest);
  const lineEnd = lineStart.map((start, index) =>
    Math.min(longest, start + 1 + Math.floor(index / longest) * 4),
  );
  const doc = new Int32Array(lineStart.length);

  it.each(Object.keys(grammars) as (keyof typeof grammars)[])('%s', async (ops) => {
    const grammar = (firstLine: 0 | 1): ProgramGrammar => ({
      whole: [],
      ...grammars[ops],
      maxOps: 12,
      firstLine,
    });
    let exhausted = 0;
    for (const seed of [2, 3, 4]) {
      const model = await tinyModel(`ascending-${name}-${seed}`, { ...shape, seed });
      const batched = await open(model, { nSlots: 8 });
      const single = await open(model, { nSlots: 1 });
      for (const firstLine of [0, 1] as const) {
        const request = {
          ...documents([lines.join('\n')]),
          frame: { ...frame, maxTokens: 500 },
          lineFormat: { ...lineFormat, firstLine },
          grammar: grammar(firstLine),
          maxNewTokens: 150,
        };
        const result = await batched.generatePrograms({
          ...request,
          windows: { doc, lineStart, lineEnd },
        });
        for (const [index, program] of result.programs.entries()) {
          const [start, end] = [lineStart[index]!, lineEnd[index]!];
          // What is cached of one window must hold for the others.
          const alone = await single.generatePrograms({
            ...request,
            windows: {
              doc: Int32Array.of(0),
              lineStart: Int32Array.of(start),
              lineEnd: Int32Array.of(end),
            },
          });
          expect(alone.programs).toEqual([program]);
          if (result.flags[index]! & 1) continue;
          const shown = lines.slice(start, end);
          expect(isValid(program, request.grammar, shown, start + firstLine), program).toBe(true);
          const last = end - 1 + firstLine;
          if (ops === 'remove' && program.endsWith(`,${last})`)) exhausted++;
        }
        // A program of ranges alone comes to its end: the window has only so many lines.
        if (ops === 'remove') expect(Math.max(...result.flags)).toBe(0);
      }
      await Promise.all([batched.dispose(), single.dispose()]);
    }
    if (ops === 'remove') expect(exhausted).toBeGreaterThan(0);
  });
});

describe('generatePrograms', () => {
  const tokens = (text: string) => ({
    whole: [],
    ops: [{ name: 'only', parts: [{ kind: 'literal' as const, text }] }],
    separator: '\n',
    maxOps: 1,
    firstLine: 0 as const,
  });
  const window = {
    windows: {
      doc: Int32Array.of(0),
      lineStart: Int32Array.of(0),
      lineEnd: Int32Array.of(1),
    },
    frame: { ...chatmlFrame, maxTokens: 400 },
    lineFormat,
    maxNewTokens: 60,
  };

  it('appends what is forced without sampling', async () => {
    const engine = await open(await tinyModel('forced', { tokenizer: 'bpe' }));
    const text = 'remove_lines(start=12, end=17)';
    const result = await engine.generatePrograms({
      ...documents(['a line']),
      ...window,
      grammar: tokens(text),
    });
    expect(result.programs).toEqual([text]);
    const canonical = engine.tokenize(encode(text), { addSpecial: false, parseSpecial: false });
    expect(result.newTokens[0]).toBe(canonical.length);
    expect(engine.stats().forcedTokens).toBe(canonical.length);
    expect(engine.stats().decodeCalls).toBe(0);
    await engine.dispose();
  });

  it('offers no op that its window cannot fill', async () => {
    const engine = await open(await tinyModel('unfillable', { tokenizer: 'bpe' }));
    for (const dialect of ['prox', 'ultrax'] as const) {
      const grammar = DIALECTS[dialect].makeGrammar({ deletionOnly: true });
      const result = await engine.generatePrograms({
        ...documents([dialect === 'prox' ? '""\\' : "''\\"]),
        ...window,
        grammar: { ...grammar, whole: [], maxOps: 1 },
      });
      expect(result.programs[0]).not.toMatch(/normalize|replace/);
    }
    await engine.dispose();
  });

  it('ends a program when no range is left', async () => {
    const engine = await open(await tinyModel('ended', { tokenizer: 'bpe' }));
    const { ops } = DIALECTS.prox.makeGrammar();
    const grammar = { ...DIALECTS.prox.grammar, whole: [], ops: [ops[0]!] };
    const request = { ...documents(['one line']), ...window };
    const { programs } = await engine.generatePrograms({ ...request, grammar });
    expect(programs).toEqual(['remove_lines(start=0, end=0)']);
    // Nothing was left to choose.
    expect(engine.stats().sampledTokens).toBe(0);
    const free = DIALECTS.prox.makeGrammar({ ascending: false }).ops[0]!;
    const repeated = await engine.generatePrograms({
      ...request,
      grammar: { ...grammar, ops: [free], maxOps: 3 },
    });
    expect(repeated.programs[0]).toMatch(/^remove_lines\(start=0, end=0\)/);
    expect(engine.stats().sampledTokens).toBeGreaterThan(0);
    await engine.dispose();
  });

  it('leaves out windows whose prompt is too long, and says so', async () => {
    const engine = await open(await tinyModel('long'), { nCtxSlot: 512 });
    const texts = ['short', 'long '.repeat(400)];
    const result = await engine.generatePrograms({
      ...documents(texts),
      windows: {
        doc: Int32Array.of(0, 1),
        lineStart: Int32Array.of(0, 0),
        lineEnd: Int32Array.of(1, 1),
      },
      frame: { ...llamaFrame, maxTokens: 400 },
      lineFormat,
      grammar: DIALECTS.prox.grammar,
      maxNewTokens: 20,
    });
    expect(result.flags[0]! & 2).toBe(0);
    expect(result.flags[1]).toBe(2);
    expect(result.programs[1]).toBe('');
    await engine.dispose();
  });

  it('refuses windows outside their document and grammars that cannot end', async () => {
    const engine = await open(await tinyModel('refuses'));
    const request = { ...documents(['one line']), ...window, grammar: DIALECTS.prox.grammar };
    await expect(
      engine.generatePrograms({
        ...request,
        windows: { ...window.windows, lineEnd: Int32Array.of(2) },
      }),
    ).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    const source = { kind: 'source', scope: 'line', quote: '"' } as const;
    const from = { kind: 'lineFrom', ascending: true } as const;
    for (const parts of [[source], [from, from]]) {
      const ops = [{ name: 'x', parts }];
      await expect(
        engine.generatePrograms({ ...request, grammar: { ...request.grammar, ops } }),
      ).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    }
    await engine.dispose();
  });
});
