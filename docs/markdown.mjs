/** What the checks of the documentation know of Markdown: headings and their anchors, links, commands to run. */

/** The anchor of a heading, as code hosts make it; the site is told to make the same. */
export function slugOf(heading) {
  return heading
    .trim()
    .toLowerCase()
    .replace(/<[^>]*>/g, '')
    .replace(/[^\p{L}\p{N}\p{M} _-]/gu, '')
    .replaceAll(' ', '-');
}

/** Lines of a page that are not in fences, each with its number. */
export function proseLines(text) {
  let fence = null;
  return text.split('\n').flatMap((line, at) => {
    const [, mark] = /^\s*(```+|~~~+)/.exec(line) ?? [];
    if (mark && fence === null) fence = mark;
    else if (mark && line.trim().startsWith(fence)) fence = null;
    else if (fence === null) return [{ line, number: at + 1 }];
    return [];
  });
}

/** Anchors that a page has; the second heading of a name has `-1` behind it. */
export function anchorsOf(text) {
  const seen = new Map();
  const anchors = new Set();
  for (const { line } of proseLines(text)) {
    const [, heading] = /^#{1,6} (.*)$/.exec(line) ?? [];
    if (heading === undefined) continue;
    const slug = slugOf(heading.replaceAll('`', '').replace(/\[([^\]]*)\]\([^)]*\)/g, '$1'));
    const before = seen.get(slug) ?? 0;
    seen.set(slug, before + 1);
    anchors.add(before === 0 ? slug : `${slug}-${before}`);
  }
  return anchors;
}

/** Links of a page, pictures too, with the numbers of their lines; code is none. */
export function linksOf(text) {
  return proseLines(text).flatMap(({ line, number }) => {
    const plain = line.replace(/(`+)(?!`).*?[^`]\1(?!`)/g, '');
    return [...plain.matchAll(/\]\(([^()\s]+(?:\([^()]*\))?[^()\s]*)\)/g)].map(([, target]) => ({
      target,
      number,
    }));
  });
}

/**
 * Shell fences of a page, in order, with what the comment in front of each says of it: `run: fast`, `run: slow` (a minute or
 * more), or `not run: why`; the quick start is run by .ci/run, from a clean checkout.
 */
export function shellBlocks(text) {
  const lines = text.split('\n');
  const blocks = [];
  for (let at = 0; at < lines.length; at++) {
    if (lines[at] !== '```sh') continue;
    const end = lines.indexOf('```', at);
    const [, mark = null] = /^<!-- (.*) -->$/.exec(lines[at - 1] ?? '') ?? [];
    blocks.push({ number: at + 1, mark, script: lines.slice(at + 1, end).join('\n') });
    at = end;
  }
  return blocks;
}
