/** The flags of commands that ask an expert, and the options they stand for. */
import type { Command } from 'commander';
import type { ExpertOptions } from '../annotate/expert/expert.ts';
import type { ExpertPause } from '../annotate/expert/expert-endpoint.ts';
import { GristmillError, printable } from '../errors.ts';
import { defined, wholeNumber } from './flags.ts';
import { duration } from './progress.ts';

/** What the flags of {@link expertOptions} parse to. */
export interface ExpertFlags {
  readonly expertUrl?: string;
  readonly expertModel?: string;
  readonly expertGguf?: string;
  readonly apiKeyEnv?: string;
  readonly concurrency?: number;
  readonly timeout?: number;
  readonly maxRetries?: number;
  readonly expertBody?: string;
  readonly expertHeader?: readonly string[];
  readonly maxFailures?: number;
  readonly maxRequests?: number;
  readonly maxTokens?: number;
  readonly cache?: string;
  readonly device?: string;
  readonly threads?: number;
  readonly slots?: number;
}

/** Adds the flags of an expert to a command. */
export function expertOptions(command: Command): Command {
  return command
    .option('--expert-url <url>', 'OpenAI-compatible endpoint, e.g. http://127.0.0.1:8080/v1')
    .option('--expert-model <name>', 'model as the endpoint calls it')
    .option('--expert-gguf <file>', 'or: a local model with a chat template')
    .option(
      '--api-key-env <name>',
      'environment variable with the endpoint’s key (default: OPENAI_API_KEY, where it is set)',
    )
    .option('--concurrency <n>', 'requests under way at once (4)', wholeNumber(1, 1024))
    .option('--timeout <seconds>', 'time for one answer (120)', wholeNumber(1, 86_400))
    .option('--max-retries <n>', 'further attempts of a request (6)', wholeNumber(0, 1000))
    .option(
      '--expert-body <json>',
      'further fields of every request, e.g. {"enable_thinking":false}; null takes one away',
    )
    .option(
      '--expert-header <name: value...>',
      'further header of every request; the value env:NAME is read from that variable',
    )
    .option(
      '--max-failures <n>',
      'failed requests in a row that end the run (20); prompts known to be too long do not count',
      wholeNumber(1),
    )
    .option('--max-requests <n>', 'stop in good order before more are sent', wholeNumber(0))
    .option('--max-tokens <n>', 'stop in good order before more are paid for', wholeNumber(0))
    .option('--cache <dir>', 'folder of the answers (default: <out>/_annotate/answers)')
    .option('--device <device>', 'of a local model: cpu (default), cuda or cuda:0')
    .option('--threads <n>', 'CPU threads of a local model', wholeNumber(1, 512))
    .option('--slots <n>', 'answers a local model writes side by side', wholeNumber(1, 256));
}

/** The expert that the flags name. @throws OPTION_INVALID */
export function expertFrom(flags: ExpertFlags): ExpertOptions {
  const { expertUrl: url, expertModel: model, expertGguf: gguf } = flags;
  const { maxRequests, maxTokens, maxFailures, cache } = flags;
  const common = defined({ maxRequests, maxTokens, maxFailures, cacheDir: cache });
  if ((url === undefined) === (gguf === undefined)) {
    refuse(
      '--expert-url',
      'either --expert-url or --expert-gguf',
      url === undefined ? 'none' : 'both',
    );
  }
  if (gguf !== undefined) {
    refuseFor('--expert-url', flags, [
      'expertModel',
      'apiKeyEnv',
      'concurrency',
      'timeout',
      'maxRetries',
      'expertBody',
      'expertHeader',
    ]);
    const { device, threads, slots } = flags;
    return { gguf, ...defined({ device, threads, slots }), ...common };
  }
  refuseFor('--expert-gguf', flags, ['device', 'threads', 'slots']);
  if (model === undefined) refuse('--expert-model', 'the model’s name at the endpoint', 'none');
  const { apiKeyEnv, concurrency, timeout, maxRetries, expertBody, expertHeader } = flags;
  const body = expertBody === undefined ? undefined : bodyOf(expertBody);
  const headers = expertHeader === undefined ? undefined : headersOf(expertHeader);
  const timeoutMs = timeout === undefined ? undefined : timeout * 1000;
  return {
    url: url!,
    model: model!,
    ...defined({ apiKeyEnv, concurrency, timeoutMs, maxRetries, body, headers }),
    onPause: sayPause,
    ...common,
  };
}

/** A line on stderr: a wait looks like a hang. */
function sayPause({ expert, pauseMs, reason }: ExpertPause): void {
  const until = new Date(Date.now() + pauseMs).toTimeString().slice(0, 8);
  const wait = duration(pauseMs / 1000);
  process.stderr.write(
    `gristmill: expert ${printable(expert)}: ${printable(reason)}: waiting ${wait}, until ${until}\n`,
  );
}

/** @throws OPTION_INVALID */
function bodyOf(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = null;
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  return refuse('--expert-body', 'a JSON object, e.g. {"reasoning_effort":"low"}', text);
}

/** @throws OPTION_INVALID; values may be secrets and are not repeated */
function headersOf(lines: readonly string[]): Record<string, string> {
  const headers = lines.map((line): [string, string] => {
    const colon = line.indexOf(':');
    const name = line.slice(0, Math.max(0, colon)).trim();
    const value = line.slice(colon + 1).trim();
    if (name === '') refuse('--expert-header', 'NAME: VALUE', 'a line without a name');
    if (!value.startsWith('env:')) return [name, value];
    const variable = value.slice('env:'.length);
    const secret = process.env[variable]?.trim();
    if (secret === undefined || secret === '') {
      refuse('--expert-header', `a variable that is set for ${name}`, variable);
    }
    return [name, secret!];
  });
  return Object.fromEntries(headers);
}

/** A flag that would be ignored is a mistake. */
function refuseFor(owner: string, flags: ExpertFlags, names: readonly (keyof ExpertFlags)[]): void {
  for (const name of names) {
    if (flags[name] === undefined) continue;
    const flag = `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    refuse(flag, `no such flag without ${owner}`, flags[name]);
  }
}

function refuse(option: string, expected: string, received: unknown): never {
  throw new GristmillError('OPTION_INVALID', { option, expected, received });
}
