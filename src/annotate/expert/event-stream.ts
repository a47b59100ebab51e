/**
 * Chat completions that come as a stream of server-sent events, joined to what one body would have been: some gateways
 * stream whatever they are asked.
 *
 * A stream that neither named a finish reason nor said `[DONE]` broke off: what it holds is no answer.
 */

type Fields = Readonly<Record<string, unknown>>;

/** A stream that is no answer, with the usage that it named, as it stands there. */
export interface StreamProblem {
  readonly problem: string;
  readonly usage: unknown;
}

/** Whether a body is a stream of events: JSON begins with none of these. */
export function isEventStream(body: string): boolean {
  return /^\s*(?:data|event|id|retry)?:/.test(body.slice(0, 256));
}

/** Joins the first choice of every event. */
export function completionOfEvents(body: string): { readonly completion: Fields } | StreamProblem {
  const content: unknown[] = [];
  let refusal = '';
  let finish: unknown = null;
  let usage: unknown = null;
  let done = false;
  let nChoices = 0;
  for (const data of dataOf(body)) {
    if (data.trim() === '[DONE]') {
      done = true;
      continue;
    }
    let event: Fields | null;
    try {
      event = fields(JSON.parse(data));
    } catch {
      return { problem: 'a stream with an event that is no JSON', usage };
    }
    usage = event?.['usage'] ?? usage;
    const choices = Array.isArray(event?.['choices']) ? event['choices'] : [];
    const choice = fields(choices.find((each) => (fields(each)?.['index'] ?? 0) === 0));
    const error = event?.['error'] ?? choice?.['error'];
    if (error !== undefined && error !== null) return { completion: { error, usage } };
    if (!choice) continue;
    nChoices++;
    const delta = fields(choice['delta']) ?? fields(choice['message']);
    const piece = delta?.['content'];
    if (Array.isArray(piece)) content.push(...piece);
    else if (piece !== undefined && piece !== null) content.push(piece);
    if (typeof delta?.['refusal'] === 'string') refusal += delta['refusal'];
    const reason = choice['finish_reason'];
    if (reason !== undefined && reason !== null && reason !== '') finish = reason;
  }
  if (!done && finish === null) return { problem: 'a stream that broke off', usage };
  const message = { content: content.length > 0 ? content : null, refusal };
  const choices = nChoices > 0 ? [{ message, finish_reason: finish }] : [];
  return { completion: { choices, usage } };
}

/** The data of every event. */
function* dataOf(body: string): Generator<string> {
  let lines: string[] = [];
  for (const line of body.split(/\r\n|\n|\r/)) {
    if (line === '') {
      if (lines.length > 0) yield lines.join('\n');
      lines = [];
    } else if (line.startsWith('data:')) lines.push(line.slice(line[5] === ' ' ? 6 : 5));
  }
  // An event without the empty line behind it was cut: only the end mark is taken.
  if (lines.join('\n').trim() === '[DONE]') yield '[DONE]';
}

function fields(value: unknown): Fields | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Fields)
    : null;
}
