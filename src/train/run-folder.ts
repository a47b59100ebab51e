/**
 * The folder of a training run: who may use it, what was measured, and the curve.
 *
 *     run.json        what makes it this run; another configuration or other data is refused
 *     losses.jsonl    a line for every step, and for every measurement of the validation data
 *     loss.svg        the same as a picture
 *     checkpoint.bin  weights, moments and step; replaced as a whole
 *     model.gguf      the result; it is there only when the run is finished
 */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { GristmillError } from '../errors.ts';
import { makeFolder } from '../local-path.ts';
import { type LossPoint, lossPlot } from './loss-plot.ts';
import { RecordLog, writeWhole } from './record-log.ts';

/** A step or a measurement, as losses.jsonl has it. */
export interface TrainRecord {
  readonly step: number;
  /** Mean loss of the step, in nats per target. */
  readonly loss?: number;
  readonly lr?: number;
  readonly gradNorm?: number;
  /** Mean loss over the validation data. */
  readonly validationLoss?: number;
}

/** See the file's header. */
export class RunFolder {
  readonly checkpoint: string;
  readonly model: string;
  readonly #out: string;
  readonly #title: string;
  readonly #log: RecordLog<TrainRecord>;

  private constructor(out: string, title: string) {
    this.#out = out;
    this.#title = title;
    this.#log = new RecordLog(join(out, 'losses.jsonl'));
    this.checkpoint = join(out, 'checkpoint.bin');
    this.model = join(out, 'model.gguf');
  }

  /**
   * Takes the folder for a run, or refuses one that holds another.
   *
   * @param identity what must be the same for the run to go on; JSON
   * @param title of the plot
   * @throws TRAIN_RUN_CHANGED naming what differs
   */
  static claim(out: string, identity: object, title: string): RunFolder {
    makeFolder(out, 'TRAIN_WRITE_FAILED');
    const now = JSON.parse(JSON.stringify({ format: 1, ...identity })) as object;
    const file = join(out, 'run.json');
    if (existsSync(file)) {
      const changes = changedKeys(recorded(file), now);
      if (changes.length > 0) {
        throw new GristmillError('TRAIN_RUN_CHANGED', {
          out,
          changes: changes.slice(0, 8).join(', '),
        });
      }
    } else {
      writeWhole(file, `${JSON.stringify(now, null, 2)}\n`);
    }
    return new RunFolder(out, title);
  }

  get records(): readonly TrainRecord[] {
    return this.#log.records;
  }

  /** A file of the run's own. */
  file(name: string): string {
    return join(this.#out, name);
  }

  /** Writes a file of the run's own, whole or not at all. */
  write(name: string, text: string): void {
    writeWhole(this.file(name), text);
  }

  /** Reads the records up to a step; those behind it are made again. */
  resumeAt(step: number): void {
    this.#log.resumeAt(step);
  }

  add(record: TrainRecord): void {
    this.#log.add(record);
  }

  plot(): void {
    const points = (pick: (record: TrainRecord) => number | undefined): LossPoint[] =>
      this.records.flatMap((record) => {
        const loss = pick(record);
        return loss === undefined ? [] : [{ step: record.step, loss }];
      });
    const picture = lossPlot(
      this.#title,
      points(({ loss }) => loss),
      points(({ validationLoss }) => validationLoss),
    );
    this.write('loss.svg', picture);
  }

  /** Last losses, null before the first. */
  last(): { readonly loss: number | null; readonly validationLoss: number | null } {
    const found = (key: 'loss' | 'validationLoss'): number | null =>
      this.records.findLast((record) => record[key] !== undefined)?.[key] ?? null;
    return { loss: found('loss'), validationLoss: found('validationLoss') };
  }
}

/** SHA-256 of a file that a run depends on. @throws CORPUS_READ_FAILED */
export async function hashOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  try {
    for await (const chunk of createReadStream(path)) hash.update(chunk);
  } catch (cause) {
    throw new GristmillError(
      'CORPUS_READ_FAILED',
      { file: path, reason: (cause as Error).message },
      { cause },
    );
  }
  return hash.digest('hex');
}

/** What run.json holds; a damaged file is no run that could go on. */
function recorded(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return null;
  }
}

/** Names every difference of two JSON values as `path: old -> new`; empty when they are the same. */
export function changedKeys(before: unknown, now: unknown, path = ''): string[] {
  const isPlain = (value: unknown): value is Record<string, unknown> =>
    typeof value === 'object' && value !== null;
  if (!isPlain(before) || !isPlain(now)) {
    const what = path === '' ? 'run.json' : path;
    return before === now ? [] : [`${what}: ${JSON.stringify(before)} -> ${JSON.stringify(now)}`];
  }
  const keys = new Set([...Object.keys(before), ...Object.keys(now)]);
  return [...keys].flatMap((key) =>
    changedKeys(before[key], now[key], path === '' ? key : `${path}.${key}`),
  );
}
