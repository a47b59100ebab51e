/** Waits of tests, each with a bound and with words for what was waited for: one that never ends says nothing. */

const LOOK_MS = 50;
const DETAIL_MS = 20_000;

export const sleep = (ms: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, ms));

/** Facts for a wait that came to nothing. */
export type Detail = () => Promise<string> | string;

async function failed(what: string, ms: number, detail: Detail | undefined): Promise<Error> {
  const late = sleep(DETAIL_MS).then(() => `no more is known: asking took ${DETAIL_MS / 1000} s`);
  const known = detail ? Promise.resolve().then(detail) : '';
  const facts = await Promise.race([known, late]).catch((error: unknown) => String(error));
  return new Error(`waited ${ms / 1000} s for ${what}${facts === '' ? '' : `\n${facts}`}`);
}

/** What comes of work in time. */
export async function within<T>(
  ms: number,
  what: string,
  work: Promise<T>,
  detail?: Detail,
): Promise<T> {
  const late = Symbol('late');
  let timer: NodeJS.Timeout | undefined;
  const bound = new Promise<typeof late>((resolve) => {
    timer = setTimeout(() => resolve(late), ms);
  });
  try {
    const first = await Promise.race([work, bound]);
    if (first === late) throw await failed(what, ms, detail);
    return first;
  } finally {
    clearTimeout(timer);
  }
}

/** Looks until it is so. The bound begins anew with every change of `measure`, where there is one. */
export async function until(
  ms: number,
  what: string,
  isSo: () => Promise<boolean> | boolean,
  detail?: Detail,
  measure: () => unknown = () => null,
): Promise<void> {
  let last: unknown = Symbol('none');
  let sinceMs = performance.now();
  while (!(await isSo())) {
    const now = measure();
    if (now !== last) {
      last = now;
      sinceMs = performance.now();
    }
    if (performance.now() - sinceMs > ms) throw await failed(what, ms, detail);
    await sleep(LOOK_MS);
  }
}
