/** How a run knows that it is the run that was begun: by the bytes of its files and the values of its settings. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { GristmillError } from './errors.ts';

/** SHA-256 of a file that a run depends on. @throws CORPUS_READ_FAILED */
export async function hashOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  try {
    for await (const chunk of createReadStream(path)) hash.update(chunk);
  } catch (cause) {
    throw new GristmillError(
      'CORPUS_READ_FAILED',
      { file: path, reason: (cause as Error).message },
      { cause },
    );
  }
  return hash.digest('hex');
}

/** Names every difference of two JSON values as `path: old -> new`; empty when they are the same. */
export function changedKeys(before: unknown, now: unknown, path = ''): string[] {
  const isPlain = (value: unknown): value is Record<string, unknown> =>
    typeof value === 'object' && value !== null;
  if (!isPlain(before) || !isPlain(now)) {
    const what = path === '' ? 'run.json' : path;
    return before === now ? [] : [`${what}: ${JSON.stringify(before)} -> ${JSON.stringify(now)}`];
  }
  const keys = new Set([...Object.keys(before), ...Object.keys(now)]);
  return [...keys].flatMap((key) =>
    changedKeys(before[key], now[key], path === '' ? key : `${path}.${key}`),
  );
}
