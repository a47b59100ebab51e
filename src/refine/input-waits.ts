/**
 * Inputs that others write while they are read: nothing that comes of them is no standing still.
 */
import { statSync } from 'node:fs';
import { remoteScheme } from '../corpus/storage/addresses.ts';
import type { RunPlace } from './run-place.ts';

/** The same batches; waits for those of standard input, of a FIFO, of a device or of a network are marked. */
export function pulledFrom<Batch>(
  path: string,
  batches: AsyncGenerator<Batch>,
  place: RunPlace,
): AsyncGenerator<Batch> {
  return isFile(path) ? batches : marked(batches, place);
}

async function* marked<Batch>(
  batches: AsyncGenerator<Batch>,
  place: RunPlace,
): AsyncGenerator<Batch> {
  try {
    for (;;) {
      const next = await place.waiting('input', () => batches.next());
      if (next.done) return;
      yield next.value;
    }
  } finally {
    await batches.return(undefined);
  }
}

function isFile(path: string): boolean {
  // A bucket that is down is waited for within bounds of its own.
  if (remoteScheme(path) !== null) return false;
  return path !== '-' && statSync(path, { throwIfNoEntry: false })?.isFile() !== false;
}
