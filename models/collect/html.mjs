/**
 * The text of a documentation page's content element: what a person would copy out, one block a line.
 *
 * Only pages with exactly one `<main>`, `role="main"` or `<article>` are read, so that no menu comes along; what is
 * mostly links (an index, a table of contents) is null.
 */

const ENTITIES = new Map(
  Object.entries({
    amp: '&',
    lt: '<',
    gt: '>',
    quot: '"',
    apos: "'",
    nbsp: ' ',
    mdash: '—',
    ndash: '–',
    hellip: '…',
    rarr: '→',
    larr: '←',
    copy: '©',
    lsquo: '‘',
    rsquo: '’',
    ldquo: '“',
    rdquo: '”',
    para: '¶',
    middot: '·',
    bull: '•',
    times: '×',
    ge: '≥',
    le: '≤',
  }),
);
const BLOCK =
  /^(p|div|section|h[1-6]|ul|ol|li|dl|dt|dd|table|thead|tbody|tr|pre|blockquote|figure|figcaption|br|hr|header|footer|main|article|nav|aside|form|details|summary)$/;
const DROPPED = /^(script|style|nav|svg|head|noscript|template|button|select|form|footer|iframe)$/;
/** Share of the text inside links from which on a page is an index. */
const MAX_LINK_SHARE = 0.4;

/** The content's text, or null. */
export function htmlText(html) {
  const inner = contentElement(html);
  return inner === null ? null : blocksOf(inner);
}

function contentElement(html) {
  for (const opening of [
    /<main\b[^>]*>/gi,
    /<(\w+)\b[^>]*\brole="main"[^>]*>/gi,
    /<article\b[^>]*>/gi,
  ]) {
    const found = [...html.matchAll(opening)];
    if (found.length !== 1) continue;
    const start = found[0].index + found[0][0].length;
    const tag = found[0][1] ?? /^<(\w+)/.exec(found[0][0])[1];
    return html.slice(start, closingOf(html, start, tag.toLowerCase()));
  }
  return null;
}

/** Where the element that opened before `start` ends. */
function closingOf(html, start, tag) {
  const edges = new RegExp(`<(/?)${tag}\\b[^>]*>`, 'gi');
  edges.lastIndex = start;
  let depth = 1;
  for (let edge = edges.exec(html); edge !== null; edge = edges.exec(html)) {
    depth += edge[1] === '/' ? -1 : 1;
    if (depth === 0) return edge.index;
  }
  return html.length;
}

function blocksOf(html) {
  const lines = [''];
  let dropped = '';
  let depth = 0;
  let preDepth = 0;
  let isLink = false;
  let linkChars = 0;
  let allChars = 0;
  for (const [token] of html.matchAll(/<!--[\s\S]*?-->|<[^>]*>|[^<]+/g)) {
    if (token.startsWith('<!')) continue;
    const tag = /^<(\/?)([a-zA-Z][\w-]*)/.exec(token);
    if (tag === null) {
      if (dropped !== '') continue;
      const text = unescaped(token);
      const chars = text.replace(/\s+/g, '').length;
      allChars += chars;
      if (isLink) linkChars += chars;
      if (preDepth > 0) {
        const [first, ...more] = text.split('\n');
        lines[lines.length - 1] += first;
        lines.push(...more);
      } else lines[lines.length - 1] += text.replace(/\s+/g, ' ');
      continue;
    }
    const name = tag[2].toLowerCase();
    const isClosing = tag[1] === '/';
    if (dropped !== '') {
      if (name === dropped) depth += isClosing ? -1 : 1;
      if (depth === 0) dropped = '';
      continue;
    }
    if (
      !isClosing &&
      (DROPPED.test(name) || /class="[^"]*(headerlink|linenos|toctree|viewcode-link)/.test(token))
    ) {
      if (!token.endsWith('/>')) {
        dropped = name;
        depth = 1;
      }
      continue;
    }
    if (name === 'a') isLink = !isClosing;
    if (name === 'pre') preDepth = Math.max(0, preDepth + (isClosing ? -1 : 1));
    if ((name === 'td' || name === 'th') && isClosing) lines[lines.length - 1] += '\t';
    if (name === 'li') lines.push(...(isClosing ? [] : ['- ']));
    else if (BLOCK.test(name) && !(preDepth > 0 && name === 'div')) lines.push('');
    if (/^h[1-6]$|^(p|pre|table|ul|ol|dl)$/.test(name)) lines.push('');
  }
  if (linkChars > MAX_LINK_SHARE * allChars) return null;
  return lines
    .map((line) =>
      line
        .replace(/\t+$/, '')
        .replace(/^ (?=\S)/, '')
        .trimEnd(),
    )
    .filter((line) => line.trim() !== '-')
    .join('\n')
    .replace(/\n\s*- *\n+/g, '\n- ')
    .replace(/\n{3,}/g, '\n\n')
    .trim();
}

function unescaped(text) {
  return text.replace(/&(#x?[0-9a-f]+|\w+);/gi, (whole, name) => {
    if (name[0] !== '#') return ENTITIES.get(name) ?? whole;
    const code = /^#x/i.test(name) ? Number.parseInt(name.slice(2), 16) : Number(name.slice(1));
    return code > 8 && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff)
      ? String.fromCodePoint(code)
      : '';
  });
}
