/**
 * Puts site chrome around an authored article, and knows for every line whether it is content.
 *
 * Choices that a site makes once (menu, footer, how posts are framed) are seeded by the domain, the others by the
 * document, so that pages of one site share their boilerplate as real crawls do.
 */
import { Random } from './random.mjs';

/** @typedef {import('./source.mjs').Source} Source */
/** @typedef {import('./source.mjs').Chrome} Chrome */
/** @typedef {{ text: string, keep: boolean }} PageLine */

/** How much chrome a page gets; `light` pages are nearly clean. */
const LEVELS = /** @type {const} */ (['light', 'normal', 'normal', 'heavy']);

/** Spelling of a site name: "tide-post.example" → "Tide Post". @param {string} domain */
export function siteName(domain) {
  const words = domain.replace(/\.example$/, '').split(/[.-]/);
  return words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join(' ');
}

/** One page under construction. */
class Page {
  /** @type {PageLine[]} */
  lines = [];

  /** @param {Source} source @param {Chrome} chrome @param {readonly string[]} headlines */
  constructor(source, chrome, headlines) {
    this.source = source;
    this.chrome = chrome;
    this.headlines = headlines;
    this.random = new Random(`page ${source.kind} ${source.language} ${source.slug}`);
    this.level = this.random.pick(LEVELS);
    this.year = this.random.int(2016, 2025);
    this.month = this.random.int(1, 12);
    this.day = this.random.int(1, 20);
  }

  /** The pool for this kind of page, else the general one. @param {string} name */
  pool(name) {
    return this.chrome.get(`${name}.${this.source.kind}`) ?? this.chrome.get(name) ?? [];
  }

  /** @param {string} template */
  fill(template) {
    // Dates of a page never run backwards: posts of a thread take them in order.
    const months = this.pool('months')[0]?.split(' ¦ ') ?? [];
    return template.replace(/\{(\w+)\}/g, (whole, name) => {
      if (name === 'site') return siteName(this.source.domain);
      if (name === 'domain') return this.source.domain;
      if (name === 'author') return this.random.pick(this.pool('authors'));
      if (name === 'date') return this.fill(this.pool('date')[0] ?? '{d} {month} {year}');
      if (name === 'd') {
        this.day = Math.min(28, this.day + this.random.int(0, 2));
        return String(this.day);
      }
      if (name === 'month') return months[this.month - 1] ?? String(this.month);
      if (name === 'year') return String(this.year);
      if (name === 'time') {
        return `${this.random.int(0, 23)}:${String(this.random.int(0, 59)).padStart(2, '0')}`;
      }
      if (name === 'n') return String(this.random.int(2, 48));
      if (name === 'N') return String(this.random.int(210, 9870));
      if (name === 'tag') return this.random.pick(this.source.tags);
      if (name === 'title') return this.source.title;
      return whole;
    });
  }

  /** @param {string} block */
  noise(block) {
    for (const line of block.split(' ¦ ')) {
      this.lines.push({ text: this.fill(line).trim(), keep: false });
    }
  }

  /** @param {string} text */
  content(text) {
    this.lines.push({ text, keep: true });
  }

  /** One block of a pool, when the pool exists and luck will have it. @param {string} name @param {number} probability */
  maybe(name, probability) {
    const blocks = this.pool(name);
    if (blocks.length > 0 && this.random.chance(probability)) this.noise(this.random.pick(blocks));
  }

  /** A block that all pages of the site share. @param {string} name */
  siteBlock(name) {
    const blocks = this.pool(name);
    if (blocks.length === 0) return;
    this.noise(new Random(`site ${this.source.domain} ${name}`).pick(blocks));
  }
}

/** @param {Page} page */
function writeTop(page) {
  const { level, random } = page;
  const light = level === 'light';
  if (!light) page.maybe('cookie', 0.4);
  if (!light) page.maybe('skip', 0.5);
  if (!light || random.chance(0.4)) page.siteBlock('menu');
  if (level === 'heavy') page.siteBlock('menu');
  if (!light) page.maybe('account', 0.5);
  if (level === 'heavy') page.maybe('ads', 0.6);
  page.maybe('crumbs', light ? 0.2 : 0.6);
  if (page.source.kind === 'docs' && !light) {
    const headings = page.source.body.filter((line) => line.role === 'heading');
    if (headings.length > 1) {
      page.maybe('toc', 1);
      for (const heading of headings) page.noise(heading.text);
    }
  }
  page.content(page.source.title);
  page.maybe('meta', light ? 0.5 : 0.9);
  if (!light) page.maybe('share', 0.4);
}

/** @param {Page} page */
function writeBody(page) {
  const { kind, body } = page.source;
  const posts = body.filter((line) => line.role === 'post').length;
  let nPosts = 0;
  let sinceNoise = 0;
  for (const line of body) {
    if (line.role === 'post') {
      if (nPosts > 0) page.siteBlock('afterpost');
      if (nPosts === 1 && kind === 'qa')
        page.noise(`${posts - 1} ${page.pool('answers')[0] ?? ''}`);
      nPosts += 1;
      page.noise(line.text);
      page.siteBlock('postmeta');
      continue;
    }
    if (line.role === 'noise') {
      page.noise(line.text);
    } else {
      page.content(line.text);
    }
    sinceNoise += 1;
    const heavy = page.level === 'heavy' && line.role === 'content' && line.text.length > 150;
    if (heavy && sinceNoise > 2) {
      sinceNoise = 0;
      page.maybe('ads', 0.3);
    }
  }
  if (nPosts > 0) page.siteBlock('afterpost');
}

/** @param {Page} page */
function writeBottom(page) {
  const { level, random, source } = page;
  const light = level === 'light';
  if (!light) page.maybe('share', 0.6);
  if (!light) page.maybe('tags', 0.4);
  page.maybe('pages', light ? 0.1 : 0.3);
  if (!light) page.maybe('newsletter', 0.4);
  if (!light) {
    page.maybe('related', 0.9);
    const count = random.int(3, level === 'heavy' ? 10 : 5);
    for (const headline of random.sample(page.headlines, count)) {
      page.noise(headline.replaceAll('¦', '|'));
      if (level === 'heavy') page.maybe('teaser', 0.5);
    }
  }
  const talk = ['article', 'blog', 'recipe', 'maths', 'shop'].includes(source.kind);
  if (talk && !light && random.chance(0.7)) {
    page.maybe('commenthead', 1);
    for (const comment of random.sample(page.pool('comments'), random.int(1, 4))) {
      page.noise(comment);
    }
    page.maybe('commentform', 0.6);
  }
  if (!light || random.chance(0.5)) page.siteBlock('footer');
  if (level === 'heavy') page.maybe('cookie', 0.5);
}

/**
 * Renders a source as a page.
 *
 * @param {Source} source
 * @param {Chrome} chrome pools of the source's language
 * @param {readonly string[]} headlines titles for the lists of related pages
 * @returns {PageLine[]}
 */
export function renderPage(source, chrome, headlines) {
  const others = headlines.filter((title) => title !== source.title);
  const page = new Page(source, chrome, others);
  writeTop(page);
  writeBody(page);
  writeBottom(page);
  return page.lines;
}
