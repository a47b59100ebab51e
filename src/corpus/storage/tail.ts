/** Reading the end of a file at one go: footers are asked for in pieces, and a bucket answers each piece late. */
import type { RangedFile } from './types.ts';

/** Footers of most files fit. */
const TAIL_BYTES = 2 ** 18;

/** The same file; what lies in its last bytes is read with one request, the first time that any of it is asked for. */
export function withTail(file: RangedFile): RangedFile {
  const tailStart = Math.max(0, file.bytes - TAIL_BYTES);
  let tail: Promise<Uint8Array> | null = null;
  return {
    ...file,
    close: () => file.close(),
    async read(start, length, signal) {
      if (start < tailStart) return file.read(start, length, signal);
      tail ??= file.read(tailStart, file.bytes - tailStart, signal);
      return (await tail).slice(start - tailStart, start - tailStart + length);
    },
  };
}
