/**
 * The end of a sweep that several workers have carried out on one folder: every proxy of its plan is finished, what killed
 * workers left is gone, and the table of losses has all of them.
 */
import { GristmillError } from '../../errors.ts';
import type { OnProgress } from '../../progress.ts';
import type { TakeLeaseOptions } from '../../work/lease.ts';
import { identityIn, WORKERS } from '../../work/ledger-claim.ts';
import { MAX_MISSING, removeLeftovers, removeOrphans } from '../../work/leftovers.ts';
import { outputStore } from '../../work/open-output.ts';
import type { OutputStore } from '../../work/output-store.ts';
import {
  fileNameOf,
  readSweepPlan,
  SWEEP_LAYOUT,
  type SweepIdentity,
  SweepLedger,
} from './sweep-ledger.ts';

/** Options of {@link finishSweep}. */
export interface FinishSweepOptions extends TakeLeaseOptions {
  /** Told how many finished proxies are read. */
  readonly onProgress?: OnProgress | undefined;
}

/** What {@link finishSweep} found. */
export interface SweepEnd {
  readonly out: string;
  /** The table of losses; null while nothing is finished. */
  readonly losses: string | null;
  /** Proxies of the plan. */
  readonly units: number;
  readonly unitsDone: number;
  /** Indices of mixtures that nobody has trained: the first {@link MAX_MISSING}. */
  readonly missing: readonly string[];
  /** Trajectories of no finished proxy, and removed. */
  readonly orphans: number;
  /** What workers said of proxies that are missing. */
  readonly failures: readonly {
    readonly run: string;
    readonly code: string;
    readonly message: string;
  }[];
}

/**
 * Checks that every proxy of a sweep is finished, removes what belongs to none, and writes the table of losses.
 *
 * @throws RUN_NOT_FOUND, RUN_OUTPUT_IN_USE while a worker lives, RUN_LEDGER_INVALID, MIXTURE_WRITE_FAILED, ABORTED
 */
export async function finishSweep(
  out: string,
  { onProgress, ...options }: FinishSweepOptions = {},
): Promise<SweepEnd> {
  const store = await outputStore(out, SWEEP_LAYOUT);
  const { out: shown } = store;
  const [found, plan] = [await store.read(SWEEP_LAYOUT.runFile), await readSweepPlan(store)];
  if (found === null || plan === null) {
    throw new GristmillError('RUN_NOT_FOUND', { path: shown, kinds: 'mix train' });
  }
  const ledger = await SweepLedger.open(out, identityIn<SweepIdentity>(store, found), plan, {
    ...options,
    onChecked: onProgress,
  });
  try {
    const failures = await failuresIn(store);
    await ledger.writeLosses();
    const { finished } = ledger;
    const names = new Set([...finished.keys()].map((id) => `trajectories/${fileNameOf(id)}.jsonl`));
    const orphans = await removeOrphans(store, (path) => names.has(path));
    const missing = plan.ids.filter((id) => !finished.has(id));
    await removeLeftovers(store, missing.length === 0);
    return {
      out: shown,
      losses: finished.size > 0 ? ledger.losses : null,
      units: plan.ids.length,
      unitsDone: plan.ids.length - missing.length,
      missing: missing.slice(0, MAX_MISSING),
      orphans,
      failures: failures.filter(({ run }) => !finished.has(run)),
    };
  } catch (error) {
    throw ledger.explain(error);
  } finally {
    await ledger.close();
  }
}

/** What workers of a static split could not do; a summary that was cut tells nothing. */
async function failuresIn(store: OutputStore): Promise<SweepEnd['failures']> {
  const failures = new Map<string, SweepEnd['failures'][number]>();
  for (const name of await store.list(WORKERS)) {
    if (!name.endsWith('.json')) continue;
    try {
      const text = (await store.read(`${WORKERS}/${name}`)) ?? '{}';
      const said = (JSON.parse(text) as { failures?: SweepEnd['failures'] }).failures ?? [];
      for (const failure of said) failures.set(failure.run, failure);
    } catch {
      // What is missing is found without it.
    }
  }
  return [...failures.values()];
}
