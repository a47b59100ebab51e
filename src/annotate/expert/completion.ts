/**
 * The body of a chat completion, read with suspicion: anything may stand where an answer should.
 *
 * Only a finish reason that is known to mean a whole answer makes one (`stop`, none at all, and the equivalents that
 * servers document), only one that is known to mean a cut makes a cut one. Everything else is no answer, and what a
 * body says of its tokens is reported whether its text is of use or not: it was paid for.
 */
import { completionOfEvents, isEventStream } from './event-stream.ts';
import { concernsPrompt } from './refusals.ts';
import type { Reply, Usage } from './transport.ts';

/** What is wrong with an answer; `final` when asking again would bring the same. */
export interface CompletionProblem {
  readonly problem: string;
  readonly final: boolean;
  /** Tokens that the body names; null where it names none. */
  readonly usage: Usage | null;
  /** Nothing was generated, as the body is an error message. */
  readonly free: boolean;
}

/** Reasons of whole answers, besides none. */
const WHOLE = new Set([
  ...['stop', 'stopped', 'eos', 'eos_token', 'end_of_text', 'end_turn', 'end_of_turn'],
  ...['stop_sequence', 'stop_token', 'complete', 'completed', 'normal', 'finish_reason_stop'],
]);
/** Reasons of answers that reached a bound. */
const CUT = new Set([
  ...['length', 'max_length', 'model_length', 'context_length', 'length_limit', 'token_limit'],
  ...['max_tokens', 'max_new_tokens', 'max_output_tokens', 'max_completion_tokens'],
  ...['model_context_window_exceeded', 'finish_reason_max_tokens', 'finish_reason_length'],
]);
/** Beginnings of reasons of answers that were kept back. */
const KEPT_BACK = [
  ...['content_filter', 'contentfilter', 'safety', 'image_safety', 'recitation', 'blocklist'],
  ...['prohibited_content', 'spii', 'refusal', 'refused', 'sensitive', 'guardrail', 'moderation'],
  ...['error_toxic', 'toxic', 'flagged', 'blocked', 'policy', 'language', 'finish_reason_safety'],
];

/**
 * Reads `choices[0].message.content`, a string or a list of parts, the finish reason and the usage; a stream of events
 * is joined first.
 *
 * An answer that the server or the model kept back (`content_filter`, `refusal`) is final. Thought in fields or parts
 * of its own is left out; when it used up all tokens the answer is empty.
 */
export function parseCompletion(body: string): Reply | CompletionProblem {
  // Some gateways put a byte order mark in front.
  const text = body.startsWith('\ufeff') ? body.slice(1) : body;
  if (isEventStream(text)) {
    const joined = completionOfEvents(text);
    if ('completion' in joined) return read(joined.completion);
    const { problem, usage } = joined;
    return { problem, final: false, free: false, usage: usageOf(usage) };
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { problem: 'no JSON', final: false, usage: null, free: false };
  }
  const completion = record(value);
  if (!completion) return { problem: 'no JSON object', final: false, usage: null, free: false };
  return read(completion);
}

function read(completion: Readonly<Record<string, unknown>>): Reply | CompletionProblem {
  const usage = usageOf(completion['usage']);
  const no = (problem: string, { final = false, free = false } = {}): CompletionProblem => ({
    ...{ problem, final, free, usage },
  });
  const choices = completion['choices'];
  const choice = Array.isArray(choices) ? record(choices[0]) : null;
  // Some servers report failures with status 200, some inside of the choice.
  const error = completion['error'] ?? choice?.['error'] ?? null;
  if (error !== null) {
    return no('an error', { final: concernsPrompt(JSON.stringify(error)), free: true });
  }
  if (!choice) return no('no choices');
  const message = record(choice['message']);
  const finish = finishOf(choice['finish_reason']);
  if (finish === 'kept back') return no('kept back by a filter', { final: true });
  if (hasRefusal(message)) return no('refused by the model', { final: true });
  if (finish === 'unknown') return no(`finish reason ${JSON.stringify(choice['finish_reason'])}`);
  const text = contentOf(message?.['content']);
  if (text === null && finish !== 'length') return no('a choice without text');
  return { text: text ?? '', finish, usage };
}

/** @returns `unknown` for what does not say that the answer is whole or why it is not */
function finishOf(reason: unknown): 'stop' | 'length' | 'kept back' | 'unknown' {
  if (reason === null || reason === undefined || reason === '') return 'stop';
  if (typeof reason !== 'string') return 'unknown';
  const word = reason
    .slice(0, 256)
    .trim()
    .toLowerCase()
    .replace(/[\s-]+/g, '_');
  if (WHOLE.has(word)) return 'stop';
  if (CUT.has(word)) return 'length';
  return KEPT_BACK.some((start) => word.startsWith(start)) ? 'kept back' : 'unknown';
}

/** Whether the model said no in the field, or in a part, that is there for it. */
function hasRefusal(message: Readonly<Record<string, unknown>> | null): boolean {
  const said = (value: unknown): boolean => typeof value === 'string' && value.trim() !== '';
  if (said(message?.['refusal'])) return true;
  const content = message?.['content'];
  return Array.isArray(content) && content.some((part) => record(part)?.['type'] === 'refusal');
}

/** A string, or the text parts of a list joined; parts of other types (thought, images) are passed over. */
function contentOf(content: unknown): string | null {
  if (typeof content === 'string') return content;
  const parts = Array.isArray(content) ? content : [content];
  const texts = parts.map(partText).filter((text) => text !== null);
  return texts.length > 0 ? texts.join('') : null;
}

function partText(part: unknown): string | null {
  if (typeof part === 'string') return part;
  const { type = 'text', text, thought } = record(part) ?? {};
  if ((type !== 'text' && type !== 'output_text') || thought === true) return null;
  const value = record(text)?.['value'] ?? text;
  return typeof value === 'string' ? value : null;
}

/** What a body says of its tokens; null where it says nothing. */
export function usageOf(value: unknown): Usage | null {
  const usage = record(value);
  const promptTokens = count(usage?.['prompt_tokens'] ?? usage?.['input_tokens']);
  const answerTokens = count(usage?.['completion_tokens'] ?? usage?.['output_tokens']);
  return promptTokens === null && answerTokens === null ? null : { promptTokens, answerTokens };
}

/** The usage that a body of whatever status names, or null. */
export function usageInBody(body: string): Usage | null {
  if (!body.includes('usage')) return null;
  try {
    return usageOf(record(JSON.parse(body.replace(/^\ufeff/, '')))?.['usage']);
  } catch {
    return null;
  }
}

function record(value: unknown): Readonly<Record<string, unknown>> | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : null;
}

function count(value: unknown): number | null {
  return Number.isSafeInteger(value) && (value as number) >= 0 ? (value as number) : null;
}
