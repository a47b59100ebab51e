/** The flags of commands that ask an expert, and the options they stand for. */
import type { ExpertOptions } from '../annotate/expert/expert.ts';
import type { ExpertPause } from '../annotate/expert/expert-endpoint.ts';
import { GristmillError, printable } from '../errors.ts';
import { defined } from './flags.ts';
import { duration } from './progress.ts';
import { say } from './say.ts';

/** What the flags of expertOptions() of commands/annotate.ts parse to. */
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
  say(`expert ${printable(expert)}: ${printable(reason)}: waiting ${wait}, until ${until}`);
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
