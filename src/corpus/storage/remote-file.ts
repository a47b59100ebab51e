/**
 * Ranges of a file behind a network, from answers that may be late, short, cut or of another file.
 *
 * Invariants
 *  1. A range is whole or it is an error: a body that ends early is gone on with where it ended.
 *  2. Every answer is of the version that was opened; another one is CORPUS_CHANGED, at once.
 *  3. More bytes than were asked for are not taken.
 */
import { GristmillError, isGristmillError } from '../../errors.ts';
import { connectionFault, inTime, PassingFault, Retrying, type RetryPolicy } from './retry.ts';
import type { RangedFile, StoredFile } from './types.ts';

/** An answer to a question for a range. */
export interface RangeAnswer {
  /** Null where the answer does not say. */
  readonly version: string | null;
  readonly body: AsyncIterable<Uint8Array>;
  /** Hangs up. */
  cancel(): void;
}

/**
 * Asks for the bytes `[start, end)` once.
 *
 * @throws PassingFault, connection failures; coded errors for what will not pass
 */
export type AskRange = (start: number, end: number, signal: AbortSignal) => Promise<RangeAnswer>;

/** The error about a file that is another one by now. */
export function changedError(file: string, reason: string): GristmillError {
  return new GristmillError('CORPUS_CHANGED', { file, reason });
}

/** A file over its questions. */
export function remoteFile(file: StoredFile, ask: AskRange, policy: RetryPolicy): RangedFile {
  return {
    ...file,
    changedMs: 0,
    async read(start, length, signal) {
      const end = Math.min(start + length, file.bytes);
      const bytes = new Uint8Array(Math.max(0, end - start));
      const retrying = new Retrying(file.path, policy, signal);
      for (let done = 0; done < bytes.byteLength; ) {
        const before = done;
        try {
          const rest = bytes.subarray(before);
          await readOnce(file, ask, start + before, rest, policy, signal, (nBytes) => {
            done = before + nBytes;
          });
        } catch (error) {
          if (isGristmillError(error)) throw error;
          if (done > before) retrying.progressed();
          await retrying.failed(passingOf(error));
        }
      }
      return bytes;
    },
    close: async () => undefined,
  };
}

/** Fills `into` from one answer. @param got told how many bytes are there after each piece */
async function readOnce(
  file: StoredFile,
  ask: AskRange,
  start: number,
  into: Uint8Array,
  { stallMs }: RetryPolicy,
  signal: AbortSignal | undefined,
  got: (nBytes: number) => void,
): Promise<void> {
  const hangUp = new AbortController();
  const both = signal ? AbortSignal.any([signal, hangUp.signal]) : hangUp.signal;
  let answer: RangeAnswer | null = null;
  try {
    answer = await inTime(ask(start, start + into.byteLength, both), stallMs);
    if (answer.version !== null && file.version !== '' && answer.version !== file.version) {
      throw changedError(file.path, 'another version of it came in the middle of a read');
    }
    let nBytes = 0;
    const pieces = answer.body[Symbol.asyncIterator]();
    while (nBytes < into.byteLength) {
      const { done, value } = await inTime(pieces.next(), stallMs);
      if (done) {
        const place = `${nBytes} of ${into.byteLength} bytes from byte ${start}`;
        throw new PassingFault(`the answer ended after ${place}`);
      }
      const piece = value.subarray(0, into.byteLength - nBytes);
      into.set(piece, nBytes);
      nBytes += piece.byteLength;
      got(nBytes);
    }
    // An answer that has ended gives its connection back; one that goes on is hung up.
    const { done } = await inTime(pieces.next(), stallMs);
    if (!done) answer.cancel();
  } catch (error) {
    hangUp.abort();
    answer?.cancel();
    throw error;
  }
}

/** Failures of connections pass; what is none of them is what it is. */
export function passingOf(error: unknown): unknown {
  if (error instanceof PassingFault) return error;
  const fault = connectionFault(error);
  return fault === null ? error : new PassingFault(fault, null, { cause: error });
}
