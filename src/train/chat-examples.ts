/**
 * Conversations and prompts as token sequences: a prompt is what the engine builds around the same text, so that a model
 * reads in use what it read in training.
 *
 *     prompt (template around all that was said before) | answer | end of text
 *
 * Every answer of a conversation has the prompt that it has in use: the template around everything before it, its
 * invitation to answer included. Where that prompt begins with the example of the answer before, token for token, both
 * are one sequence; where a template tells earlier answers otherwise than they were given, they are several.
 *
 * Rendering is the refine room's (prompt.ts, profile.ts): this file, lm-run.ts, program-writer/ and defaults/ are the
 * places of training that use it.
 */
import { GristmillError } from '../errors.ts';
import { inspectModel } from '../model/inspect.ts';
import type { DocumentViews, PromptFrame } from '../native/engine.ts';
import {
  type NativeTokenizer,
  PART_TRIM_END,
  PART_TRIM_START,
  PART_TRUSTED,
} from '../native/tokenizer.ts';
import { loadProfile } from '../refine/find-profile.ts';
import type { Profile } from '../refine/profile.ts';
import {
  type ConversationFrame,
  conversationFrame,
  type PromptModel,
  promptFrame,
} from '../refine/prompt.ts';
import type { ChatTurn, Conversation, PromptWithAnswer } from './conversation.ts';
import type { SftExample } from './objectives.ts';
import type { RowPlace } from './row-fault.ts';

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

/** Examples of a conversation. */
export interface EncodedConversation {
  readonly examples: readonly SftExample[];
  /** Answers that are left out, as prompt and answer are longer than the context. */
  readonly nTooLong: number;
}

/** Encodes prompts and conversations for one model. */
export class ChatEncoder {
  readonly #tokenizer: NativeTokenizer;
  readonly #profile: Profile | null;
  readonly #stage: 'document' | 'chunk';
  readonly #model: Awaited<ReturnType<typeof inspectModel>>;
  readonly #nCtx: number;
  readonly #maxTokens: number;
  /** By system message: profiles have one or none. */
  readonly #frames = new Map<string | null, PromptFrame>();
  /** By the roles in front of an answer. */
  readonly #conversations = new Map<string, ConversationFrame>();
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
    this.#nCtx = nCtx;
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

  /**
   * A prompt that is text as it is: no template around it, first tokens as in use. The answer stands right behind it.
   */
  async encodeText({ prompt, answer }: PromptWithAnswer): Promise<SftExample> {
    const { bos = 'model', spacePrefix = true } = this.#limits();
    const addBos =
      bos === 'model' ? this.#tokenizer.info.addBos : bos === 'twice' ? bos : bos === 'once';
    const frame = {
      prefix: '',
      suffix: '',
      addBos,
      spacePrefix,
      trimStart: false,
      trimEnd: false,
      maxTokens: this.#maxTokens,
      truncate: 'prompt',
    } as const;
    return this.#framed(frame, prompt, answer);
  }

  /**
   * @param place named where the template does not take the messages
   * @throws TRAIN_GOLD_INVALID, OPTION_INVALID when there is no template
   */
  async encode(
    { turns }: Pick<Conversation, 'turns'>,
    place: RowPlace,
  ): Promise<EncodedConversation> {
    const examples: SftExample[] = [];
    let nTooLong = 0;
    for (const [at, { text, learnt }] of turns.entries()) {
      if (!learnt) continue;
      const made = await this.#answered(turns.slice(0, at), text, place);
      if (made.prompt.length === 0 || made.prompt.length + made.answer.length > this.#nCtx) {
        nTooLong++;
        continue;
      }
      const last = examples.at(-1);
      if (last && continues(made, last)) examples[examples.length - 1] = joined(made, last);
      else examples.push(made);
    }
    return { examples, nTooLong };
  }

