/**
 * A page that stands alone: one HTML text with its style sheet, readable without scripts, which a policy in its head forbids
 * as it does everything else that would be loaded.
 *
 * Invariants
 *  1. Whatever comes from outside passes {@link escaped}: what is hidden is shown as an escape, markup is text.
 *  2. No style attributes: the policy names the one style sheet by its hash.
 */
import { createHash } from 'node:crypto';
import { inlineFigure } from '../charts/figure.ts';
import { colour, themeCss } from '../charts/theme.ts';
import { escapeMarkup } from '../markup.ts';
import { escapeHidden, printable } from '../printable.ts';

/** HTML that is safe to put into a page: made here, of texts that were escaped. */
export type Html = string & { readonly safe?: true };

/** A section of a page. */
export interface Section {
  readonly title: string;
  readonly parts: readonly Html[];
}

const STYLE = [
  themeCss(':root'),
  `*{box-sizing:border-box}body{font:15px/1.5 system-ui,sans-serif;max-width:1020px;margin:0 auto;padding:1.5rem 1rem 4rem;color:${colour('ink')};background:${colour('paper')}}`,
  'h1{font-size:1.6rem;margin:0 0 .2rem}h2{font-size:1.2rem;margin:2.4rem 0 .6rem}h3{font-size:1rem;margin:1.2rem 0 .4rem}',
  `p.note,caption,.muted{color:${colour('muted')}}p.note{margin:.3rem 0}`,
  'figure{margin:1rem 0;overflow-x:auto}svg{max-width:100%;height:auto;display:block}',
  `.scroll{overflow-x:auto}table{border-collapse:collapse;margin:.6rem 0}caption{text-align:left;padding:.2rem 0}td,th{border-bottom:1px solid ${colour('grid')};padding:.25rem .7rem .25rem 0;text-align:right;vertical-align:top;font-variant-numeric:tabular-nums}td:first-child,th:first-child{text-align:left;overflow-wrap:anywhere}td.text,th.text{text-align:left;overflow-wrap:anywhere}`,
  `code,pre{font:12.5px/1.45 ui-monospace,monospace}pre{margin:.4rem 0;padding:.5rem;border:1px solid ${colour('grid')};border-radius:4px;white-space:pre-wrap;overflow-wrap:anywhere}`,
  `del{color:${colour('removed')};background:${colour('removed-paper')};text-decoration:line-through}ins{color:${colour('added')};background:${colour('added-paper')};text-decoration:none}`,
  `details{border-top:1px solid ${colour('grid')};padding:.3rem 0}summary{cursor:pointer;overflow-wrap:anywhere}`,
  'nav a{margin-right:.9rem}a{color:inherit}',
  '@media print{body{max-width:none;padding:0;font-size:11px}nav{display:none}figure,tr{break-inside:avoid}h2,h3{break-after:avoid}details::details-content{content-visibility:visible}a{text-decoration:none}}',
].join('\n');

const POLICY = `default-src 'none'; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'; base-uri 'none'; form-action 'none'`;
/** Texts of cells. */
const MAX_CELL = 300;

/** Text on one line, nothing hidden, its middle left out where it is long. */
export function escaped(text: string, maxChars: number = MAX_CELL): Html {
  return escapeMarkup(printable(text, maxChars));
}

/** Text of any length whose line breaks and blanks count; controls are shown as escapes. */
export function escapedLines(text: string): Html {
  return text
    .split('\n')
    .map((line) => escapeMarkup(line.split('\t').map(escapeHidden).join('\t')))
    .join('\n');
}

/** A paragraph of quiet text. */
export function note(text: string): Html {
  return `<p class="note">${escaped(text, 2000)}</p>`;
}

/** A figure of ours. */
export function figure(svg: string): Html {
  return `<figure>${inlineFigure(svg)}</figure>`;
}

/** A table; columns of `texts` are left-aligned besides the first. */
export function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  { caption, texts = [] }: { readonly caption?: string; readonly texts?: readonly number[] } = {},
): Html {
  const cells = (row: readonly string[], tag: 'td' | 'th'): string =>
    row
      .map((cell, at) => {
        const scope = tag === 'th' ? ' scope="col"' : '';
        return `<${tag}${scope}${texts.includes(at) ? ' class="text"' : ''}>${escaped(cell)}</${tag}>`;
      })
      .join('');
  const title = caption === undefined ? '' : `<caption>${escaped(caption)}</caption>`;
  const header = `<thead><tr>${cells(head, 'th')}</tr></thead>`;
  const body = rows.map((row) => `<tr>${cells(row, 'td')}</tr>`).join('\n');
  // What scrolls can be reached by the keyboard, and has a name.
  return `<div class="scroll" role="region" tabindex="0" aria-label="${escaped(caption ?? `Table of ${head[0] ?? ''}`)}"><table>${title}${header}<tbody>${body}</tbody></table></div>`;
}

/** A whole page. */
export function pageOf({
  title,
  subtitle,
  sections,
}: {
  readonly title: string;
  readonly subtitle: string;
  readonly sections: readonly Section[];
}): string {
  const shown = sections.filter(({ parts }) => parts.some((part) => part !== ''));
  const links = shown.map(({ title: name }, at) => `<a href="#s${at}">${escaped(name)}</a>`);
  return [
    '<!doctype html>',
    '<html lang="en"><head><meta charset="utf-8">',
    `<meta http-equiv="Content-Security-Policy" content="${POLICY}">`,
    '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="referrer" content="no-referrer">',
    `<title>${escaped(title)}</title><style>${STYLE}</style></head><body>`,
    `<header><h1>${escaped(title)}</h1><p class="note">${escaped(subtitle, 600)}</p></header>`,
    `<nav aria-label="Sections">${links.join('')}</nav><main>`,
    ...shown.map(
      ({ title: name, parts }, at) =>
        `<section id="s${at}"><h2>${escaped(name)}</h2>\n${parts.join('\n')}\n</section>`,
    ),
    '</main></body></html>',
    '',
  ].join('\n');
}
