/**
 * Which functions a refiner learnt, read off the answers of its training: what decoding may offer it (`chunk.ops` of its
 * profile). A function that no answer holds is one that the model only writes where the grammar leaves it nothing else.
 */
import { DIALECTS } from '../program/dialects.ts';
import { parse } from '../program/parse.ts';
import type { DialectName } from '../program/types.ts';
import { readExamples } from './batch-source.ts';
import { answersOf } from './conversation.ts';

/**
 * Functions of the answers that the dialect's grammar decodes, in its order; none where every window is kept or dropped.
 *
 * @param files JSON lines of examples, as conversation.ts reads them
 * @throws CORPUS_*, TRAIN_GOLD_INVALID naming file and line
 */
export async function taughtOps(files: readonly string[], dialect: DialectName): Promise<string[]> {
  const taught = new Set<string>();
  for (const file of files) {
    for await (const { example } of readExamples(file)) {
      for (const answer of answersOf(example)) {
        for (const { op } of parse(answer, dialect).statements) if (op) taught.add(op.op);
      }
    }
  }
  const { ops } = DIALECTS[dialect].makeGrammar({ deletionOnly: false });
  return ops.flatMap(({ name }) => (taught.has(name) ? [name] : []));
}
