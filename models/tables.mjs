/**
 * Measures the default refiners beside other ways to clean pages, and writes the tables of README.md (between its markers)
 * and the figure trade-off.svg: `npm run models:tables -- DATA`.
 *
 * DATA as for train.mjs. The package's refiners are read off default-chunk.json and default-document.json; everything
 * else is trained here, without what it is measured on. About 50 minutes on one core.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { measureTables, putTables, renderTables } from '../dist/scorers/defaults/tables-run.js';

const folder = dirname(fileURLToPath(import.meta.url));
const [data, ...unknown] = process.argv.slice(2);
if (data === undefined || unknown.length > 0) {
  process.stderr.write('usage: npm run models:tables -- DATA\n');
  process.exit(2);
}
const log = (line) => process.stderr.write(`${line}\n`);
const { markdown, figure } = await renderTables(await measureTables({ data, models: folder, log }));
const readme = join(folder, 'README.md');
writeFileSync(readme, putTables(readFileSync(readme, 'utf8'), markdown));
writeFileSync(join(folder, 'trade-off.svg'), figure);
process.stdout.write(`${markdown}\n`);
