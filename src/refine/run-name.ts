/** What a run is called outside of its output: on a board, in metrics and logs. */
import { runNameAt } from '../work/open-output.ts';
import { runIdOf } from './ledger.ts';
import type { RunIdentity } from './run-identity.ts';

/** Names a run in its output: equal for all workers that see it at the same place. */
export function runNameOf(identity: RunIdentity, out: string): string {
  return runNameAt(runIdOf(identity), out);
}