  /** An answer behind everything that was said before it. */
  async #answered(
    before: readonly ChatTurn[],
    answer: string,
    place: RowPlace,
  ): Promise<SftExample> {
    const roles = before.map(({ role }) => role).join(' ');
    const isExchange = roles === 'user' || roles === 'system user';
    const system = before[0]?.role === 'system' ? before[0].text : null;
    try {
      if (isExchange && (system === null || system === this.#profile?.chat.system)) {
        return await this.#framed(this.#frameOf(system), before.at(-1)!.text, answer);
      }
      const frame = this.#conversationOf(before, roles);
      const prompt = await this.#promptOf(frame, before);
      const { answer: learnt } = await this.#framed(frame.invitation, '', answer);
      const isCut = isExchange && prompt.length > this.#maxTokens;
      return { prompt: isCut ? prompt.subarray(0, this.#maxTokens) : prompt, answer: learnt };
    } catch (cause) {
      if (!(cause instanceof GristmillError) || cause.code !== 'PROFILE_TEMPLATE_FAILED')
        throw cause;
      const reason = `messages of the roles ${roles}: expected ones that the chat template takes; ${cause.message}`;
      throw new GristmillError('TRAIN_GOLD_INVALID', { ...place, reason }, { cause });
    }
  }

  async #framed(frame: PromptFrame, prompt: string, answer: string): Promise<SftExample> {
    const { ids, answerStarts } = await this.#tokenizer.encodeChats({
      frame,
      prompts: this.#column([prompt]),
      answers: this.#column([answer]),
    });
    const { eos } = this.#tokenizer.info;
    const learnt = ids.subarray(answerStarts[0]);
    return {
      prompt: ids.subarray(0, answerStarts[0]),
      answer: eos >= 0 ? Int32Array.of(...learnt, eos) : learnt,
    };
  }

  #promptOf(
    { pieces, invitation, trims }: ConversationFrame,
    turns: readonly ChatTurn[],
  ): Promise<Int32Array> {
    const { addBos, spacePrefix = true } = invitation;
    const texts = turns.flatMap(({ text }, at) => [pieces[at]!, text]);
    const kinds = trims.flatMap(({ start, end }) => [
      PART_TRUSTED,
      (start ? PART_TRIM_START : 0) | (end ? PART_TRIM_END : 0),
    ]);
    return this.#tokenizer.encodeConversation({
      texts: this.#column([...texts, pieces.at(-1)!]),
      kinds: Int32Array.of(...kinds, PART_TRUSTED),
      nBos: addBos === 'twice' ? 2 : addBos ? 1 : 0,
      spacePrefix,
    });
  }

  #frameOf(system: string | null): PromptFrame {
    const known = this.#frames.get(system);
    if (known) return known;
    const { profile, model } = this.#template(system);
    const limits = { ...this.#limits(), maxTokens: this.#maxTokens, truncate: 'prompt' } as const;
    const frame = promptFrame(profile, model, '{text}', '{text}', limits);
    this.#frames.set(system, frame);
    return frame;
  }

  #conversationOf(turns: readonly ChatTurn[], roles: string): ConversationFrame {
    const known = this.#conversations.get(roles);
    if (known) return known;
    const { profile, model } = this.#template(null);
    const limits = { ...this.#limits(), maxTokens: this.#maxTokens, truncate: 'prompt' } as const;
    const said = turns.map(({ role }) => role);
    const frame = conversationFrame(profile, model, said, limits);
    this.#conversations.set(roles, frame);
    return frame;
  }

  #limits() {
    const { bos, spacePrefix } = this.#profile?.[this.#stage] ?? {};
    return { bos, spacePrefix };
  }

  #template(system: string | null): {
    readonly profile: Pick<Profile, 'name' | 'chat'>;
    readonly model: PromptModel;
  } {
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
    const date = this.#profile?.chat.date;
    return {
      profile: {
        name: this.#profile?.name ?? 'of the model',
        chat: { template, system, ...(date !== undefined && { date }) },
      },
      model: {
        chatTemplate: source,
        bosToken,
        eosToken,
        addBos: this.#tokenizer.info.addBos,
      },
    };
  }

  #column(texts: readonly string[]): DocumentViews {
    const encoded = texts.map((text) => this.#encoder.encode(text));
    const offsets = new Int32Array(texts.length + 1);
    for (const [at, { length }] of encoded.entries()) offsets[at + 1] = offsets[at]! + length;
    return { data: Buffer.concat(encoded), offsets };
  }
}

/** Whether a prompt begins with all of an earlier example. */
function continues({ prompt }: SftExample, earlier: SftExample): boolean {
  const start = earlier.prompt.length;
  const end = start + earlier.answer.length;
  return (
    prompt.length >= end &&
    earlier.prompt.every((token, at) => prompt[at] === token) &&
    earlier.answer.every((token, at) => prompt[start + at] === token)
  );
}

function joined(example: SftExample, { prompt, answer, learnt = [] }: SftExample): SftExample {
  const span = [prompt.length, prompt.length + answer.length] as const;
  return { ...example, learnt: [...learnt, span] };
}
