/** One check of all paths on the command line, before any command runs. */
import type { Argument, Command, Option } from 'commander';
import { remoteScheme } from '../corpus/storage/addresses.ts';
import { localPath, type PathUse } from '../local-path.ts';

/** How help calls the values that are paths: `<dir>`, `<file...>`, `<name|gguf>`, `<fit.json>`. */
const PATH_VALUE = /[<|[](?:dir|file|gguf|path|[\w-]+\.json)(?:\.\.\.)?[>\]]/;
/** Written into files for other programs, which may well read from a bucket. */
const OTHERS = new Set(['--paths', '--replay-paths']);
const OUTPUTS = new Set([
  '--out',
  '--judgements',
  '--html',
  '--svg',
  '--png',
  '--cache',
  '--schedule-csv',
  '--proposal',
]);
/** Arguments that are no paths: a repository of the hub, a host or a URL of it. */
const NO_PATHS = new Set(['repo', 'host']);
/** Commands whose inputs are read through storages (src/corpus/storage). */
const REMOTE_INPUTS = new Set(['refine', 'submit', 'count']);
/** Arguments and options that are runs to be read, which may lie where there are listings. */
const RUNS: Readonly<Record<string, readonly string[]>> = {
  refine: ['--reuse'],
  inspect: ['dir'],
  report: ['dir'],
  show: ['dir'],
  compare: ['first', 'second'],
};
/** Commands whose outputs may lie in a bucket. */
const BUCKET_OUTPUTS = new Set([
  ...['refine', 'submit', 'finish', 'submit-sweep', 'mix train'],
  ...['annotate documents', 'annotate chunks', 'submit-documents', 'submit-chunks'],
]);
/** Options that are files or folders read through storages. */
const REMOTE_OPTIONS: Readonly<Record<string, readonly string[]>> = {
  'mix train': ['--mixtures', '--store'],
  'submit-sweep': ['--mixtures', '--store'],
  fit: ['--mixtures', '--losses'],
  predict: ['--mixtures'],
  'annotate chunks': ['--only-kept'],
  'submit-chunks': ['--only-kept'],
};

/**
 * Refuses URLs where a command takes paths of the local file system alone.
 *
 * @throws PATH_REMOTE
 */
export function refuseRemotePaths(command: Command): void {
  for (const option of command.options) {
    const value: unknown = command.getOptionValue(option.attributeName());
    if (!isPathOption(option)) continue;
    const isWritten = option.long === '--out' || option.long === '--cache';
    const isBucket = isWritten && writesBuckets(command) && isBucketPath(value);
    if (isBucket || isListedRun(command, option.long ?? '', value)) continue;
    const use = OUTPUTS.has(option.long ?? '') ? 'output' : 'input';
    const isRead = REMOTE_OPTIONS[nameIn(REMOTE_OPTIONS, command)]?.includes(option.long ?? '');
    check(value, use, option.long ?? option.flags, isRead);
  }
  command.registeredArguments.forEach((argument: Argument, at) => {
    if (NO_PATHS.has(argument.name())) return;
    const given: unknown = command.processedArgs[at];
    if (argument.name() === 'out' && writesBuckets(command) && isBucketPath(given)) return;
    if (isListedRun(command, argument.name(), given)) return;
    const readsRemote = argument.name() === 'inputs' && readsInputsRemote(command);
    check(command.processedArgs[at], 'input', 'input', readsRemote);
  });
}

/** `mix train`, say, where it is told from the `train` that stands alone. */
function nameIn(names: object, command: Command): string {
  const whole = `${command.parent?.name()} ${command.name()}`;
  return Object.hasOwn(names, whole) ? whole : command.parent?.parent ? command.name() : '';
}

function writesBuckets(command: Command): boolean {
  const whole = `${command.parent?.name()} ${command.name()}`;
  return BUCKET_OUTPUTS.has(command.name()) || BUCKET_OUTPUTS.has(whole);
}

/** Labelled pages are read as local files; what an expert is asked about is a corpus. */
function readsInputsRemote(command: Command): boolean {
  const name = command.name();
  const isAsked =
    command.parent?.name() === 'annotate' || /^submit-(?:documents|chunks)$/.test(name);
  return REMOTE_INPUTS.has(name) || (isAsked && command.getOptionValue('way') !== 'gold');
}

function isListedRun(command: Command, name: string, value: unknown): boolean {
  if (typeof value !== 'string' || !RUNS[command.name()]?.includes(name)) return false;
  const scheme = remoteScheme(value);
  return scheme === 's3' || scheme === 'hf';
}

function isBucketPath(value: unknown): boolean {
  return typeof value === 'string' && remoteScheme(value) === 's3';
}

function isPathOption({ flags, long }: Option): boolean {
  return PATH_VALUE.test(flags) && !OTHERS.has(long ?? '');
}

function check(value: unknown, use: PathUse, name: string, takesRemote = false): void {
  for (const path of Array.isArray(value) ? value : [value]) {
    if (typeof path !== 'string' || (takesRemote && remoteScheme(path) !== null)) continue;
    localPath(path, use, name);
  }
}
