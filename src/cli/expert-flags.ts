/** The flags of commands that ask an expert, and the options they stand for. */
import type { Command } from 'commander';
import type { ExpertOptions } from '../annotate/expert/expert.ts';
import { GristmillError } from '../errors.ts';
import { defined, wholeNumber } from './flags.ts';

/** What the flags of {@link expertOptions} parse to. */
export interface ExpertFlags {
  readonly expertUrl?: string;
  readonly expertModel?: string;
  readonly expertGguf?: string;
  readonly apiKeyEnv?: string;
  readonly concurrency?: number;
  readonly timeout?: number;
  readonly maxRetries?: number;
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
    .option('--timeout <seconds>', 'time for one answer (120)', wholeNumber(1, 300))
    .option('--max-retries <n>', 'further attempts of a request (6)', wholeNumber(0, 1000))
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
  const { maxRequests, maxTokens, cache } = flags;
  const common = defined({ maxRequests, maxTokens, cacheDir: cache });
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
    ]);
    const { device, threads, slots } = flags;
    return { gguf, ...defined({ device, threads, slots }), ...common };
  }
  refuseFor('--expert-gguf', flags, ['device', 'threads', 'slots']);
  if (model === undefined) refuse('--expert-model', 'the model’s name at the endpoint', 'none');
  const { apiKeyEnv, concurrency, timeout, maxRetries } = flags;
  const timeoutMs = timeout === undefined ? undefined : timeout * 1000;
  return {
    url: url!,
    model: model!,
    ...defined({ apiKeyEnv, concurrency, timeoutMs, maxRetries }),
    ...common,
  };
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
