/**
 * `gristmill completion`: scripts for shells, made of the definitions of the commands, so that they are never behind.
 *
 * All three find the command that the line is in by walking over its words, and then offer its subcommands, its options, the
 * choices of an option, or files. Words and descriptions stand in single quotes: a shell takes nothing in them for its own.
 */
import type { Command, Option } from 'commander';
import { pathOf } from './help.ts';

/** Shells that there are scripts for. */
export type Shell = 'bash' | 'zsh' | 'fish';

/** What may follow in a place. */
type Value =
  | { readonly kind: 'none' | 'text' | 'file' | 'folder' }
  | {
      readonly kind: 'choice';
      readonly choices: readonly string[];
    };

interface Flag {
  readonly long: string;
  readonly short: string | null;
  readonly says: string;
  readonly value: Value;
}

interface Place {
  /** Words of the command, `mix fit`. */
  readonly path: string;
  readonly commands: readonly { readonly name: string; readonly says: string }[];
  readonly flags: readonly Flag[];
  readonly argument: Value;
}

/** Prints the script of a shell. */
export function printCompletion(shell: Shell, program: Command): void {
  process.stdout.write(completionScript(shell, program));
}

/** The script of a shell. @param program with all of its commands */
export function completionScript(shell: Shell, program: Command): string {
  const places = placesOf(program);
  return { bash, zsh, fish }[shell](places);
}

function placesOf(command: Command): Place[] {
  const [argument] = command.registeredArguments;
  const here: Place = {
    path: pathOf(command).join(' '),
    commands: command.commands.map((inner) => ({
      name: inner.name(),
      says: inner.description(),
    })),
    flags: command.createHelp().visibleOptions(command).map(flagOf),
    argument: argument ? valueOfPlace(argument.name(), argument.argChoices) : { kind: 'none' },
  };
  return [here, ...command.commands.flatMap(placesOf)];
}

function flagOf(option: Option): Flag {
  const takes = option.required || option.optional;
  const [, name = ''] = /[<[]([^\]>]*)/.exec(option.flags) ?? [];
  const value: Value = takes ? valueOfPlace(name, option.argChoices) : { kind: 'none' };
  return { long: option.long!, short: option.short ?? null, says: option.description, value };
}

/** Help calls what are paths `<dir>`, `<file...>`, `<name|gguf>`, `<fit.json>`. */
function valueOfPlace(name: string, choices: readonly string[] | undefined): Value {
  if (choices) return { kind: 'choice', choices };
  if (/^(?:dir|out|first|second)$/.test(name)) return { kind: 'folder' };
  const isFile = /(?:^|\|)(?:file|gguf|path|inputs|plan|config|mixture|pilots|curves)(?:\.\.\.)?$/;
  return { kind: isFile.test(name) || /\.(?:json|yaml)$/.test(name) ? 'file' : 'text' };
}

