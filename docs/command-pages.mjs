/**
 * The pages of docs/commands, made of the definitions of the commands: a page a command, with what its help says between two
 * marks, and prose of ours below. `npm run docs:commands` writes the parts between the marks; a test holds them equal.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));
export const FOLDER = 'docs/commands';
const BEGIN = '<!-- definitions: written by npm run docs:commands -->';
const END = '<!-- end of definitions -->';

/** Every page by its path: what stands between the marks. @param help the module src/cli/help.ts */
export function commandPages(program, { examplesOf, pathOf }) {
  const pages = new Map();
  const visit = (command) => {
    pages.set(pageOf(pathOf(command)), blockOf(command, { examplesOf, pathOf }));
    command.commands.forEach(visit);
  };
  visit(program);
  return pages;
}

function pageOf(path) {
  return join(FOLDER, `${path.length === 0 ? 'index' : path.join('-')}.md`);
}

function blockOf(command, { examplesOf, pathOf }) {
  const path = pathOf(command);
  const words = ['gristmill', ...path];
  const helper = command.createHelp();
  const parts = [`# ${words.join(' ')}`, sentence(command.description())];
  if (command.commands.length > 0) {
    for (const [heading, commands] of groups(helper.visibleCommands(command))) {
      const own = commands.filter((inner) => inner.name() !== 'help');
      if (own.length === 0) continue;
      if (heading) parts.push(`**${heading}**`);
      const rows = own.map((inner) => [
        `[\`${[...words, inner.name()].join(' ')}\`](${pageOf(pathOf(inner)).slice(FOLDER.length + 1)})`,
        text(inner.description()),
      ]);
      parts.push(table(['command', 'does'], rows));
    }
    return parts.join('\n\n');
  }
  const usage = [...words, ...command.registeredArguments.map(argumentText), '[options]'].join(' ');
  parts.push(`\`\`\`text\n${usage}\n\`\`\``);
  if (command.registeredArguments.length > 0) {
    const rows = command.registeredArguments.map((argument) => [
      code(argumentText(argument)),
      text(argument.description) + choices(argument.argChoices),
    ]);
    parts.push(table(['argument', 'meaning'], rows));
  }
  for (const [heading, options] of groups(helper.visibleOptions(command))) {
    const rows = options.map((option) => [code(option.flags), meaning(option)]);
    parts.push(`**${heading || 'Options'}**`, table(['option', 'meaning (default)'], rows));
  }
  for (const [line, what] of examplesOf(command)) {
    parts.push(`\`\`\`sh\n${line}\n\`\`\`\n\n${sentence(what)}`);
  }
  return parts.join('\n\n');
}

/** Entries by the heading of their group, in the order of their first. */
function groups(entries) {
  const found = new Map();
  for (const entry of entries) {
    const heading = (entry.helpGroupHeading ?? entry.helpGroup?.() ?? '').replace(/:$/, '');
    found.set(heading, [...(found.get(heading) ?? []), entry]);
  }
  return found;
}

function argumentText(argument) {
  const name = argument.name() + (argument.variadic ? '...' : '');
  return argument.required ? `<${name}>` : `[${name}]`;
}

function meaning(option) {
  const isShown =
    option.defaultValue !== undefined &&
    !option.negate &&
    typeof option.defaultValue !== 'function';
  const needed = option.mandatory ? '; **needed**' : '';
  const standard = isShown ? ` (\`${String(option.defaultValue)}\`)` : '';
  return text(option.description) + choices(option.argChoices) + standard + needed;
}

function choices(values) {
  return values ? `: ${values.map((value) => `\`${value}\``).join(', ')}` : '';
}

function table(header, rows) {
  const line = (cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(header), line(header.map(() => '---')), ...rows.map(line)].join('\n');
}

function code(value) {
  return `\`${value}\``;
}

/** Descriptions are text: what Markdown or HTML would take for theirs is not. */
function text(description) {
  return description
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replace(/([*_])(?=\S)/g, '\\$1')
    .replaceAll('{{', '&#123;&#123;');
}

function sentence(description) {
  const whole = text(description);
  return `${whole.charAt(0).toUpperCase()}${whole.slice(1)}${/[.!?]$/.test(whole) ? '' : '.'}`;
}

/** A page with its block in place of the one that it has; prose stays. */
export function withBlock(page, block) {
  const marked = `${BEGIN}\n${block}\n${END}`;
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin < 0 || end < begin) return `${marked}\n${page === '' ? '' : `\n${page}`}`;
  return page.slice(0, begin) + marked + page.slice(end + END.length);
}

/** Pages that are not as the definitions are: path and what it should hold; null for one of no command. */
export function stalePages(pages) {
  const stale = new Map();
  for (const [path, block] of pages) {
    const file = join(root, path);
    const page = existsSync(file) ? readFileSync(file, 'utf8') : '';
    const wanted = withBlock(page, block);
    if (wanted !== page) stale.set(path, wanted);
  }
  const folder = join(root, FOLDER);
  for (const name of existsSync(folder) ? readdirSync(folder) : []) {
    if (!pages.has(join(FOLDER, name))) stale.set(join(FOLDER, name), null);
  }
  return stale;
}

/** Writes the pages. @returns the paths of those that changed, and of those of no command */
export function writePages(pages) {
  const stale = stalePages(pages);
  for (const [path, page] of stale) {
    if (page === null) continue;
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), page);
  }
  return stale;
}
