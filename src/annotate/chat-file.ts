/**
 * Examples as chat messages, one JSON object a line: what TRL (`messages`), Axolotl (`type: chat_template`, field
 * `messages`), LLaMA-Factory (`formatting: sharegpt`, column `messages`, tags `role` and `content`) and `gristmill
 * train` read.
 */
import type { Profile } from '../refine/profile.ts';
import type { WindowExample } from './types.ts';

/** A message. */
export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

/** The row of an example. */
export function chatRow(
  { program }: WindowExample,
  user: string,
  { chat: { system } }: Profile,
): { readonly messages: readonly ChatMessage[] } {
  return {
    messages: [
      ...(system === null ? [] : [{ role: 'system' as const, content: system }]),
      { role: 'user', content: user },
      { role: 'assistant', content: program },
    ],
  };
}
