/**
 * The site: all Markdown of the repository that is written for its readers, in the same places, so that links between README, docs/,
 * models/ and examples/ are the same here and on a code host. `npm run docs` gathers it in docs/.site, as pages find what is
 * installed only below this package, and builds it into build/site; a dead link fails it.
 */
import { readdirSync } from 'node:fs';
import { defineConfig } from 'vitepress';
import { slugOf } from '../markdown.mjs';

const commands = readdirSync(new URL('../commands', import.meta.url))
  .filter((name) => name.endsWith('.md') && name !== 'index.md')
  .map((name) => name.slice(0, -3))
  .sort();

const page = (text: string, link: string) => ({ text, link: `/docs/${link}` });

export default defineConfig({
  title: 'gristmill',
  description: 'Turns raw text corpora into better language models, inside Node.',
  srcDir: '.site',
  outDir: '../build/site',
  cacheDir: '../build/site-cache',
  rewrites: { 'README.md': 'index.md' },
  // Pictures and links of the pages are relative; the site may lie anywhere.
  base: process.env.DOCS_BASE ?? '/',
  lastUpdated: false,
  markdown: { anchor: { slugify: slugOf } },
  themeConfig: {
    search: { provider: 'local' },
    nav: [
      page('Guides', 'guides/refine'),
      page('Commands', 'commands/index'),
      page('API', 'api'),
      { text: 'Reference of exports', link: '/api/index.html', target: '_self' },
    ],
    sidebar: [
      {
        text: 'Start',
        items: [
          { text: 'What and for whom', link: '/' },
          page('Overview', 'index'),
          page('Install', 'install'),
          page('Terminology', 'terms'),
          page('Limits', 'limits'),
          page('Numbers', 'numbers'),
        ],
      },
      {
        text: 'Guides',
        items: [
          page('Refine a web corpus', 'guides/refine'),
          page('Embed in an ETL job', 'guides/etl'),
          page('Build a refiner', 'guides/own-refiner'),
          page('Choose a mixture', 'guides/mixture'),
          page('Continue a pre-training', 'guides/continue'),
          page('Run on many machines', 'guides/cluster'),
          page('GPUs', 'guides/gpus'),
          page('See before you trust', 'guides/trust'),
        ],
      },
      {
        text: 'Reference',
        items: [
          page('API', 'api'),
          page('Errors and reasons', 'errors'),
          page('Files that are read', 'formats/inputs'),
          page('Files that are written', 'formats/outputs'),
          page('Addresses', 'addresses'),
          page('Streams and engines', 'streams'),
          page('Metrics, logs, traces', 'metrics'),
          page('Refiners and profiles', 'profiles'),
          { text: 'Models', link: '/models/README' },
          { text: 'Examples', link: '/examples/README' },
          page('Architecture', 'architecture'),
        ],
      },
      {
        text: 'Commands',
        collapsed: true,
        items: commands.map((name) => page(name.replaceAll('-', ' '), `commands/${name}`)),
      },
    ],
  },
});
