/**
 * Thought in front of an answer, in the forms in which servers without a parser for it send it on:
 *
 *     <think> … </think> answer       also with other names of the tag, and in square brackets
 *     … </think> answer               the opening tag was part of the prompt
 *     <|channel|>analysis<|message|> … <|channel|>final<|message|> answer       gpt-oss, with the marks or without
 *
 * A thought that never ended leaves no answer.
 */

const TAGS: readonly (readonly [open: string, close: string])[] = [
  ...['think', 'thinking', 'thought', 'thoughts', 'reasoning', 'reflection', 'seed:think'].map(
    (name) => [`<${name}>`, `</${name}>`] as const,
  ),
  ['[think]', '[/think]'],
  ['◁think▷', '◁/think▷'],
  ['<|begin_of_thought|>', '<|end_of_thought|>'],
  ['<|start_thinking|>', '<|end_thinking|>'],
];
/** Around an answer that follows a thought. */
const ANSWER_TAGS: readonly (readonly [open: string, close: string])[] = [
  ['<|begin_of_solution|>', '<|end_of_solution|>'],
  ['<|start_response|>', '<|end_response|>'],
  ['<answer>', '</answer>'],
];
/** An answer may begin with several thoughts. */
const MAX_THOUGHTS = 64;

/** The answer behind the thought; empty when the thought never ended. Texts without thought come back unchanged. */
export function withoutThoughts(text: string): string {
  const answer = behindThoughts(behindChannels(text));
  return answer === text ? text : unwrapped(answer);
}

function behindThoughts(text: string): string {
  let rest = text;
  for (let nThoughts = 0; nThoughts < MAX_THOUGHTS; nThoughts++) {
    const start = rest.trimStart();
    const lower = asciiLower(start);
    const tag = TAGS.find(([open]) => lower.startsWith(open));
    if (tag) {
      const [open, close] = tag;
      const end = lower.indexOf(close, open.length);
      if (end < 0) return '';
      rest = start.slice(end + close.length).trimStart();
      continue;
    }
    const ends = TAGS.flatMap(([open, close]) => {
      const end = lower.indexOf(close);
      const opened = lower.indexOf(open);
      return end >= 0 && (opened < 0 || opened > end) ? [end + close.length] : [];
    });
    // A tag that was closed without having been opened: what stands before it was thought.
    if (ends.length === 0 || nThoughts > 0) return rest;
    rest = start.slice(Math.min(...ends)).trimStart();
  }
  return rest;
}

const FINAL = /<\|channel\|>final(?: [^<|]{0,64})?(?:<\|constrain\|>[^<|]{0,64})?<\|message\|>/g;
const CHANNEL_END = /<\|(?:return|end|call|start)\|>/;

/** What gpt-oss says in its last channel `final`. */
function behindChannels(text: string): string {
  const start = text.trimStart();
  if (/^(?:<\|start\|>assistant)?<\|channel\|>/.test(start)) {
    const last = [...start.matchAll(FINAL)].at(-1);
    if (!last) return '';
    return start
      .slice(last.index + last[0].length)
      .split(CHANNEL_END)[0]!
      .trim();
  }
  // Decoded without special tokens the names of the channels remain.
  const marker = 'assistantfinal';
  if (start.startsWith('analysis') && start.includes(marker)) {
    return start.slice(start.lastIndexOf(marker) + marker.length).trimStart();
  }
  return text;
}

function unwrapped(answer: string): string {
  const lower = asciiLower(answer);
  for (const [open, close] of ANSWER_TAGS) {
    if (!lower.startsWith(open)) continue;
    const end = lower.lastIndexOf(close);
    return answer.slice(open.length, end < 0 ? undefined : end).trim();
  }
  return answer;
}

/** Of the same length as the text, so that places agree. */
function asciiLower(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}
