/** `llms.txt`: what there is to read, for programs that read documentation; made of the pages themselves. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const ABOUT =
  'gristmill turns raw text corpora into better language models, inside Node: it refines documents with small models (ProX), finds mixtures of domains (RegMix) and continues pre-trainings. Command line and TypeScript library over a C++ core.';

const SECTIONS = {
  Start: ['README.md', 'docs/install.md', 'docs/terms.md', 'docs/limits.md'],
  Guides: 'docs/guides',
  Reference: [
    'docs/api.md',
    'docs/errors.md',
    'docs/formats/inputs.md',
    'docs/formats/outputs.md',
    'docs/addresses.md',
    'docs/streams.md',
    'docs/metrics.md',
    'docs/profiles.md',
  ],
  Commands: 'docs/commands',
  Optional: [
    'docs/numbers.md',
    'docs/architecture.md',
    'models/README.md',
    'examples/README.md',
    'CONTRIBUTING.md',
    'SECURITY.md',
  ],
};

/** The text of llms.txt. */
export function llmsText(root) {
  const parts = [`# gristmill\n\n> ${ABOUT}`];
  for (const [heading, pages] of Object.entries(SECTIONS)) {
    const paths =
      typeof pages === 'string'
        ? readdirSync(join(root, pages))
            .sort()
            .map((name) => `${pages}/${name}`)
        : pages;
    const lines = paths
      .filter((path) => existsSync(join(root, path)))
      .map((path) => {
        const { title, about } = headOf(readFileSync(join(root, path), 'utf8'));
        return `- [${title}](${path})${about === '' ? '' : `: ${about}`}`;
      });
    parts.push(`## ${heading}\n\n${lines.join('\n')}`);
  }
  return `${parts.join('\n\n')}\n`;
}

/** Title and first sentence of a page. */
function headOf(page) {
  const blocks = page
    .replace(/<!--.*?-->/gs, '')
    .trim()
    .split(/\n{2,}/);
  const title = (blocks[0] ?? '').split('\n')[0].replace(/^# /, '');
  const first = blocks.slice(1).find((block) => /^[\p{L}`*]/u.test(block)) ?? '';
  const plain = first.replaceAll(/\s+/g, ' ').replace(/\[([^\]]*)\]\([^)]*\)/g, '$1');
  const [sentence] = /^.*?[.:](?= |$)/.exec(plain) ?? [''];
  return { title, about: sentence.length > 240 ? '' : sentence.replace(/:$/, '.') };
}
