/**
 * What a chain has done: a record for every stage, with hashes of its inputs, its options, and hashes of its outputs.
 *
 *     DIR/ledger/1-refine.json …    { stage, options, inputs, outputs }; outputs are null until the stage is done
 *
 * A stage that was begun with other inputs or options is refused; it is made again where its folder was removed, and the
 * stages behind it then see whether their inputs are still the same. Files count by what they hold: a copy with another
 * date is the same input.
 */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { readLedgerJson, writeDurably } from '../durable-files.ts';
import { GristmillError } from '../errors.ts';
import { makeFolder } from '../local-path.ts';
import { changedKeys, hashOf } from '../same-run.ts';
import { CHAIN_STAGES, type ChainStage } from './config.ts';

/** A file, and what tells cheaply that it is still the same. */
export interface LedgerInput {
  readonly sha256: string;
  readonly fingerprint: string;
}

/** A file that a stage has left. */
export interface LedgerOutput {
  readonly sha256: string;
  readonly bytes: number;
}

/** A stage, as its record has it. */
export interface StageRecord {
  readonly stage: ChainStage;
  /** What decides its results, as JSON. */
  readonly options: unknown;
  /** By path, or by address. */
  readonly inputs: Readonly<Record<string, LedgerInput>>;
  /** By path in the chain's folder; null while it is under way. */
  readonly outputs: Readonly<Record<string, LedgerOutput>> | null;
}

/** The records of a folder. */
export class ChainLedger {
  readonly #out: string;

  constructor(out: string) {
    this.#out = out;
    makeFolder(join(out, 'ledger'), 'CHAIN_WRITE_FAILED');
  }

  /** The record of a stage; null where there is none. @throws RUN_LEDGER_INVALID */
  read(stage: ChainStage): StageRecord | null {
    const file = this.#file(stage);
    return existsSync(file) ? (readLedgerJson(file) as StageRecord) : null;
  }

  /**
   * Begins a stage, or goes on with it.
   *
   * @param files fingerprints by path; hashes of those that a record knows with that fingerprint are not taken again
   * @returns the outputs, where it is done and all of them are there
   * @throws CHAIN_CHANGED naming stage and keys; RUN_LEDGER_INVALID
   */
  async begin(
    stage: ChainStage,
    options: unknown,
    files: Readonly<Record<string, string>>,
    onNotice?: (line: string) => void,
  ): Promise<Readonly<Record<string, LedgerOutput>> | null> {
    const folder = join(this.#out, stage);
    const before = existsSync(folder) ? this.read(stage) : null;
    if (!before && existsSync(folder)) {
      const reason = `${folder} is there without its record; remove it, or use another --out`;
      throw new GristmillError('CHAIN_STAGE_FAILED', { stage, reason });
    }
    const inputs: Record<string, LedgerInput> = {};
    for (const [path, fingerprint] of Object.entries(files)) {
      const known = before && Object.hasOwn(before.inputs, path) ? before.inputs[path] : undefined;
      const sha256 =
        known?.fingerprint === fingerprint ? known.sha256 : await contentOf(path, fingerprint);
      inputs[path] = { sha256, fingerprint };
    }
    const now = JSON.parse(JSON.stringify({ options, inputs: hashesOf(inputs) })) as object;
    if (before) {
      const then = { options: before.options, inputs: hashesOf(before.inputs) };
      const changes = changedKeys(then, now);
      if (changes.length > 0) {
        const details = { out: this.#out, stage, folder, changes: changes.slice(0, 8).join(', ') };
        throw new GristmillError('CHAIN_CHANGED', details);
      }
    }
    const missing = Object.entries(before?.outputs ?? {}).find(
      ([path, { bytes }]) => sizeOf(join(this.#out, path)) !== bytes,
    );
    if (before?.outputs && !missing) return before.outputs;
    if (missing) onNotice?.(`stage ${stage}: ${missing[0]} is gone or was cut: it is made again`);
    this.#write({ stage, options, inputs, outputs: before?.outputs ?? null });
    return null;
  }

  /**
   * Ends a stage.
   *
   * @param isOutput which files of its folder are results; the others are what the commands need for themselves
   * @throws CHAIN_STAGE_FAILED where a stage that was made again has left other bytes
   */
  async end(stage: ChainStage, isOutput: (path: string) => boolean): Promise<void> {
    const record = this.read(stage)!;
    const outputs: Record<string, LedgerOutput> = {};
    for (const path of filesIn(join(this.#out, stage)).filter(isOutput)) {
      const file = join(this.#out, stage, path);
      outputs[`${stage}/${path}`] = { sha256: await hashOf(file), bytes: sizeOf(file)! };
    }
    const changes = record.outputs ? changedKeys(record.outputs, outputs) : [];
    if (changes.length > 0) {
      const reason = `made again, it has left other files: ${changes.slice(0, 8).join(', ')}; remove ${join(this.#out, stage)} and run the chain again`;
      throw new GristmillError('CHAIN_STAGE_FAILED', { stage, reason });
    }
    this.#write({ ...record, outputs });
  }

  #write(record: StageRecord): void {
    writeDurably(this.#file(record.stage), `${JSON.stringify(record, null, 2)}\n`);
  }

  #file(stage: ChainStage): string {
    return join(this.#out, 'ledger', `${CHAIN_STAGES.indexOf(stage) + 1}-${stage}.json`);
  }
}

function hashesOf(inputs: StageRecord['inputs']): Record<string, string> {
  return Object.fromEntries(Object.entries(inputs).map(([path, { sha256 }]) => [path, sha256]));
}

/** What a file holds; of an address what its server says of it. */
async function contentOf(path: string, fingerprint: string): Promise<string> {
  return sizeOf(path) === null ? fingerprint : hashOf(path);
}

/** Size and time of a local file, as a fingerprint. */
export function fingerprintOf(path: string): string {
  const stats = statSync(path, { throwIfNoEntry: false });
  return stats ? `${stats.size}-${stats.mtimeMs}` : 'missing';
}

function sizeOf(path: string): number | null {
  return statSync(path, { throwIfNoEntry: false })?.size ?? null;
}

/** Paths of a folder's files, relative to it, in order. */
export function filesIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .sort();
}
