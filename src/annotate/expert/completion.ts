/** The body of a chat completion, read with suspicion: anything may stand where an answer should. */
import type { Reply } from './transport.ts';

/** What is wrong with an answer; `final` when asking again would bring the same. */
export interface CompletionProblem {
  readonly problem: string;
  readonly final: boolean;
}

/**
 * Reads `choices[0].message.content`, a string or a list of text parts, the finish reason and the usage.
 *
 * An answer that the server kept back (`content_filter`) is final. Thought in fields of its own (`reasoning`,
 * `reasoning_content`) is left out; when it used up all tokens the answer is empty.
 */
export function parseCompletion(body: string): Reply | CompletionProblem {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return again('no JSON');
  }
  const completion = record(value);
  if (!completion) return again('no JSON object');
  // Some servers report failures with status 200.
  if (completion['error'] !== undefined && completion['error'] !== null) return again('an error');
  const choices = completion['choices'];
  const choice = Array.isArray(choices) ? record(choices[0]) : null;
  if (!choice) return again('no choices');
  const reason = choice['finish_reason'];
  if (reason === 'content_filter') return { problem: 'kept back by a filter', final: true };
  const finish = reason === 'length' ? 'length' : 'stop';
  const text = contentOf(record(choice['message'])?.['content']);
  if (text === null && finish !== 'length') return again('a choice without text');
  const usage = record(completion['usage']);
  return {
    text: text ?? '',
    finish,
    promptTokens: count(usage?.['prompt_tokens']),
    answerTokens: count(usage?.['completion_tokens']),
  };
}

function contentOf(content: unknown): string | null {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return null;
  const parts = content.map((part) => record(part)?.['text']);
  return parts.every((part) => typeof part === 'string') ? parts.join('') : null;
}

function again(problem: string): CompletionProblem {
  return { problem, final: false };
}

function record(value: unknown): Readonly<Record<string, unknown>> | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : null;
}

function count(value: unknown): number | null {
  return Number.isSafeInteger(value) && (value as number) >= 0 ? (value as number) : null;
}
