/** `gristmill models`: what GGUF files hold, models from Hugging Face, and random ones for tests and benches. */
import { Command, InvalidArgumentError, Option } from 'commander';
import { printable } from '../errors.ts';
import { convertModel } from '../model/convert/convert.ts';
import type { ConvertedType } from '../model/hub-cache.ts';
import { inspectModel } from '../model/inspect.ts';
import { pullModel } from '../model/pull.ts';
import { RANDOM_MODEL_PRESETS, type RandomModelPreset, writeRandomModel } from '../model/random.ts';
import { onInterrupt } from './interrupt.ts';
import { say, show } from './say.ts';

const TYPES = ['bf16', 'f16', 'f32', 'q8_0'] as const satisfies readonly ConvertedType[];
const PROGRESS_EVERY_MS = 2000;

export function modelsCommand(): Command {
  const models = new Command('models').description('look at and make model files');
  models
    .command('inspect')
    .description('what a GGUF file holds')
    .argument('<file>', 'GGUF file')
    .option('--json', 'print one JSON object')
    .action(async (file: string, flags: { json?: boolean }) => {
      const model = await inspectModel(file);
      if (flags.json) {
        process.stdout.write(`${JSON.stringify(model)}\n`);
        return;
      }
      const rows = Object.entries(model).filter(
        ([, value]) => typeof value !== 'object' || value === null,
      );
      const width = Math.max(...rows.map(([name]) => name.length));
      for (const [name, value] of rows) {
        process.stdout.write(`${name.padEnd(width)}  ${value === null ? '-' : printable(value)}\n`);
      }
      for (const [name, value] of Object.entries(model)) {
        if (typeof value !== 'object' || value === null) continue;
        process.stdout.write(`${name.padEnd(width)}  ${printable(value)}\n`);
      }
    });
  models
    .command('convert')
    .description('a folder with a Hugging Face model to one GGUF file')
    .argument('<dir>', 'folder with config.json, safetensors and a tokenizer')
    .requiredOption('--out <file>', 'GGUF file to write')
    .addOption(typeOption())
    .option('--name <text>', 'name of the model in the file')
    .option('--json', 'print one JSON object')
    .action(async (dir: string, flags: ConvertFlags) => {
      const { out, type, name, json = false } = flags;
      const report = progressLine(json);
      const summary = await interruptible((signal) =>
        convertModel({
          dir,
          out,
          type,
          ...(name !== undefined && { name }),
          signal,
          onProgress: ({ bytesDone, bytes, tensor }) => report('convert', tensor, bytesDone, bytes),
        }),
      );
      if (json) {
        process.stdout.write(`${JSON.stringify(summary)}\n`);
        return;
      }
      notices(summary.notes);
      const { nTensors, bytes, seconds } = summary;
      show(
        `${out}: ${summary.architecture}, ${nTensors} tensors, ${megabytes(bytes)} MB of ${type} in ${seconds.toFixed(1)} s\n`,
      );
    });
  models
    .command('pull')
    .description('a model of the Hugging Face hub, converted into the cache')
    .argument('<repo>', 'OWNER/NAME, or OWNER/NAME@REVISION')
    .addOption(typeOption())
    .option('--keep-source', 'keep the downloaded files')
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\n$HF_ENDPOINT is where models come from, $HF_TOKEN who you are.')
    .action(async (name: string, flags: PullFlags) => {
      const { type, keepSource = false, json = false } = flags;
      const at = name.indexOf('@');
      const report = progressLine(json);
      const summary = await interruptible((signal) =>
        pullModel({
          repo: at < 0 ? name : name.slice(0, at),
          ...(at >= 0 && { revision: name.slice(at + 1) }),
          type,
          keepSource,
          signal,
          onProgress: ({ stage, item, bytesDone, bytes }) => report(stage, item, bytesDone, bytes),
        }),
      );
      if (json) {
        process.stdout.write(`${JSON.stringify(summary)}\n`);
        return;
      }
      notices(summary.notes);
      show(`${summary.path}\n`);
    });
  models
    .command('random')
    .description('write a seeded random model: real in shape, its answers mean nothing')
    .argument('<file>', 'GGUF file to write')
    .addOption(
      new Option('--preset <name>', 'shape')
        .choices(Object.keys(RANDOM_MODEL_PRESETS))
        .default('20m'),
    )
    .option('--seed <n>', 'seed of the weights', seed, 1)
    .action(async (path: string, flags: { preset: RandomModelPreset; seed: number }) => {
      await writeRandomModel({ ...RANDOM_MODEL_PRESETS[flags.preset], path, seed: flags.seed });
    });
  return models;
}

interface ConvertFlags {
  readonly out: string;
  readonly type: ConvertedType;
  readonly name?: string;
  readonly json?: boolean;
}

interface PullFlags {
  readonly type: ConvertedType;
  readonly keepSource?: boolean;
  readonly json?: boolean;
}

function typeOption(): Option {
  return new Option('--type <name>', 'storage of the matrices').choices(TYPES).default('bf16');
}

async function interruptible<T>(body: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const release = onInterrupt(controller, 'stopping');
  try {
    return await body(controller.signal);
  } finally {
    release();
  }
}

/** A line on stderr every two seconds, nothing with --json. */
function progressLine(json: boolean) {
  let last = Date.now();
  return (stage: string, item: string, bytesDone: number, bytes: number): void => {
    if (json || Date.now() - last < PROGRESS_EVERY_MS) return;
    last = Date.now();
    const share = ((100 * bytesDone) / Math.max(bytes, 1)).toFixed(1);
    process.stderr.write(
      `gristmill: ${stage} ${share} % of ${megabytes(bytes)} MB, ${printable(item)}\n`,
    );
  };
}

function notices(notes: readonly string[]): void {
  for (const note of notes) say(`note: ${note}`);
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}

function seed(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0)
    throw new InvalidArgumentError('expected a whole number.');
  return value;
}
