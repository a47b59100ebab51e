/**
 * Chat messages as token sequences: the prompt is what the engine builds around the same text, so that a refiner reads
 * in use what it read in training.
 *
 *     {"messages": [system?, user, assistant]}   →   prompt (template around the user's text) | answer | end of text
 *
 * Rendering is the refine room's (prompt.ts, profile.ts): this file, lm-run.ts, program-writer/ and defaults/ are the
 * places of training that use it.
 */
import { GristmillError } from '../errors.ts';
import { inspectModel } from '../model/inspect.ts';
import type { PromptFrame } from '../native-engine.ts';
import type { NativeTokenizer } from '../native-tokenizer.ts';
import { loadProfile, type Profile } from '../refine/profile.ts';
import { promptFrame } from '../refine/prompt.ts';
import type { SftExample } from './objectives.ts';

/** How messages become prompts. */
export interface ChatOptions {
  /**
   * Built-in profile or JSON file: its template and first tokens are used, not its system message. Default: the chat
   * template in the tokenizer's file.
   */
  readonly profile?: string | undefined;
  /** Stage of the profile that the model is for. Default `chunk`. */
  readonly stage?: 'document' | 'chunk' | undefined;
}

/** The messages of a row. */
export interface Chat {
  readonly system: string | null;
  readonly user: string;
  readonly assistant: string;
}

/**
 * Reads the messages of a row: an optional system message, one of the user, one of the assistant.
 *
 * @returns the chat, or what was expected instead
 */
export function chatOf(messages: unknown): Chat | string {
  const expected =
    'messages of the roles system (or none), user and assistant, each with a content';
  if (!Array.isArray(messages)) return expected;
  const roles = messages.length === 3 ? ['system', 'user', 'assistant'] : ['user', 'assistant'];
  if (messages.length !== roles.length) return expected;
  const contents = messages.map((message: unknown, index) => {
    if (typeof message !== 'object' || message === null) return null;
    const { role, content } = message as { readonly role?: unknown; readonly content?: unknown };
    return role === roles[index] && typeof content === 'string' ? content : null;
  });
  if (contents.includes(null)) return expected;
  const [assistant, user, system] = (contents as string[]).reverse();
  return { system: system ?? null, user: user!, assistant: assistant! };
}

/** Encodes chats of one model. */
export class ChatEncoder {
  readonly #tokenizer: NativeTokenizer;
  readonly #profile: Profile | null;
  readonly #stage: 'document' | 'chunk';
  readonly #model: Awaited<ReturnType<typeof inspectModel>>;
  readonly #maxTokens: number;
  /** By system message: sets have one or few. */
  readonly #frames = new Map<string | null, PromptFrame>();
  readonly #encoder = new TextEncoder();

  private constructor(
    tokenizer: NativeTokenizer,
    model: Awaited<ReturnType<typeof inspectModel>>,
    { profile, stage = 'chunk' }: ChatOptions,
    nCtx: number,
  ) {
    this.#tokenizer = tokenizer;
    this.#model = model;
    this.#profile = profile === undefined ? null : loadProfile(profile, undefined);
    this.#stage = stage;
    // Document prompts are cut as in use; others are left out when they do not fit, so one token too many is enough.
    const document = stage === 'document' ? this.#profile?.document : null;
    this.#maxTokens = document?.maxPromptTokens ?? nCtx + 1;
  }

  /**
   * @param tokenizerPath the file that `tokenizer` was opened from
   * @param nCtx longest example in tokens
   * @throws PROFILE_*, ENGINE_MODEL_*
   */
  static async open(
    tokenizer: NativeTokenizer,
    tokenizerPath: string,
    options: ChatOptions,
    nCtx: number,
  ): Promise<ChatEncoder> {
    return new ChatEncoder(tokenizer, await inspectModel(tokenizerPath), options, nCtx);
  }

  /** @throws PROFILE_TEMPLATE_FAILED, OPTION_INVALID when there is no template */
  async encode({ system, user, assistant }: Chat): Promise<SftExample> {
    const { ids, answerStarts } = await this.#tokenizer.encodeChats({
      frame: this.#frameOf(system),
      prompts: this.#column(user),
      answers: this.#column(assistant),
    });
    const { eos } = this.#tokenizer.info;
    const answer = ids.subarray(answerStarts[0]);
    return {
      prompt: ids.subarray(0, answerStarts[0]),
      answer: eos >= 0 ? Int32Array.of(...answer, eos) : answer,
    };
  }

  #frameOf(system: string | null): PromptFrame {
    const known = this.#frames.get(system);
    if (known) return known;
    const { chatTemplate, bosToken, eosToken } = this.#model;
    const template = this.#profile?.chat.template ?? chatTemplate;
    if (template === null) {
      throw new GristmillError('OPTION_INVALID', {
        option: 'data.profile',
        expected: 'a profile, as the tokenizer’s file has no chat template',
        received: 'none',
      });
    }
    const source = template === 'gguf' ? chatTemplate : template;
    const { bos, spacePrefix } = this.#profile?.[this.#stage] ?? {};
    const frame = promptFrame(
      { name: this.#profile?.name ?? 'of the model', chat: { template, system } },
      { chatTemplate: source, bosToken, eosToken, addBos: this.#tokenizer.info.addBos },
      '{text}',
      '{text}',
      { maxTokens: this.#maxTokens, truncate: 'prompt', bos, spacePrefix },
    );
    this.#frames.set(system, frame);
    return frame;
  }

  #column(text: string) {
    const data = this.#encoder.encode(text);
    return { data, offsets: Int32Array.of(0, data.length) };
  }
}
