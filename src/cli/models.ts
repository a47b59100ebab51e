/** `gristmill models`: what GGUF files hold, models from Hugging Face, and random ones for tests and benches. */
import { printable } from '../errors.ts';
import { convertModel } from '../model/convert/convert.ts';
import type { ConvertedType } from '../model/hub-cache.ts';
import { inspectModel } from '../model/inspect.ts';
import { pullModel } from '../model/pull.ts';
import { RANDOM_MODEL_PRESETS, type RandomModelPreset, writeRandomModel } from '../model/random.ts';
import { onInterrupt } from './interrupt.ts';
import { type ProgressLine, progressLine, tellOn } from './progress-line.ts';
import { say, show } from './say.ts';

/** The action of `models inspect`. */
export async function inspect(file: string, flags: { readonly json?: boolean }): Promise<void> {
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
}

/** The action of `models convert`. */
export async function convert(dir: string, flags: ConvertFlags): Promise<void> {
  const { out, type, name, json = false } = flags;
  using line = progressLine(json);
  const report = reporter(line);
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
  line.stop();
  if (json) {
    process.stdout.write(`${JSON.stringify(summary)}\n`);
    return;
  }
  notices(summary.notes);
  const { nTensors, bytes, seconds } = summary;
  show(
    `${out}: ${summary.architecture}, ${nTensors} tensors, ${megabytes(bytes)} MB of ${type} in ${seconds.toFixed(1)} s\n`,
  );
}

/** The action of `models pull`. */
export async function pull(name: string, flags: PullFlags): Promise<void> {
  const { type, keepSource = false, json = false } = flags;
  const at = name.indexOf('@');
  using line = progressLine(json);
  const report = reporter(line);
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
  line.stop();
  if (json) {
    process.stdout.write(`${JSON.stringify(summary)}\n`);
    return;
  }
  notices(summary.notes);
  show(`${summary.path}\n`);
}

/** The action of `models random`. */
export async function random(path: string, { preset, seed }: RandomFlags): Promise<void> {
  using line = progressLine();
  await writeRandomModel({ ...RANDOM_MODEL_PRESETS[preset], path, seed }, tellOn(line));
}

/** Flags of `models convert`. */
export interface ConvertFlags {
  readonly out: string;
  readonly type: ConvertedType;
  readonly name?: string;
  readonly json?: boolean;
}

/** Flags of `models pull`. */
export interface PullFlags {
  readonly type: ConvertedType;
  readonly keepSource?: boolean;
  readonly json?: boolean;
}

/** Runs what SIGINT ends in good order. */
export async function interruptible<T>(body: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const release = onInterrupt(controller, 'stopping');
  try {
    return await body(controller.signal);
  } finally {
    release();
  }
}

function notices(notes: readonly string[]): void {
  for (const note of notes) say(`note: ${note}`);
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}

/** Flags of `models random`. */
export interface RandomFlags {
  readonly preset: RandomModelPreset;
  readonly seed: number;
}

/** Shows how far a step is. */
export function reporter(line: ProgressLine) {
  return (stage: string, item: string, done: number, total: number): void => {
    const share = ((100 * done) / Math.max(total, 1)).toFixed(1);
    const text = `${stage} ${share} % of ${megabytes(total)} MB, ${printable(item)}`;
    line.update(text, { done, total });
  };
}
