/** The commands of README and guides that take seconds do what they say; `npm run check:docs` runs all, from a clean clone. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { pagesToRun, runPage } from '../../docs/check-commands.mjs';
import { shellBlocks } from '../../docs/markdown.mjs';
import { packageRoot } from '../../src/paths.ts';

const pages = pagesToRun().filter((page) =>
  shellBlocks(readFileSync(join(packageRoot, page), 'utf8')).some(
    ({ mark }) => mark === 'run: fast',
  ),
);

describe('commands of', () => {
  it.each(pages)('%s end well', (page) => {
    expect(runPage(page)).toBeNull();
  });

  it('pages that fail are told with line and output', () => {
    expect(pages).toContain('README.md');
    expect(pages.length).toBeGreaterThan(4);
  });
});
