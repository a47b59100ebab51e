/**
 * Embedding: texts through a refiner, inside any Node program. Run: `node examples/embed.mjs [doc.gguf chunk.gguf]`.
 * Without models of yours it uses random ones, whose verdicts mean nothing.
 */
import { execute, openRefiner } from 'gristmill';

// A program of your own needs no model.
const page =
  'Home | About | Contact\nOil floats on water because it is less dense.\n(c) Example Pages';
const { text, status, ops } = execute(
  page,
  'remove_lines(start=0, end=0)\nremove_lines(start=2, end=2)',
);
console.log(status, JSON.stringify(text), `${ops.length} ops`);

const [documentModel = 'random', chunkModel = 'random'] = process.argv.slice(2);
const refiner = await openRefiner({ documentModel, chunkModel, threads: 1 });
try {
  const outcomes = await refiner.refine([page, 'Only one line of text, and nothing around it.']);
  for (const { status, reason, score, program } of outcomes) {
    console.log(status, reason, score?.toFixed(3), JSON.stringify(program));
  }
} finally {
  await refiner.dispose();
}
