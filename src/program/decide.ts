/**
 * What a program of the document stage says: keep the document or drop it.
 */
import { parse } from './parse.ts';
import { isDrop, isKeep } from './plan.ts';
import type { DialectName, ExecutorName } from './types.ts';

/** A decision of the document stage; `unclear` when the program says neither or both. */
export type Decision = 'keep' | 'drop' | 'unclear';

/**
 * Reads the decision of a document program.
 *
 * Under `compat` any program that contains the letters "drop" drops, every other one keeps, as published
 * (ProX, doc stage). Under `strict` the program is parsed and must say one thing.
 */
export function decideDocument(
  program: string,
  options: { readonly dialect?: DialectName; readonly executor?: ExecutorName } = {},
): Decision {
  if (options.executor === 'compat') return program.includes('drop') ? 'drop' : 'keep';
  const { statements } = parse(program, options.dialect ?? 'prox');
  const keeps = statements.some(({ op }) => op !== null && isKeep(op));
  const drops = statements.some(({ op }) => op !== null && isDrop(op));
  if (keeps === drops) return 'unclear';
  return keeps ? 'keep' : 'drop';
}
