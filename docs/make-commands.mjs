/** `npm run docs:commands`: writes what the pages of docs/commands take from the definitions of the commands, and llms.txt. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as help from '../dist/cli/help.js';
import { gristmillProgram } from '../dist/cli/program.js';
import { commandPages, root, writePages } from './command-pages.mjs';
import { llmsText } from './llms.mjs';

for (const [path, page] of writePages(commandPages(await gristmillProgram(), help))) {
  const stray = page === null ? ': no command is called like this; remove it' : '';
  process.stdout.write(`${path}${stray}\n`);
  if (page === null) process.exitCode = 1;
}
writeFileSync(join(root, 'llms.txt'), llmsText(root));
