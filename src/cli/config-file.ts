/**
 * `--config FILE`: the options of a command as YAML, each under its name (`text-column`, or `textColumn`), its arguments too
 * (`inputs: [corpus/]`). What the command line gives takes the place of what the file says.
 *
 * Values go through the parsers of the flags, so that both mean the same. Lists are lists, or names by comma; maps are
 * `name=value` by comma, or JSON, whichever the flag takes. Paths are relative to the working folder, as they are on the command line.
 * A file behind an address is fetched before the command line is parsed, which does not wait.
 */
import { readFileSync, statSync } from 'node:fs';
import { type Argument, type Command, InvalidArgumentError, type Option } from 'commander';
import { isMap, isScalar, LineCounter, type Pair, parseDocument } from 'yaml';
import { remoteScheme, shownAddress } from '../corpus/storage/addresses.ts';
import { GristmillError } from '../errors.ts';
import { nearestName } from '../nearest-name.ts';
import { printable } from '../printable.ts';

const MAX_BYTES = 2 ** 20;

/** An entry of a file. */
interface Entry {
  readonly key: string;
  readonly value: unknown;
  readonly line: number;
}

/** Texts of configurations by their shown addresses. */
export type FetchedConfigs = ReadonlyMap<string, string>;

/** Fetches what `--config` names behind addresses. @throws CONFIG_INVALID for what is not there; STORAGE_* */
export async function fetchConfigs(args: readonly string[]): Promise<FetchedConfigs> {
  const texts = new Map<string, string>();
  for (const [at, arg] of args.entries()) {
    const given = arg === '--config' ? args[at + 1] : /^--config=(.*)$/s.exec(arg)?.[1];
    if (given === undefined || remoteScheme(given) === null) continue;
    const { readSmall } = await import('../corpus/storage/folders.ts');
    const file = shownAddress(given);
    const text = await readSmall(file);
    if (text === null) {
      throw new GristmillError('CONFIG_INVALID', { file, line: 0, reason: 'it does not exist' });
    }
    texts.set(file, text);
  }
  return texts;
}

/** Makes the commands below `command` take their options from the files that `--config` names. */
export function takeConfigFiles(command: Command, fetched: FetchedConfigs = new Map()): void {
  for (const inner of command.commands) takeConfigFiles(inner, fetched);
  if (command.commands.length > 0) return;
  const inside = command as Command & Parses;
  const parseCommand = inside._parseCommand.bind(command);
  const parseOptions = command.parseOptions.bind(command);
  // Arguments that stand in front of the first flag come here, the others from parseOptions.
  let before: readonly string[] = [];
  inside._parseCommand = (operands, unknown) => {
    before = operands;
    return parseCommand(operands, unknown);
  };
  command.parseOptions = (args) => {
    const parsed = parseOptions(args);
    const file: unknown = command.getOptionValue('config');
    if (typeof file !== 'string') return parsed;
    const name = shownAddress(file);
    const fromFile = apply(command, name, fetched.get(name));
    const isGiven = before.length + parsed.operands.length > 0;
    return isGiven ? parsed : { ...parsed, operands: fromFile };
  };
}

/** The method of commander that parses what stands behind a command's name; not among its declarations. */
interface Parses {
  _parseCommand(operands: string[], unknown: string[]): Command;
}

/** Sets options that the command line has not. @returns the arguments of the file @throws CONFIG_INVALID */
function apply(command: Command, file: string, fetched: string | undefined): string[] {
  const fromFile: (string[] | undefined)[] = command.registeredArguments.map(() => undefined);
  for (const entry of entriesOf(file, fetched)) {
    const invalid = (reason: string, cause?: unknown): never => refuse(file, entry, reason, cause);
    const at = command.registeredArguments.findIndex((argument) => isNamed(argument, entry.key));
    if (at >= 0) {
      fromFile[at] = argumentTexts(command.registeredArguments[at]!, entry.value, invalid);
      continue;
    }
    const option = command.options.find((each) => isNamed(each, entry.key) && isOfFile(each));
    if (!option) {
      const names = command.options.filter(isOfFile).map(nameOf);
      const near = nearestName(entry.key, names);
      const hint = near === null ? `; there are ${names.join(', ')}` : `; did you mean ${near}?`;
      return invalid(`no such option of ${command.name()}${hint}`);
    }
    const name = option.attributeName();
    if (command.getOptionValueSource(name) === 'cli') continue;
    const value = flagValue(option, entry.value, invalid);
    if (value !== undefined) command.setOptionValueWithSource(name, value, 'config');
  }
  return fromFile.flatMap((texts) => texts ?? []);
}

