/** The documentation is what it is made of, links nowhere that is not there, and its commands say whether they are run. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { pagesToRun } from '../../docs/check-commands.mjs';
import { commandPages, stalePages, withBlock } from '../../docs/command-pages.mjs';
import { llmsText } from '../../docs/llms.mjs';
import { anchorsOf, linksOf, shellBlocks, slugOf } from '../../docs/markdown.mjs';
import * as help from '../../src/cli/help.ts';
import { gristmillProgram } from '../../src/cli/program.ts';
import { packageRoot as root } from '../../src/paths.ts';

const read = (path: string): string => readFileSync(join(root, path), 'utf8');

/** Every page that readers come to. */
function pages(): string[] {
  const docs = readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md') && !/^(?:node_modules|\.\w+)\//.test(name))
    .map((name) => join('docs', name));
  const examples = readdirSync(join(root, 'examples'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('examples', name));
  const others = ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'models/README.md'];
  return [...others, ...docs, ...examples, 'python/README.md'];
}

describe('pages', () => {
  it('of commands are as the definitions are: npm run docs:commands', async () => {
    const program = await gristmillProgram();
    const made = commandPages(program, help);
    expect(made.size).toBeGreaterThan(45);
    expect([...stalePages(made).keys()]).toEqual([]);
  });

  it('of commands keep their prose when they are made anew', () => {
    const once = withBlock('Prose.\n', 'one');
    expect(withBlock(once, 'two')).toBe(once.replace('one', 'two'));
    expect(once).toContain('\n\nProse.\n');
  });

  it('are listed in llms.txt: npm run docs:commands', () => {
    expect(read('llms.txt')).toBe(llmsText(root));
  });

  it.each(pages())('link only to what is there: %s', (page) => {
    const text = read(page);
    const dead = linksOf(text).filter(({ target }) => {
      if (/^(?:https?:|mailto:)/.test(target)) return false;
      const [path = '', anchor] = target.split('#');
      const file = path === '' ? page : relative(root, join(root, dirname(page), path));
      if (file.startsWith('..') || !existsSync(join(root, file))) return true;
      if (anchor === undefined || statSync(join(root, file)).isDirectory()) return false;
      return !anchorsOf(read(file)).has(decodeURIComponent(anchor));
    });
    expect(dead).toEqual([]);
  });
});

describe('commands in README and guides', () => {
  it.each(pagesToRun())('say whether they are run: %s', (page) => {
    const known =
      page === 'README.md'
        ? /^(?:quick start|run: (?:fast|slow)|not run: .+)$/
        : /^(?:run: (?:fast|slow)|not run: .+)$/;
    for (const { mark, number } of shellBlocks(read(page))) {
      expect([page, number, mark]).toEqual([page, number, expect.stringMatching(known)]);
    }
  });

  it('begin with a quick start of one command, as .ci/run finds it', () => {
    const line = /^command=\$\((.*)\)$/m.exec(read('.ci/run'))![1]!;
    const found = execFileSync('bash', ['-c', line], { cwd: root, encoding: 'utf8' });
    expect(found.trim()).toMatch(/^npm ci && npx gristmill refine [^\n]*$/);
    const [start] = shellBlocks(read('README.md'));
    expect(start).toMatchObject({ mark: 'quick start', script: found.trim() });
  });

  it('stand in a README of two screens or little more', () => {
    expect(read('README.md').split('\n').length).toBeLessThan(125);
  });
});

describe('markdown', () => {
  it('has the anchors that code hosts make', () => {
    expect(slugOf('Reasons of rows')).toBe('reasons-of-rows');
    expect(slugOf('RUN_CHANGED')).toBe('run_changed');
    expect(slugOf('Prices (2026): α & β')).toBe('prices-2026-α--β');
    expect([...anchorsOf('# One\n```sh\n# no\n```\n## One\n### `a` [b](c)\n')]).toEqual([
      'one',
      'one-1',
      'a-b',
    ]);
  });

  it('finds links outside of code, for any code', () => {
    const text = '[a](b.md) `[c](d.md)` ``x ` [e](f.md)`` ![g](h.png)\n```\n[i](j.md)\n```\n';
    expect(linksOf(text).map(({ target }) => target)).toEqual(['b.md', 'h.png']);
    const word = fc.stringMatching(/^[a-z [\]().#]{0,20}$/);
    fc.assert(
      fc.property(word, (inner) => {
        expect(linksOf(`\`${inner}x\` [k](l.md)`).map(({ target }) => target)).toEqual(['l.md']);
      }),
    );
  });

  it('finds shell commands with their marks', () => {
    const text = '<!-- run: fast -->\n```sh\na\nb\n```\n\n```sh\nc\n```\n```js\nd\n```\n';
    expect(shellBlocks(text)).toEqual([
      { number: 2, mark: 'run: fast', script: 'a\nb' },
      { number: 7, mark: null, script: 'c' },
    ]);
  });
});
