/**
 * Examples as chat messages, one JSON object a line: what TRL (`messages`), Axolotl (`type: chat_template`, field
 * `messages`), LLaMA-Factory (`formatting: sharegpt`, column `messages`, tags `role` and `content`) and `gristmill
 * train` read.
 */
import type { Profile } from '../refine/profile.ts';
import { foldOf } from '../scorers/gold.ts';
import type { Split } from './types.ts';

/** A message. */
export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

/** A row: one exchange, with the system message of the profile where it has one. */
export function chatRow(
  user: string,
  assistant: string,
  { chat: { system } }: Profile,
): { readonly messages: readonly ChatMessage[] } {
  return {
    messages: [
      ...(system === null ? [] : [{ role: 'system' as const, content: system }]),
      { role: 'user', content: user },
      { role: 'assistant', content: assistant },
    ],
  };
}

/** Parts are cut by fold, this fine. */
const N_FOLDS = 1000;

/**
 * The part of a document: a share of all domains validates, chosen by a hash of the domain (or of the id where there is
 * none), so that pages of one site are never on both sides.
 */
export function splitOf(
  document: { readonly id: string; readonly domain: string },
  validation: number,
): Split {
  return foldOf(document, N_FOLDS) < validation * N_FOLDS ? 'validation' : 'train';
}
