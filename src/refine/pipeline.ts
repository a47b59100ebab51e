/**
 * Order-keeping concurrency over async streams: how reading, the engine, execution and writing overlap.
 */

/**
 * Maps a stream with at most `concurrency` calls of `map` under way; results come in the order of their inputs.
 *
 * The source is pulled ahead only as far as calls may start. When a call rejects, or the consumer stops early, the
 * calls under way are awaited before the failure is passed on, so nothing runs on behind the caller's back. When the
 * source fails, the results of what came before it are given first.
 */
export async function* mapOrdered<In, Out>(
  source: AsyncIterable<In>,
  concurrency: number,
  map: (value: In) => Promise<Out>,
): AsyncGenerator<Out> {
  const iterator = source[Symbol.asyncIterator]();
  const underWay: Promise<Out>[] = [];
  let ended = false;
  let failure: { readonly error: unknown } | null = null;
  // Pulling overlaps with the calls: the next input is asked for before the oldest result is awaited.
  let pulling: Promise<IteratorResult<In>> | null = null;
  try {
    for (;;) {
      while (!ended && underWay.length < concurrency) {
        pulling ??= iterator.next();
        const oldest = underWay[0];
        const pull = pulling.then(
          (pulled) => ({ pulled }) as const,
          (error: unknown) => ({ error }) as const,
        );
        const settled =
          oldest === undefined
            ? await pull
            : await Promise.race([
                pull,
                oldest.then(
                  () => 'ready' as const,
                  () => 'ready' as const,
                ),
              ]);
        if (settled === 'ready') break;
        pulling = null;
        if ('error' in settled) {
          ended = true;
          failure = settled;
        } else if (settled.pulled.done) ended = true;
        else {
          const call = map(settled.pulled.value);
          call.catch(() => undefined);
          underWay.push(call);
        }
      }
      const oldest = underWay.shift();
      if (oldest === undefined) {
        if (failure) throw failure.error;
        return;
      }
      yield await oldest;
    }
  } finally {
    await Promise.allSettled(underWay);
    if (!ended) {
      await pulling?.catch(() => undefined);
      await iterator.return?.();
    }
  }
}
