/**
 * What makes a run the same run: versions, options, models and inputs. Written once as run.json; a later command on
 * the same output folder resumes only if nothing of it changed, and otherwise is told what did.
 *
 * Not part of it: what cannot change the output's bytes (threads, workers, progress, where the engine lives).
 */

import type { ScoreLayout } from '../scores/layout.ts';
import type { UsedThresholds } from './statistics.ts';

/** A model of the run. */
export interface ModelIdentity {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** The identity of a run, as plain JSON. */
export interface RunIdentity {
  readonly format: 1;
  readonly versions: { readonly gristmill: string; readonly llamaCpp: string };
  readonly options: Readonly<Record<string, unknown>>;
  readonly models: Readonly<Record<string, ModelIdentity | null>>;
  /** What the models and options come to; for people, as it follows from them. */
  readonly thresholds: UsedThresholds;
  /** The column that says the site of a page, and the SHA-256 of the counts that were looked at. */
  readonly sites?: { readonly column: string; readonly sha256: string };
  /** What kept scores mean. */
  readonly scores?: ScoreLayout;
  readonly inputs: readonly {
    readonly path: string;
    readonly bytes: number;
    readonly fingerprint: string;
  }[];
  readonly units: number;
  /** Units that have many files: `[unit, first of inputs, last of inputs]`, ascending. */
  readonly groups?: readonly (readonly [unit: number, first: number, last: number])[];
  /** SHA-256 of the run.json of the run whose scores were reused, where they were. */
  readonly reused?: string;
}

/** Model paths may move; what they hold may not. Thresholds follow from what is compared. */
const IGNORED = /^(?:models\.\w+\.path|thresholds\.\w+)$/;
const DEVICE_MODEL = 'options.deviceModel';
const MAX_NAMED = 8;

/** Names every difference as `path: old -> new`; empty when the runs are the same. */
export function compareIdentity(before: Partial<RunIdentity>, now: Partial<RunIdentity>): string[] {
  const old = flatten(before);
  const fresh = flatten(JSON.parse(JSON.stringify(now)));
  const paths = [...new Set([...old.keys(), ...fresh.keys()])].filter(
    (path) => !IGNORED.test(path),
  );
  const changes = paths
    .filter((path) => old.get(path) !== fresh.get(path))
    // Those who share a run do not say on which cards; nor did earlier versions.
    .filter((path) => path !== DEVICE_MODEL || (old.has(path) && fresh.has(path)))
    .map((path) => `${path}: ${old.get(path) ?? 'absent'} -> ${fresh.get(path) ?? 'absent'}`);
  if (changes.length <= MAX_NAMED) return changes;
  return [...changes.slice(0, MAX_NAMED), `and ${changes.length - MAX_NAMED} more`];
}

function flatten(value: unknown, path = '', into = new Map<string, string>()): Map<string, string> {
  if (value !== null && typeof value === 'object') {
    for (const [key, inner] of Object.entries(value)) {
      // Inputs are told apart by their path, so that one new file does not shift all the others.
      const name = path === 'inputs' ? (inner as { path: string }).path : key;
      flatten(inner, path === '' ? name : `${path}.${name}`, into);
    }
  } else {
    into.set(path, JSON.stringify(value));
  }
  return into;
}
