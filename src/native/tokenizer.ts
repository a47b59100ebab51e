/**
 * Typed face of the native tokenizer (native/binding/tokenizer.cc): the vocabulary of a GGUF file, by llama.cpp itself.
 */

import type { DocumentViews, PromptFrame } from './engine.ts';
import { codedCall } from './error.ts';

/** What a vocabulary says of itself. */
export interface TokenizerInfo {
  readonly nTokens: number;
  /** −1 where there is none. */
  readonly bos: number;
  readonly eos: number;
  /** The model expects BOS in front of a text. */
  readonly addBos: boolean;
}

/** Tokens of a column of documents. */
export interface EncodedColumn {
  readonly ids: Int32Array;
  /** First token of each document, and the end. */
  readonly starts: Int32Array;
}

/** Prompts with the answers that follow them. */
export interface ChatColumn {
  /** What stands around every prompt; prompts are cut to its `maxTokens`. */
  readonly frame: PromptFrame;
  readonly prompts: DocumentViews;
  /** One for each prompt. */
  readonly answers: DocumentViews;
}

/** Tokens of {@link ChatColumn}: example `e` is `ids[starts[e] .. starts[e + 1])`, its answer from `answerStarts[e]` on. */
export interface EncodedChats extends EncodedColumn {
  readonly answerStarts: Int32Array;
}

/** Kinds of the parts of a conversation, as bits. */
export const PART_TRUSTED = 1;
export const PART_TRIM_START = 2;
export const PART_TRIM_END = 4;

/** A conversation as parts in order: pieces of a template and messages. */
export interface ConversationParts {
  readonly texts: DocumentViews;
  /** Of each part: {@link PART_TRUSTED} for a template's pieces, whose special tokens are read as such. */
  readonly kinds: Int32Array;
  /** BOS tokens that stand at the start. */
  readonly nBos: number;
  readonly spacePrefix: boolean;
}

/** A vocabulary. */
export interface NativeTokenizer {
  readonly info: TokenizerInfo;
  /**
   * Tokens of documents; special tokens in a text are plain text, nothing is put in front or behind.
   *
   * @throws OPTION_INVALID, DISPOSED
   */
  encode(documents: DocumentViews): Promise<EncodedColumn>;
  /**
   * Tokens of prompts as the engine builds them around the same texts, and of answers as it writes them; nothing is
   * put behind an answer.
   *
   * @throws OPTION_INVALID, DISPOSED
   */
  encodeChats(chats: ChatColumn): Promise<EncodedChats>;
  /**
   * Tokens of a conversation: those of the whole string, except that special tokens in messages are plain text. Of one
   * message between two pieces of a template it makes what {@link encodeChats} makes of the prompt.
   *
   * @throws OPTION_INVALID, DISPOSED
   */
  encodeConversation(parts: ConversationParts): Promise<Int32Array>;
  /** Bytes of tokens, control tokens left out. @throws OPTION_INVALID, DISPOSED */
  decode(ids: Int32Array): Promise<Uint8Array>;
  /** Again: does nothing. */
  dispose(): void;
}

interface TokenizerHandle {
  open(): Promise<TokenizerInfo>;
  encode(documents: DocumentViews): Promise<EncodedColumn>;
  encodeChats(chats: ChatColumn): Promise<EncodedChats>;
  encodeConversation(parts: ConversationParts): Promise<Int32Array>;
  decode(ids: Int32Array): Uint8Array;
  dispose(): void;
}

/** What the addon exports for tokenizers. */
export interface TokenizerAddon {
  readonly Tokenizer: new (path: string) => TokenizerHandle;
}

/**
 * Opens the vocabulary of a GGUF file.
 *
 * @throws ENGINE_MODEL_MISSING, ENGINE_MODEL_INVALID
 */
export async function openTokenizerWith(
  addon: TokenizerAddon,
  path: string,
): Promise<NativeTokenizer> {
  const handle = new addon.Tokenizer(path);
  const info = await codedCall(() => handle.open());
  return {
    info,
    encode: (documents) => codedCall(() => handle.encode(documents)),
    encodeChats: (chats) => codedCall(() => handle.encodeChats(chats)),
    encodeConversation: (parts) => codedCall(() => handle.encodeConversation(parts)),
    decode: (ids) => codedCall(async () => handle.decode(ids)),
    dispose: () => handle.dispose(),
  };
}
