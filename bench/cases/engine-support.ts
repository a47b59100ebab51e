/**
 * What the engine cases share: seeded models in the cache, documents of a known number of tokens, spreads of rates.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import {
  RANDOM_MODEL_PRESETS,
  type RandomModelPreset,
  writeRandomModel,
} from '../../src/model/random.ts';
import type { DocumentViews, NativeEngine, PromptFrame } from '../../src/native/engine.ts';
import { cacheFolder } from '../../src/paths.ts';
import type { Profile } from '../../src/refine/profile.ts';
import { PROFILES } from '../../src/refine/profiles.ts';
import { promptFrame } from '../../src/refine/prompt.ts';
import { median } from './median.ts';

const WORDS =
  'the page of news and list home about contact share other people time year good first last great little world school state never become between high really something most another much family own out leave put old while mean on keep student why let same big group begin country help talk where turn problem every start hand might american show part against place such again few case week company system each right program hear question during play government run small number off always move night live point believe hold today bring happen next without before large million must home under water room write mother area national money story young fact month different lot study book eye job word though business issue side kind four head far black long both house yes since provide service around friend important father sit away until power hour game often yet line political end among ever stand bad lose however member pay law meet car city almost include continue set later community name once white least president learn real change'.split(
    ' ',
  );

/** A seeded random GGUF of a preset, made once per bench run. */
export async function benchModel(preset: RandomModelPreset): Promise<string> {
  const folder = join(cacheFolder(), 'bench');
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${preset}.gguf`);
  await writeRandomModel({ ...RANDOM_MODEL_PRESETS[preset], path, seed: 1 });
  return path;
}

/** A small seeded generator; numbers in 0..1. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Documents of lines of words, each cut to about `nTokens` tokens by the model's own tokenizer. */
export function documentsOf(engine: NativeEngine, nDocs: number, nTokens: number): string[] {
  const random = seeded(7);
  const encoder = new TextEncoder();
  const decoder = new TextDecoder();
  return Array.from({ length: nDocs }, () => {
    let text = '';
    while (text.length < nTokens * 8) {
      const words = Array.from(
        { length: 4 + Math.floor(random() * 14) },
        () => WORDS[Math.floor(random() * WORDS.length)]!,
      );
      text += `${words.join(' ')}.\n`;
    }
    const options = { addSpecial: false, parseSpecial: false };
    const tokens = engine.tokenize(encoder.encode(text), options);
    return decoder.decode(engine.detokenize(tokens.slice(0, nTokens))).trim();
  });
}

/** Texts as one column. */
export function viewsOf(texts: readonly string[]): DocumentViews {
  const encoded = texts.map((text) => Buffer.from(text));
  const offsets = new Int32Array(texts.length + 1);
  for (const [doc, bytes] of encoded.entries()) offsets[doc + 1] = offsets[doc]! + bytes.length;
  return { data: Buffer.concat(encoded), offsets };
}

/** ProX's profile without the system text, so that prompt and document have nearly the same length. */
export const PROFILE: Profile = {
  ...PROFILES['prox']!,
  name: 'bench',
  chat: { template: "[INST] {{ messages[0]['content'] }} [/INST]", system: null },
  document: { ...PROFILES['prox']!.document!, truncate: 'content' },
  chunk: { ...PROFILES['prox']!.chunk!, maxNewTokens: 48 },
};

/** The prompts of both stages, as the stages render them. */
export function framesOf(engine: NativeEngine): { document: PromptFrame; chunk: PromptFrame } {
  const info = engine.info();
  const { document, chunk } = PROFILE;
  return {
    document: promptFrame(PROFILE, info, document!.user, '{text}', {
      maxTokens: document!.maxPromptTokens,
      truncate: document!.truncate,
    }),
    chunk: promptFrame(PROFILE, info, chunk!.user, '{lines}', {
      maxTokens: chunk!.windows.max + 128,
      truncate: 'content',
    }),
  };
}

/** `median (smallest..largest)` of rates, rounded. */
export function spread(values: readonly number[]): string {
  const round = (value: number): string =>
    value >= 100 ? Math.round(value).toLocaleString('en') : value.toFixed(2);
  return `${round(median(values))} (${round(Math.min(...values))}..${round(Math.max(...values))})`;
}

/** Sum of counts. */
export function total(counts: Int32Array): number {
  return counts.reduce((sum, count) => sum + count, 0);
}
