/**
 * Sources of callers: iterables that can be left at any time.
 *
 * An async generator that waits cannot be told to end: its `return()` queues behind the value that it waits for. Who
 * leaves such a source must not wait with it, so leaving settles the pending pull at once and tells the source behind.
 */
import { refuseOption } from '../options.ts';

/** An iterator with {@link leave}. */
export interface LeavableSource<T> extends AsyncIterableIterator<T, undefined> {
  /** Ends the iteration: a pending pull is done at once, the source is closed as soon as it lets itself. */
  leave(): void;
  return(): Promise<IteratorResult<T, undefined>>;
}

/** @throws OPTION_INVALID when `source` cannot be iterated; a string counts as one that cannot */
export function leavable<T>(
  option: string,
  source: AsyncIterable<T> | Iterable<T>,
): LeavableSource<T> {
  const inner = iteratorOf(option, source);
  const done = { done: true, value: undefined } as const;
  let ended = false;
  let settle: (() => void) | null = null;
  const close = async (): Promise<void> => {
    await inner.return?.();
  };
  return {
    next() {
      if (ended) return Promise.resolve(done);
      return new Promise((resolve, reject) => {
        settle = () => resolve(done);
        // What a synchronous iterator throws is a rejection like any other; its promises are awaited.
        (async () => {
          const pulled = await inner.next();
          if (pulled.done) ended = true;
          return pulled.done ? done : { done: false as const, value: await pulled.value };
        })().then(
          (pulled) => {
            settle = null;
            resolve(pulled);
          },
          (error: unknown) => {
            settle = null;
            ended = true;
            reject(error);
          },
        );
      });
    },
    leave() {
      if (ended) return;
      ended = true;
      settle?.();
      close().catch(() => undefined);
    },
    async return() {
      if (ended) return done;
      if (settle) this.leave();
      else {
        ended = true;
        await close();
      }
      return done;
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

function iteratorOf<T>(
  option: string,
  source: AsyncIterable<T> | Iterable<T>,
): Iterator<T | Promise<T>> | AsyncIterator<T> {
  if (typeof source === 'object' && source !== null) {
    if (Symbol.asyncIterator in source) return source[Symbol.asyncIterator]();
    if (Symbol.iterator in source) return source[Symbol.iterator]();
  }
  return refuseOption(option, 'an iterable or an async iterable, such as an array', source);
}
