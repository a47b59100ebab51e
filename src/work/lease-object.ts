/**
 * A lease kept as an object of a bucket: made where there is none (`If-None-Match: *`), replaced and kept alive under its
 * version (`If-Match`). A sign of life is a rewrite with the next number; who cannot rewrite has lost the lease.
 *
 *     {"holder": CONTENT, "beat": 17}
 */
import type { S3Objects } from '../corpus/storage/s3-objects.ts';
import type { LeaseStore, LeaseView } from './lease-store.ts';

/** A request a second would cost more than it tells. */
const MIN_BEAT_MS = 5_000;
const LOOK_MS = 1_000;

/** @param writable resolves once the bucket is known to keep conditions */
export function leaseObject(
  objects: S3Objects,
  path: string,
  writable: () => Promise<void>,
): LeaseStore {
  /** What we have written last. */
  let own: { readonly content: string; readonly version: string; readonly beat: number } | null =
    null;
  let writing: Promise<unknown> = Promise.resolve();
  const find = async (): Promise<(LeaseView & { readonly version: string }) | null> => {
    const found = await objects.read(path);
    return found && { ...viewIn(found.content), version: found.version };
  };
  const kept = (content: string, version: string | null): boolean => {
    if (version === null) return false;
    own = { content, version, beat: 0 };
    return true;
  };
  const beatOnce = async (): Promise<void> => {
    if (!own) return;
    const beat = own.beat + 1;
    const version = await objects.putIf(path, textOf(own.content, beat), {
      ifVersion: own.version,
    });
    own = version === null ? null : { content: own.content, version, beat };
  };
  return {
    lookMs: LOOK_MS,
    read: find,
    async create(content) {
      await writable();
      return kept(content, await objects.putIf(path, textOf(content, 0), { ifAbsent: true }));
    },
    async replace(seen, content, isStale) {
      await writable();
      const found = await find();
      if (!found || found.content !== seen || !isStale(found)) return false;
      const condition = { ifVersion: found.version };
      return kept(content, await objects.putIf(path, textOf(content, 0), condition));
    },
    async remove(content) {
      await writing;
      own = null;
      if ((await find())?.content === content) await objects.remove(path);
    },
    // A bucket that does not answer says nothing of who has it; what is committed is held by conditions of its own.
    held: () => own && { content: own.content, beat: String(own.beat) },
    beat(periodMs) {
      const timer = setInterval(
        () => {
          writing = writing.then(beatOnce).catch(() => undefined);
        },
        Math.max(periodMs, MIN_BEAT_MS),
      );
      timer.unref();
      return () => clearInterval(timer);
    },
  };
}

function textOf(holder: string, beat: number): string {
  return JSON.stringify({ holder, beat });
}

function viewIn(text: string): LeaseView {
  try {
    const { holder, beat } = JSON.parse(text) as { holder: unknown; beat: unknown };
    if (typeof holder === 'string') return { content: holder, beat: String(beat) };
  } catch {
    // Torn, or of somebody else's: a holder that gives no sign.
  }
  return { content: text, beat: '' };
}
