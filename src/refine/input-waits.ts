/**
 * Inputs that others write while they are read: nothing that comes of them is no standing still.
 */
import { statSync } from 'node:fs';
import type { RunPlace } from './run-place.ts';

/** The same batches; waits for those of standard input, of a FIFO or of a device are marked. */
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
  return path !== '-' && statSync(path, { throwIfNoEntry: false })?.isFile() !== false;
}
