/**
 * The contender of case `execute`: what one would write in an afternoon, with JS strings. A regular
 * expression per call, split, filter, replaceAll, join, and the published guard of 5 % of the words.
 */
const REMOVE = /^remove_lines\(start=(\d+), end=(\d+)\)$/;
const NORMALIZE = /^normalize\(source_str="((?:[^"\\]|\\.)*)", target_str="((?:[^"\\]|\\.)*)"\)$/;

/** Runs a well-formed program over a text; "" when dropped. */
export function executeStrings(text: string, program: string): string {
  let lines = text.split('\n');
  const removed = new Set<number>();
  const replacements: [string, string][] = [];
  for (const call of program.split('\n')) {
    const range = REMOVE.exec(call);
    if (range) {
      for (let line = Number(range[1]); line <= Number(range[2]); line++) removed.add(line);
      continue;
    }
    const strings = NORMALIZE.exec(call);
    if (strings) replacements.push([unquote(strings[1]!), unquote(strings[2]!)]);
  }
  lines = lines.filter((_, line) => !removed.has(line));
  let result = lines.join('\n');
  for (const [source, target] of replacements) result = result.replaceAll(source, () => target);
  return countWords(result) <= 0.05 * countWords(text) ? '' : result;
}

function countWords(text: string): number {
  return text.trim().split(/\s+/).length;
}

function unquote(body: string): string {
  return body.replace(/\\(.)/g, '$1');
}