/** Names of a place's flags. */
function namesOf({ long, short }: Flag): string[] {
  return short === null ? [long] : [long, short];
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** Patterns of `case`, of bash and zsh: the words so far with one more, where that is a command. */
function stepPatterns(places: readonly Place[]): string {
  const steps = places.filter(({ path }) => path !== '');
  return steps.map(({ path }) => quoted(stepOf(path))).join('|');
}

/** Branches of `case`, of bash and zsh: what the value of an option may be, by command and option. */
function valueCases(places: readonly Place[], offer: (value: Value) => string): string[] {
  return places.flatMap(({ path, flags }) =>
    flags
      .filter(({ value }) => value.kind !== 'none')
      .map((flag) => {
        const patterns = namesOf(flag).map((name) => quoted(`${path}|${name}`));
        return `    ${patterns.join('|')}) ${offer(flag.value)} ;;`;
      }),
  );
}

function bash(places: readonly Place[]): string {
  const values = valueCases(places, (value) => `${bashValue(value)} return`);
  const words = places.map(({ path, commands, flags, argument }) => {
    const options = flags.flatMap(namesOf).join(' ');
    const next = commands.map(({ name }) => name).join(' ');
    const free = commands.length > 0 ? `_gristmill_words ${quoted(next)}` : bashValue(argument);
    return `    ${quoted(path)})
      if [[ $cur == -* ]]; then _gristmill_words ${quoted(options)}; else ${free.replace(/;$/, '')}; fi ;;`;
  });
  return `# Completion of gristmill for bash, made by: gristmill completion bash
_gristmill_words() { mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur"); }
_gristmill_files() {
  compopt -o filenames 2>/dev/null || :
  mapfile -t COMPREPLY < <(compgen "$1" -- "$cur")
}
_gristmill() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD-1]}" path='' at
  COMPREPLY=()
  for ((at = 1; at < COMP_CWORD; at++)); do
    case "$path \${COMP_WORDS[at]}" in
      ${stepPatterns(places)}) path="\${path:+$path }\${COMP_WORDS[at]}" ;;
    esac
  done
  case "$path|$prev" in
${values.join('\n')}
  esac
  case "$path" in
${words.join('\n')}
  esac
}
complete -F _gristmill gristmill
`;
}

/** The words so far and one more, as the loop of a script joins them: ` mix`, `mix fit`. */
function stepOf(path: string): string {
  return path.includes(' ') ? path : ` ${path}`;
}

function bashValue(value: Value): string {
  if (value.kind === 'choice') return `_gristmill_words ${quoted(value.choices.join(' '))};`;
  if (value.kind === 'file') return '_gristmill_files -f;';
  if (value.kind === 'folder') return '_gristmill_files -d;';
  return ':;';
}

function zsh(places: readonly Place[]): string {
  const described = (name: string, says: string): string =>
    quoted(`${name.replaceAll(':', '\\:')}:${oneLine(says)}`);
  const values = valueCases(places, (value) => `${zshValue(value)}; return`);
  const words = places.map(({ path, commands, flags, argument }) => {
    const options = flags.flatMap((flag) =>
      namesOf(flag).map((name) => described(name, flag.says)),
    );
    const next = commands.map(({ name, says }) => described(name, says));
    const free =
      commands.length > 0
        ? `found=(${next.join(' ')}); _describe command found`
        : zshValue(argument);
    return `    ${quoted(path)})
      if [[ $PREFIX == -* ]]; then found=(${options.join(' ')}); _describe option found; else ${free}; fi ;;`;
  });
  return `#compdef gristmill
# Completion of gristmill for zsh, made by: gristmill completion zsh
_gristmill() {
  local line_path='' previous="\${words[CURRENT-1]}" at
  local -a found
  for ((at = 2; at < CURRENT; at++)); do
    case "$line_path \${words[at]}" in
      ${stepPatterns(places)}) line_path="\${line_path:+$line_path }\${words[at]}" ;;
    esac
  done
  case "$line_path|$previous" in
${values.join('\n')}
  esac
  case "$line_path" in
${words.join('\n')}
  esac
}
if [[ "\${funcstack[1]}" == _gristmill ]]; then _gristmill "$@"; else compdef _gristmill gristmill; fi
`;
}

function zshValue(value: Value): string {
  if (value.kind === 'choice') return `compadd -- ${value.choices.map(quoted).join(' ')}`;
  if (value.kind === 'file') return '_files';
  return value.kind === 'folder' ? '_files -/' : ':';
}

function fish(places: readonly Place[]): string {
  const steps = places
    .filter(({ path }) => path !== '')
    .map(({ path }) => fishQuoted(stepOf(path)));
  const lines = places.flatMap(({ path, commands, flags, argument }) => {
    const at = `complete -c gristmill -n ${fishQuoted(`__gristmill_at ${fishQuoted(path)}`)}`;
    return [
      ...commands.map(({ name, says }) => `${at} -f -a ${name} -d ${fishQuoted(oneLine(says))}`),
      ...flags.map(({ long, short, says, value }) => {
        const shortName = short === null ? '' : ` -s ${short.slice(1)}`;
        return `${at} -l ${long.slice(2)}${shortName}${fishValue(value, true)} -d ${fishQuoted(oneLine(says))}`;
      }),
      ...(commands.length > 0 ? [] : [`${at}${fishValue(argument, false)}`]),
    ];
  });
  return `# Completion of gristmill for fish, made by: gristmill completion fish
function __gristmill_at
  set -l path ''
  for word in (commandline -opc)[2..-1]
    switch "$path $word"
      case ${steps.join(' ')}
        set path (string trim "$path $word")
    end
  end
  test "$path" = "$argv[1]"
end
${lines.join('\n')}
`;
}

function fishValue(value: Value, isFlag: boolean): string {
  if (value.kind === 'none') return isFlag ? '' : ' -f';
  const taken = isFlag ? ' -r' : '';
  if (value.kind === 'choice') return `${taken} -f -a ${fishQuoted(value.choices.join(' '))}`;
  if (value.kind === 'text') return `${taken} -f`;
  const files = value.kind === 'folder' ? " -f -a '(__fish_complete_directories)'" : ' -F';
  return `${taken}${files}`;
}

/** fish takes a backslash in single quotes for an escape. */
function fishQuoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ');
}
