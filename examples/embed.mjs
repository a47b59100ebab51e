/**
 * Embedding: texts and rows through the package's refiners, inside any Node program. Run: `node examples/embed.mjs
 * [doc.gguf chunk.gguf]`.
 */
import { execute, openRefiner } from 'gristmill';

const page = `Home | Recipes | About us | Contact
We use cookies to give you the best experience. Accept all
Why oil floats on water
Oil and water do not mix, and when they are shaken together the oil soon rises to the top again.
The reason is density: a litre of olive oil weighs about 910 grams, a litre of water about 1,000 grams.
Water molecules also attract one another more strongly than they attract oil, which keeps the two apart.
An emulsifier such as egg yolk holds the droplets in place; that is how mayonnaise is made.
Share on Facebook | Tweet | Pin it
© 2024 Example Kitchen. All rights reserved.`;
const notFound = '404\nThe page you are looking for does not exist.\nBack to the home page';

// A program of your own needs no model.
const { status, ops } = execute(page, 'remove_lines(start=0, end=1)\nremove_lines(start=7, end=8)');
console.log(`${status}, ${ops.length} ops`);

const [documentModel = 'default', chunkModel = 'default'] = process.argv.slice(2);
// Retention 0.95 takes more noise from short pages than the default, 0.99.
const lines = chunkModel === 'default' ? { retention: 0.95 } : {};
const refiner = await openRefiner({ documentModel, chunkModel, ...lines });
try {
  const signal = AbortSignal.timeout(60_000);
  for (const outcome of await refiner.refine([page, notFound], { signal })) {
    const { status, reason, score, program } = outcome;
    console.log(status, reason, score?.toFixed(3), JSON.stringify(program));
  }
  // Rows of anything that can be iterated; what is beside the text stays with its outcome.
  const rows = [{ url: 'https://kitchen.example/oil', body: page }];
  for await (const { row, text } of refiner.refineRows(rows, { text: ({ body }) => body })) {
    console.log(`${row.url}: ${row.body.length} characters, ${text.length} left`);
  }
} finally {
  await refiner.dispose();
}