/** @throws CONFIG_INVALID */
function entriesOf(file: string, fetched: string | undefined): Entry[] {
  let text: string;
  try {
    const size = fetched === undefined ? statSync(file).size : Buffer.byteLength(fetched);
    if (size > MAX_BYTES) throw new Error(`${size} bytes; at most ${MAX_BYTES} are read`);
    text = fetched ?? readFileSync(file, 'utf8');
  } catch (cause) {
    const reason = (cause as Error).message;
    throw new GristmillError('CONFIG_INVALID', { file, line: 0, reason }, { cause });
  }
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { lineCounter });
  const [fault] = document.errors;
  if (fault) {
    const line = lineCounter.linePos(fault.pos[0]).line;
    throw new GristmillError('CONFIG_INVALID', { file, line, reason: fault.message });
  }
  if (document.contents === null) return [];
  if (!isMap(document.contents)) {
    const reason = 'expected options by name, as in `out: refined`';
    throw new GristmillError('CONFIG_INVALID', { file, line: 1, reason });
  }
  const plain = plainOf(file, () => document.toJS({ mapAsMap: true }) as Map<unknown, unknown>);
  return document.contents.items.map((pair: Pair) => {
    const { key } = pair;
    const start = isScalar(key) ? (key.range?.[0] ?? 0) : 0;
    const name = isScalar(key) ? key.value : null;
    const value = plain.get(name);
    return { key: String(name), value: objects(value), line: lineCounter.linePos(start).line };
  });
}

/** Aliases that grow without bound end in an error of the parser. @throws CONFIG_INVALID */
function plainOf<T>(file: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    const reason = (cause as Error).message;
    throw new GristmillError('CONFIG_INVALID', { file, line: 1, reason }, { cause });
  }
}

/** Maps as objects without a prototype. */
function objects(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(objects);
  if (!(value instanceof Map)) return value;
  const made = Object.create(null) as Record<string, unknown>;
  for (const [key, each] of value) made[String(key)] = objects(each);
  return made;
}

function nameOf(option: Option): string {
  return (option.long ?? option.flags).replace(/^--(?:no-)?/, '');
}

/** `text-column` and `textColumn` are one name. */
function isNamed(named: Option | Argument, key: string): boolean {
  const name = 'long' in named ? nameOf(named) : named.name();
  return plainName(name) === plainName(key);
}

function plainName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`).replaceAll('_', '-');
}

function isOfFile({ long }: Option): boolean {
  return long !== '--config';
}

type Refuse = (reason: string, cause?: unknown) => never;

function flagValue(option: Option, value: unknown, invalid: Refuse): unknown {
  const takesNothing = !option.required && !option.optional;
  if (takesNothing || (option.optional && typeof value === 'boolean')) {
    if (typeof value !== 'boolean') return invalid(`expected true or false, ${received(value)}`);
    if (option.negate) return value;
    return value ? true : undefined;
  }
  const parse = (text: string, before?: unknown): unknown =>
    option.parseArg ? option.parseArg(text, before) : text;
  const tried = (texts: readonly string[]): unknown => {
    for (const [at, text] of texts.entries()) {
      try {
        return parse(text);
      } catch (error) {
        if (!(error instanceof InvalidArgumentError)) throw error;
        if (at === texts.length - 1) return invalid(`${error.message} ${received(value)}`, error);
      }
    }
    return undefined;
  };
  if (Array.isArray(value)) {
    const texts = value.map((each) => scalarText(each, invalid));
    if (option.variadic) return texts.map((text) => tried([text]));
    const [first] = texts;
    if (first !== undefined && isRepeatable(parse, first)) {
      return texts.reduce<unknown>((before, text) => parse(text, before), undefined);
    }
    return tried([texts.join(',')]);
  }
  if (typeof value === 'object' && value !== null) {
    const pairs = Object.entries(value).map(([key, each]) => `${key}=${String(each)}`);
    const json = JSON.stringify(value);
    return tried(option.parseArg ? [pairs.join(','), json] : [json]);
  }
  const text = scalarText(value, invalid);
  if (option.variadic) return [tried([text])];
  return tried([text]);
}

/** Whether a flag that is there again adds to what it was. */
function isRepeatable(parse: (text: string, before?: unknown) => unknown, text: string): boolean {
  try {
    const once = parse(text);
    const twice = parse(text, once);
    return Array.isArray(once) && Array.isArray(twice) && twice.length > once.length;
  } catch {
    return false;
  }
}

function argumentTexts(argument: Argument, value: unknown, invalid: Refuse): string[] {
  if (!Array.isArray(value)) return [scalarText(value, invalid)];
  if (!argument.variadic) return invalid('expected one value, received a list');
  return value.map((each) => scalarText(each, invalid));
}

function scalarText(value: unknown, invalid: Refuse): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint') {
    return String(value);
  }
  return invalid(`expected a value, ${received(value)}`);
}

function received(value: unknown): string {
  return `received ${printable(value, 80)}`;
}

function refuse(file: string, { key, line }: Entry, reason: string, cause?: unknown): never {
  const details = { file, line, key, reason: `${key}: ${reason}` };
  throw new GristmillError('CONFIG_INVALID', details, { cause });
}
