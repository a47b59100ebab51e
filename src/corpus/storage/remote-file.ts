/**
 * Ranges of a file behind a network, from answers that may be late, short, cut or of another file.
 *
 * Invariants
 *  1. A range is whole or it is an error: a body that ends early is gone on with where it ended.
 *  2. Every answer is of the version that was opened; another one is CORPUS_CHANGED, at once.
 *  3. More bytes than were asked for are not taken.
 */
import type { Readable } from 'node:stream';
import { GristmillError, isGristmillError } from '../../errors.ts';
import { connectionFault, inTime, PassingFault, Retrying, type RetryPolicy } from './retry.ts';
import type { RangedFile, StoredFile } from './types.ts';

/** An answer to a question for a range. */
export interface RangeAnswer {
  /** Null where the answer does not say. */
  readonly version: string | null;
  readonly body: Readable;
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
    const { nBytes, isEnded } = await fill(into, answer.body, stallMs, got);
    if (nBytes < into.byteLength) {
      const place = `${nBytes} of ${into.byteLength} bytes from byte ${start}`;
      throw new PassingFault(`the answer ended after ${place}`);
    }
    // An answer that has ended gives its connection back; one that goes on is hung up.
    if (!isEnded) answer.cancel();
  } catch (error) {
    hangUp.abort();
    answer?.cancel();
    throw error;
  }
}

/**
 * Pieces into their places as they come: an iterator and a timer for each cost a sixth more of a processor's time.
 *
 * @returns when the body has ended, or has more than there is room for
 * @throws PassingFault when nothing comes for `stallMs`; what the body fails of
 */
function fill(
  into: Uint8Array,
  body: Readable,
  stallMs: number,
  got: (nBytes: number) => void,
): Promise<{ readonly nBytes: number; readonly isEnded: boolean }> {
  return new Promise((resolve, reject) => {
    let nBytes = 0;
    const take = (piece: Uint8Array): void => {
      timer.refresh();
      const room = into.byteLength - nBytes;
      into.set(piece.byteLength > room ? piece.subarray(0, room) : piece, nBytes);
      nBytes += Math.min(room, piece.byteLength);
      got(nBytes);
      if (piece.byteLength > room) leave(() => resolve({ nBytes, isEnded: false }));
    };
    const end = (): void => leave(() => resolve({ nBytes, isEnded: true }));
    const fail = (error: unknown): void => leave(() => reject(error));
    // After an end or an error this comes too, and says nothing new.
    const close = (): void => fail(new PassingFault('the connection was closed'));
    const leave = (then: () => void): void => {
      clearTimeout(timer);
      body.off('data', take).off('end', end).off('error', fail).off('close', close);
      then();
    };
    const timer = setTimeout(
      () => fail(new PassingFault(`nothing came in ${stallMs / 1000} s`)),
      stallMs,
    );
    body.on('data', take).on('end', end).on('error', fail).on('close', close);
    if (body.destroyed) close();
  });
}

/** Failures of connections pass; what is none of them is what it is. */
export function passingOf(error: unknown): unknown {
  if (error instanceof PassingFault) return error;
  const fault = connectionFault(error);
  return fault === null ? error : new PassingFault(fault, null, { cause: error });
}
