/**
 * Prompts as text files: src/annotate/prompts/*.txt, or copies of them that somebody has edited.
 *
 *     === system ===
 *     what the expert is            (optional part; without any part the whole file is the user message)
 *     === user ===
 *     what is asked, with {text}
 *
 * A template is parsed once into its pieces; filling it is concatenation. Values are never looked at again, so text
 * that holds `{text}` stays what it is. The criteria are those of ProX's annotation prompts (arXiv 2409.17115,
 * appendix), in our own words and with our own examples.
 */
import { constants, copyFileSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { GristmillError } from '../errors.ts';
import { makeFolder } from '../local-path.ts';
import { promptFolder } from '../paths.ts';

/** The prompts and the one placeholder that each has, exactly once, in the user message. */
export const TEMPLATES = Object.freeze({
  educational: 'text',
  format: 'text',
  navigation: 'lines',
  urls: 'lines',
  footers: 'lines',
  rewrite: 'text',
} as const);

/** Name of a prompt. */
export type TemplateName = keyof typeof TEMPLATES;

/** The lines between which the answer to `rewrite` stands; its template must name both. */
export const REWRITE_MARKERS = Object.freeze({ begin: '<<<BEGIN>>>', end: '<<<END>>>' });

/** A prompt to fill. */
export interface PromptTemplate {
  readonly name: TemplateName;
  readonly file: string;
  /** Both messages with their placeholder: what requests are made of. */
  readonly text: string;
  /** Fills the placeholder; every value must be there. */
  fill(values: Readonly<Record<string, string>>): {
    readonly system: string | null;
    readonly user: string;
  };
}

const SYSTEM = '=== system ===';
const USER = '=== user ===';

/**
 * Reads a prompt.
 *
 * @param folder of edited prompts; one that is missing there is the package's own
 * @throws ANNOTATE_TEMPLATE_INVALID naming the file and what is wrong with it
 */
export function loadTemplate(name: TemplateName, folder?: string): PromptTemplate {
  const own = join(promptFolder, `${name}.txt`);
  const edited = folder === undefined ? own : join(folder, `${name}.txt`);
  const file = existsSync(edited) ? edited : own;
  const { system, user } = splitParts(file, readText(file));
  const pieces = parsePieces(file, user);
  const expected = TEMPLATES[name];
  const found = pieces.filter((_, index) => index % 2 === 1);
  const unknown = found.find((placeholder) => placeholder !== expected);
  if (unknown !== undefined) {
    throw invalid(file, `unknown placeholder {${unknown}}; expected {${expected}}`);
  }
  if (found.length !== 1) {
    throw invalid(
      file,
      `{${expected}} stands ${found.length} times in the user message; expected once`,
    );
  }
  const stray = system === null ? undefined : parsePieces(file, system)[1];
  if (stray !== undefined) {
    throw invalid(file, `placeholder {${stray}} in the system message, which has none`);
  }
  if (name === 'rewrite') {
    for (const marker of Object.values(REWRITE_MARKERS)) {
      if (!user.includes(marker)) throw invalid(file, `the marker ${marker} is missing`);
    }
  }
  return {
    name,
    file,
    text: `${system ?? ''}\n${user}`,
    fill(values) {
      const value = values[expected];
      if (value === undefined) throw invalid(file, `no value for {${expected}}`);
      return { system, user: `${pieces[0]}${value}${pieces[2]}` };
    },
  };
}

/**
 * Writes copies of all prompts to edit.
 *
 * @returns the files
 * @throws RUN_OUTPUT_FAILED; a file that is there already is not overwritten
 */
export function writeTemplates(folder: string): string[] {
  return Object.keys(TEMPLATES).map((name) => {
    const file = join(folder, `${name}.txt`);
    try {
      makeFolder(folder);
      copyFileSync(join(promptFolder, `${name}.txt`), file, constants.COPYFILE_EXCL);
    } catch (cause) {
      const { code, message } = cause as NodeJS.ErrnoException;
      const reason = code === 'EEXIST' ? 'it exists already' : message;
      throw new GristmillError('RUN_OUTPUT_FAILED', { path: file, reason }, { cause });
    }
    return file;
  });
}

function readText(file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(file));
  } catch (cause) {
    throw invalid(file, (cause as Error).message, cause);
  }
}

function splitParts(file: string, text: string): { system: string | null; user: string } {
  const lines = text.replaceAll('\r\n', '\n').split('\n');
  const at = (marker: string): number => {
    const first = lines.indexOf(marker);
    if (first >= 0 && lines.includes(marker, first + 1)) throw invalid(file, `${marker} twice`);
    return first;
  };
  const systemAt = at(SYSTEM);
  const userAt = at(USER);
  const part = (from: number, to: number): string => lines.slice(from, to).join('\n').trim();
  if (systemAt < 0 && userAt < 0) return { system: null, user: part(0, lines.length) };
  if (userAt < 0) throw invalid(file, `${SYSTEM} without ${USER}`);
  if (systemAt > userAt) throw invalid(file, `${SYSTEM} behind ${USER}`);
  if (part(0, systemAt < 0 ? userAt : systemAt) !== '')
    throw invalid(file, 'text before its parts');
  const system = systemAt < 0 ? '' : part(systemAt + 1, userAt);
  return { system: system === '' ? null : system, user: part(userAt + 1, lines.length) };
}

/** Literal text and names of placeholders in turn: `a {b} c` is `['a ', 'b', ' c']`. */
function parsePieces(file: string, text: string): string[] {
  const pieces = text.split(/\{([a-z_]{1,32})\}/);
  if (pieces.length > 65) throw invalid(file, 'more than 32 placeholders');
  return pieces;
}

function invalid(file: string, reason: string, cause?: unknown): GristmillError {
  return new GristmillError('ANNOTATE_TEMPLATE_INVALID', { file, reason }, cause ? { cause } : {});
}
