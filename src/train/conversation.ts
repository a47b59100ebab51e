/**
 * Rows of supervised fine-tuning as people have them, read to one form: a conversation, or a prompt with its answer.
 *
 *     {messages: [{role, content}]}                   chat; `content` a string or parts [{type: 'text', text}]
 *     {conversations: [{from, value}], system?}       ShareGPT: human, gpt, system
 *     {instruction, input?, output, system?, history?}    Alpaca; `context` and `response` for input and output too
 *     {prompt: [...], completion: [...]}              chat, of which the completion is learnt
 *     {prompt, answer}                                text as it is; `completion` and `response` for the answer too
 *
 * A column that is null is one that is not there. What cannot be trained on, turns of tools and content that is no text,
 * is an error that names file, line, field and what was found: it is never left out without a word.
 */
import { type RowPlace, refuseRow, textOf } from './row-fault.ts';

/** Who says something. */
export type ChatRole = 'system' | 'user' | 'assistant';

/** One message. */
export interface ChatTurn {
  readonly role: ChatRole;
  readonly text: string;
  /** An answer that is learnt. */
  readonly learnt: boolean;
}

/** A row of chat. */
export interface Conversation {
  readonly turns: readonly ChatTurn[];
  /** Messages that come with a thought beside their text, which is not learnt. */
  readonly nThoughts: number;
}

/** A row of plain text. */
export interface PromptWithAnswer {
  readonly prompt: string;
  readonly answer: string;
}

type Fields = Readonly<Record<string, unknown>>;

const ROLES = new Map<string, ChatRole>([
  ['system', 'system'],
  ['developer', 'system'],
  ['user', 'user'],
  ['human', 'user'],
  ['assistant', 'assistant'],
  ['gpt', 'assistant'],
  ['chatgpt', 'assistant'],
  ['model', 'assistant'],
  ['bot', 'assistant'],
]);
const TEXT_PARTS = new Set(['text', 'input_text', 'output_text']);

/**
 * Reads a row of any of the forms above.
 *
 * @throws TRAIN_GOLD_INVALID naming file, line and field
 */
export function exampleOf(row: Fields, place: RowPlace): Conversation | PromptWithAnswer {
  for (const name of ['tools', 'functions', 'images', 'videos', 'audios']) {
    const value = row[name];
    const isEmpty =
      isAbsent(value) || value === '' || value === '[]' || (Array.isArray(value) && !value.length);
    if (!isEmpty) refuseRow(place, name, 'none, as it cannot be trained on', value);
  }
  for (const name of ['messages', 'conversations', 'conversation']) {
    if (isAbsent(row[name])) continue;
    return conversation([...systemOf(row, place), ...turnsOf(row[name], name, place)], name, place);
  }
  if (!isAbsent(row['instruction'])) return instructed(row, place);
  const answerName = firstOf(row, ['answer', 'completion', 'response', 'output']);
  if (Array.isArray(row['prompt'])) {
    const asked = turnsOf(row['prompt'], 'prompt', place);
    const answered = turnsOf(row[answerName], answerName, place);
    const turns = [...asked.map((turn) => ({ ...turn, learnt: false })), ...answered];
    return conversation([...systemOf(row, place), ...turns], answerName, place);
  }
  if (isAbsent(row['prompt']) && isAbsent(row[answerName])) {
    const known = 'messages, conversations, instruction with output, or prompt with answer';
    const found = Object.keys(row).slice(0, 10);
    refuseRow(place, 'the row', known, found, 'the columns ');
  }
  return {
    prompt: textOf(row['prompt'], 'prompt', place),
    answer: textOf(row[answerName], answerName, place),
  };
}

/** Answers of a row, learnt or not. */
export function answersOf(example: Conversation | PromptWithAnswer): string[] {
  if ('answer' in example) return [example.answer];
  return example.turns.flatMap(({ role, text }) => (role === 'assistant' ? text : []));
}

type ReadTurn = ChatTurn & { readonly hasThought?: boolean };

function conversation(turns: readonly ReadTurn[], name: string, place: RowPlace): Conversation {
  if (!turns.some(({ role }) => role === 'assistant')) {
    const found = turns.map(({ role }) => role);
    refuseRow(place, name, 'at least one message of the assistant', found, 'the roles ');
  }
  const asked = turns.findIndex(({ role }) => role === 'user');
  if (asked < 0 || !turns.slice(asked).some(({ role }) => role === 'assistant')) {
    const found = turns.map(({ role }) => role);
    refuseRow(
      place,
      name,
      'a message of the assistant behind one of the user',
      found,
      'the roles ',
    );
  }
  return {
    // An answer to nothing is context: no prompt in use leads to it.
    turns: turns.map(({ role, text, learnt }, at) => ({
      role,
      text,
      learnt: learnt && at > asked,
    })),
    nThoughts: turns.filter(({ hasThought }) => hasThought).length,
  };
}

