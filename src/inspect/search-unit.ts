/** Words in the texts of a unit: all of them, in any order, without regard to case. No pattern is made of them. */
import type { FinishedRun } from '../refine/finished-run.ts';

/** Words that are looked for at once. */
export const MAX_WORDS = 20;

/** Words of what a person has typed; what stands in double quotes is one. */
export function wordsOf(typed: string): string[] {
  const words: string[] = [];
  for (const [at, part] of typed.slice(0, 1_000).toLowerCase().split('"').entries()) {
    if (at % 2 === 1) words.push(part);
    else words.push(...part.split(/\s+/));
  }
  return words.filter((word) => word.trim() !== '').slice(0, MAX_WORDS);
}

/**
 * Positions of the rows that hold all words: in the text that was written, in the text as it came where the run has kept it,
 * in the id. Ascending.
 */
export async function searchUnit(
  run: FinishedRun,
  unit: number,
  words: readonly string[],
): Promise<Int32Array> {
  const found: number[] = [];
  for await (const rows of run.rows(unit, { text: true })) {
    for (const { position, id, text, original } of rows) {
      const whole = original ?? text;
      if (holdsAll(`${id ?? ''}\n${whole ?? ''}`, words)) found.push(position);
    }
  }
  return Int32Array.from(found);
}

function holdsAll(text: string, words: readonly string[]): boolean {
  const lowered = text.toLowerCase();
  return words.every((word) => lowered.includes(word));
}
