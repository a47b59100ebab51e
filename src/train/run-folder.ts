/**
 * The folder of a training run: who may use it, what was measured, and the curve.
 *
 *     run.json        what makes it this run; another configuration or other data is refused
 *     losses.jsonl    a line for every step, and for every measurement of the validation data
 *     loss.svg        the same as a picture
 *     checkpoint.bin  weights, moments and step; replaced as a whole
 *     model.gguf      the result; it is there only when the run is finished
 *     lock            the process that trains (work/lease.ts)
 *
 * What has produced nothing, no checkpoint and no model, blocks nothing: it gives way to a run with other settings.
 */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { readLedgerJson } from '../durable-files.ts';
import { GristmillError, isGristmillError } from '../errors.ts';
import { inspectModel } from '../model/inspect.ts';
import { changedKeys } from '../same-run.ts';
import { type Lease, type TakeLeaseOptions, takeLease } from '../work/lease.ts';
import { type LossPoint, lossPlot } from './loss-plot.ts';
import { markIn, RecordLog, writeWhole } from './record-log.ts';

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
export class RunFolder implements Disposable {
  readonly checkpoint: string;
  readonly model: string;
  readonly #out: string;
  readonly #title: string;
  readonly #log: RecordLog<TrainRecord>;
  readonly #lease: Lease;

  private constructor(out: string, title: string, lease: Lease) {
    this.#out = out;
    this.#lease = lease;
    this.#title = title;
    this.#log = new RecordLog(join(out, 'losses.jsonl'));
    this.checkpoint = join(out, 'checkpoint.bin');
    this.model = join(out, 'model.gguf');
  }

  /**
   * Takes the folder for a run, or refuses one that holds another. The caller disposes of it.
   *
   * @param identity what must be the same for the run to go on; JSON
   * @param title of the plot
   * @throws TRAIN_RUN_CHANGED naming what differs, RUN_LEDGER_INVALID for a damaged run.json, RUN_OUTPUT_IN_USE,
   *   TRAIN_WRITE_FAILED, ABORTED while it waits
   */
  static async claim(
    out: string,
    identity: object,
    title: string,
    options: TakeLeaseOptions = {},
  ): Promise<RunFolder> {
    let lease: Lease | null = null;
    try {
      lease = await takeLease(out, join(out, 'lock'), options);
      const folder = new RunFolder(out, title, lease);
      folder.#claim(JSON.parse(JSON.stringify({ format: 1, ...identity })) as object);
      return folder;
    } catch (error) {
      lease?.release();
      if (isGristmillError(error)) throw error;
      const reason = (error as Error).message;
      throw new GristmillError('TRAIN_WRITE_FAILED', { path: out, reason }, { cause: error });
    }
  }

  #claim(now: object): void {
    const file = join(this.#out, 'run.json');
    const isSame = existsSync(file) && changedKeys(recorded(file), now).length === 0;
    if (isSame) return;
    if (PRODUCED.some((name) => existsSync(join(this.#out, name)))) {
      if (!existsSync(file)) {
        throw new GristmillError('RUN_LEDGER_INVALID', { file, reason: 'it is gone' });
      }
      const changes = changedKeys(readLedgerJson(file), now).slice(0, 8).join(', ');
      throw new GristmillError('TRAIN_RUN_CHANGED', { out: this.#out, changes });
    }
    // Of other settings, and made again in a moment.
    for (const name of ['tokenizer.gguf', 'losses.jsonl', 'loss.svg']) {
      if (existsSync(file)) rmSync(join(this.#out, name), { force: true });
    }
    writeWhole(file, `${JSON.stringify(now, null, 2)}\n`);
  }

  /** What a failure means: RUN_LEASE_LOST where another process has taken the folder over, else itself. */
  explain(error: unknown): unknown {
    return this.#lease.explain(error);
  }

  [Symbol.dispose](): void {
    this.#lease.release();
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
    this.#lease.check();
    writeWhole(this.file(name), text);
  }

  /**
   * Reads the records up to a step; those behind it are made again.
   *
   * @param state of the checkpoint
   * @throws RUN_LEDGER_INVALID when they are not those that the checkpoint was written behind
   */
  resumeAt(step: number, state: string): void {
    this.#log.resumeAt(step, markIn(state));
  }

  /** State of a checkpoint that is about to be written: what was measured until now. @throws RUN_LEASE_LOST */
  checkpointState(): string {
    this.#lease.check();
    this.#log.sync();
    return JSON.stringify({ records: this.#log.mark() });
  }

  /** @throws RUN_LEASE_LOST */
  add(record: TrainRecord): void {
    this.#lease.check();
    this.#log.add(record);
  }

  async plot(): Promise<void> {
    const points = (pick: (record: TrainRecord) => number | undefined): LossPoint[] =>
      this.records.flatMap((record) => {
        const loss = pick(record);
        return loss === undefined ? [] : [{ step: record.step, loss }];
      });
    const picture = await lossPlot(
      this.#title,
      points(({ loss }) => loss),
      points(({ validationLoss }) => validationLoss),
    );
    this.write('loss.svg', picture);
  }

  /**
   * Whether the model has to be made: it is not there, or it was cut or damaged since it was made, which is said.
   *
   * @param onNotice told of damage
   */
  async lacksModel(onNotice?: (line: string) => void): Promise<boolean> {
    if (!existsSync(this.model)) return true;
    const fault = await modelFault(this.model);
    if (fault !== null) onNotice?.(`${fault}: it is made again from the checkpoint`);
    return fault !== null;
  }

  /** Last losses, null before the first. */
  last(): { readonly loss: number | null; readonly validationLoss: number | null } {
    const found = (key: 'loss' | 'validationLoss'): number | null =>
      this.records.findLast((record) => record[key] !== undefined)?.[key] ?? null;
    return { loss: found('loss'), validationLoss: found('validationLoss') };
  }
}

/** What is wrong with the length or the head of a model file, as far as that is seen at once; null for nothing. */
export async function modelFault(path: string): Promise<string | null> {
  try {
    await inspectModel(path);
    return null;
  } catch (error) {
    if (!isGristmillError(error)) throw error;
    return error.message;
  }
}

/** Names of what a run has for its work. */
const PRODUCED = ['checkpoint.bin', 'model.gguf', 'validation.json'];

/** What run.json holds; null for a damaged file. */
function recorded(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return null;
  }
}