function turnsOf(messages: unknown, name: string, place: RowPlace): ReadTurn[] {
  if (!Array.isArray(messages)) refuseRow(place, name, 'a list of messages', messages);
  return (messages as unknown[]).map((message, index) => {
    const field = `${name}[${index}]`;
    if (typeof message !== 'object' || message === null || Array.isArray(message)) {
      refuseRow(place, field, 'a message with role and content', message);
    }
    return turnOf(message as Fields, field, place);
  });
}

function turnOf(message: Fields, field: string, place: RowPlace): ReadTurn {
  const roleName = firstOf(message, ['role', 'from']);
  const said = message[roleName];
  const role = typeof said === 'string' ? ROLES.get(said.toLowerCase()) : undefined;
  if (role === undefined) {
    const expected = 'system, user or assistant (turns of tools cannot be trained on)';
    refuseRow(place, `${field}.${roleName}`, expected, said);
  }
  for (const name of ['tool_calls', 'function_call']) {
    const calls = message[name];
    if (isAbsent(calls) || (Array.isArray(calls) && calls.length === 0)) continue;
    refuseRow(place, `${field}.${name}`, 'none, as calls of tools cannot be trained on', calls);
  }
  const contentName = firstOf(message, ['content', 'value']);
  const { weight } = message;
  if (!isAbsent(weight) && weight !== 0 && weight !== 1) {
    refuseRow(place, `${field}.weight`, '0 or 1', weight);
  }
  const thought = message['reasoning_content'] ?? message['thinking'];
  return {
    role: role!,
    text: contentOf(message[contentName], `${field}.${contentName}`, place),
    learnt: role === 'assistant' && weight !== 0,
    hasThought: typeof thought === 'string' && thought !== '',
  };
}

/** The text of a message: a string, or parts that are texts. */
function contentOf(content: unknown, field: string, place: RowPlace): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) refuseRow(place, field, 'a string or a list of text parts', content);
  return (content as unknown[])
    .map((part, index) => {
      const at = `${field}[${index}]`;
      if (typeof part === 'string') return part;
      if (typeof part !== 'object' || part === null) refuseRow(place, at, 'a text part', part);
      const { type, text } = part as Fields;
      if (!isAbsent(type) && !TEXT_PARTS.has(type as string)) {
        refuseRow(place, `${at}.type`, '"text", as nothing else can be trained on', type);
      }
      return textOf(text, `${at}.text`, place);
    })
    .join('');
}

/** Alpaca: instruction and input are one message of the user, as two paragraphs. */
function instructed(row: Fields, place: RowPlace): Conversation {
  const inputName = firstOf(row, ['input', 'context']);
  const outputName = firstOf(row, ['output', 'response', 'answer', 'completion']);
  const input = isAbsent(row[inputName]) ? '' : textOf(row[inputName], inputName, place);
  const instruction = textOf(row['instruction'], 'instruction', place);
  const earlier: ReadTurn[] = [];
  const { history } = row;
  if (!isAbsent(history) && !Array.isArray(history)) {
    refuseRow(place, 'history', 'a list of pairs of instruction and output', history);
  }
  for (const [index, pair] of ((history ?? []) as unknown[]).entries()) {
    const field = `history[${index}]`;
    if (!Array.isArray(pair) || pair.length !== 2) {
      refuseRow(place, field, 'a pair of instruction and output', pair);
    }
    const [asked, answered] = pair as unknown[];
    earlier.push(
      { role: 'user', text: textOf(asked, `${field}[0]`, place), learnt: false },
      { role: 'assistant', text: textOf(answered, `${field}[1]`, place), learnt: true },
    );
  }
  const turns: ReadTurn[] = [
    ...systemOf(row, place),
    ...earlier,
    {
      role: 'user',
      text: input === '' ? instruction : `${instruction}\n${input}`,
      learnt: false,
    },
    { role: 'assistant', text: textOf(row[outputName], outputName, place), learnt: true },
  ];
  return conversation(turns, outputName, place);
}

/** The system message that stands in a column of its own. */
function systemOf(row: Fields, place: RowPlace): ReadTurn[] {
  const name = firstOf(row, ['system', 'system_prompt']);
  if (isAbsent(row[name]) || row[name] === '') return [];
  return [{ role: 'system', text: textOf(row[name], name, place), learnt: false }];
}

/** The first of the names that is there; the first of all where none is. */
function firstOf(fields: Fields, names: readonly string[]): string {
  return names.find((name) => !isAbsent(fields[name])) ?? names[0]!;
}

function isAbsent(value: unknown): boolean {
  return value === undefined || value === null;
}
