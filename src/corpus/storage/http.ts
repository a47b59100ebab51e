/**
 * Files behind `http://` and `https://` addresses. An address is one file: there are no listings. User info and signed
 * queries are sent, and never shown (addresses.ts).
 */

import { GristmillError } from '../../errors.ts';
import { wholeAddress } from './addresses.ts';
import { askHttp } from './http-range.ts';
import { passingOf, remoteFile } from './remote-file.ts';
import { inTime, RETRY_DEFAULTS, type RetryPolicy, retried } from './retry.ts';
import type { ReadStorage } from './types.ts';

/** Files of web servers. */
export function httpStorage(policy: RetryPolicy = RETRY_DEFAULTS): ReadStorage {
  return {
    async stat(path, signal) {
      try {
        return await retried(path, policy, signal, async () => {
          const hangUp = new AbortController();
          const both = signal ? AbortSignal.any([signal, hangUp.signal]) : hangUp.signal;
          try {
            // Not HEAD: an address may be signed for GET alone, and ranges have to be known anyway.
            const asking = askHttp({ path, url: wholeAddress(path), signal: both }, 0, 1);
            const { file } = await inTime(asking, policy.stallMs);
            return { path, bytes: file.bytes, version: file.version, sha256: null };
          } catch (error) {
            throw passingOf(error);
          } finally {
            hangUp.abort();
          }
        });
      } catch (error) {
        if (error instanceof GristmillError && error.code === 'STORAGE_NOT_FOUND') return null;
        throw error;
      }
    },
    async open(file) {
      const { path, version } = file;
      const ask = (start: number, end: number, signal: AbortSignal) =>
        askHttp({ path, url: wholeAddress(path), version, signal }, start, end);
      return remoteFile(file, ask, policy);
    },
    list: null,
  };
}
