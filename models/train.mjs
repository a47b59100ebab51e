/**
 * Makes the package's refiners again: `npm run models:train -- DATA [OUT] [chunk|document|programs …]`.
 *
 * DATA holds dev.jsonl.gz and the other files that src/scorers/defaults/data.ts names, in it or in folders of it
 * (models/README.md says of what form); OUT is this folder unless given. About 45 minutes on two cores.
 */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  buildDefaultChunk,
  buildDefaultDocument,
  buildDefaultPrograms,
} from '../dist/scorers/defaults/build.js';

const BUILDERS = {
  chunk: buildDefaultChunk,
  document: buildDefaultDocument,
  programs: buildDefaultPrograms,
};
const [data, ...rest] = process.argv.slice(2);
const chosen = rest.filter((word) => word in BUILDERS);
const [out = dirname(fileURLToPath(import.meta.url)), ...unknown] = rest.filter(
  (word) => !(word in BUILDERS),
);
if (data === undefined || unknown.length > 0) {
  process.stderr.write('usage: npm run models:train -- DATA [OUT] [chunk|document|programs ...]\n');
  process.exit(2);
}
mkdirSync(out, { recursive: true });
for (const name of chosen.length > 0 ? chosen : Object.keys(BUILDERS)) {
  await BUILDERS[name]({ data, out, log: (line) => process.stderr.write(`${line}\n`) });
}
