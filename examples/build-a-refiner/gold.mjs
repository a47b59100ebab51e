// Labelled pages from the example corpus: JSON lines of {id, domain, language, text, line_labels} on stdout.
//
//     node examples/build-a-refiner/gold.mjs > gold.jsonl
//
// Pages that should go as a whole are left out: the document stage drops them before windows are cut.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parquetReadObjects } from 'hyparquet';

const at = (name) => fileURLToPath(new URL(`../${name}`, import.meta.url));
const file = readFileSync(at('corpus.parquet'));
const rows = await parquetReadObjects({
  file: file.buffer.slice(file.byteOffset, file.byteOffset + file.byteLength),
  columns: ['id', 'domain', 'language', 'text'],
});
const labels = readFileSync(at('corpus-labels.jsonl'), 'utf8').trim().split('\n');
for (const [row, { id, domain, language, text }] of rows.entries()) {
  const { drop, remove } = JSON.parse(labels[row]);
  if (drop || text === null) continue;
  const flags = text.split('\n').map(() => '1');
  for (const [first, last] of remove) flags.fill('0', first, last + 1);
  process.stdout.write(
    `${JSON.stringify({ id, domain, language, text, line_labels: flags.join('') })}\n`,
  );
}
