/** What a run is called outside of its output: on a board, in metrics and logs. */
import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import { remoteScheme } from '../corpus/storage/addresses.ts';
import { outputAddress } from '../work/open-output.ts';
import { runIdOf } from './ledger.ts';
import type { RunIdentity } from './run-identity.ts';

/** An output as others are told of it: the same from every working folder, and without what it takes to get in. */
export function placeOf(out: string): string {
  return remoteScheme(out) === null ? resolve(out) : outputAddress(out);
}

/** Names a run in its output: equal for all workers that see it at the same place. */
export function runNameOf(identity: RunIdentity, out: string): string {
  return createHash('sha256')
    .update(`${runIdOf(identity)}\n${placeOf(out)}`)
    .digest('hex')
    .slice(0, 12);
}
