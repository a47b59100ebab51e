/**
 * Small objects of a bucket under conditions, and the files of an output: what a shared ledger is built on
 * (work/output-bucket.ts).
 *
 * A condition that is asked twice, as after an answer that was lost, fails the second time although the first was kept:
 * so what was written is read again before a failed condition is believed. Contents have to be of their writer alone for that
 * (a token, the name of an attempt), or equal for all.
 */
import { randomUUID } from 'node:crypto';
import { GristmillError, isGristmillError } from '../../errors.ts';
import { passingOf } from './remote-file.ts';
import { PassingFault, RETRY_DEFAULTS, type RetryPolicy, retried } from './retry.ts';
import { askInTime, bucketOf, type OpenS3, versionOf } from './s3.ts';
import { refusalOf, s3Fault } from './s3-faults.ts';

/** An object's content and what it is called for conditions. */
export interface S3Object {
  readonly content: string;
  readonly version: string;
}

/** When a write is done: nothing is there, or what is there has a version. */
export type Condition = { readonly ifAbsent: true } | { readonly ifVersion: string };

/** Larger objects are copied in parts. */
const MAX_COPY_BYTES = 5 * 2 ** 30;
const COPY_PART_BYTES = 2 ** 30;
/** Bodies that go slower than so many bytes in a millisecond are given up, and copies inside of the storage. */
const MIN_SENT_PER_MS = 50;
const MIN_COPIED_PER_MS = 5_000;

/** Objects below one address. */
export class S3Objects {
  readonly #policy: RetryPolicy;

  constructor(policy: RetryPolicy = RETRY_DEFAULTS) {
    this.#policy = policy;
  }

  /**
   * Asks until there is an answer.
   *
   * @param bytes that are sent along, for which an answer is waited for longer
   * @throws STORAGE_*, CORPUS_CHANGED for a condition that does not hold
   */
  ask<T>(path: string, question: (s3: OpenS3) => Promise<T>, bytes = 0): Promise<T> {
    return this.#askFor(path, bytes / MIN_SENT_PER_MS, question);
  }

  #askFor<T>(path: string, moreMs: number, question: (s3: OpenS3) => Promise<T>): Promise<T> {
    return retried(path, this.#policy, undefined, async () => {
      try {
        return await askInTime(this.#policy.stallMs + moreMs, undefined, question);
      } catch (error) {
        // Two writers at once: S3 asks the one to come again.
        if (refusalOf(error).name === 'ConditionalRequestConflict') throw new PassingFault('409');
        throw s3Fault(path, passingOf(error));
      }
    });
  }

  /** Null for what is not there. @throws STORAGE_* */
  async read(path: string): Promise<S3Object | null> {
    try {
      return await this.ask(path, async ({ sdk, client }) => {
        const got = await client.send(new sdk.GetObjectCommand(bucketOf(path)));
        const content = (await got.Body?.transformToString()) ?? '';
        if (Buffer.byteLength(content) < (got.ContentLength ?? 0)) {
          throw new PassingFault('the answer is short');
        }
        return { content, version: versionOf(got.ETag) };
      });
    } catch (error) {
      if (isGristmillError(error, 'STORAGE_NOT_FOUND') && !isNoBucket(error)) return null;
      throw error;
    }
  }

  /** Writes it whatever is there. @returns its version */
  async put(path: string, content: string | Uint8Array): Promise<string> {
    const question = async ({ sdk, client }: OpenS3): Promise<string> => {
      const put = new sdk.PutObjectCommand({ ...bucketOf(path), Body: content });
      return versionOf((await client.send(put)).ETag);
    };
    return this.ask(path, question, Buffer.byteLength(content));
  }

  /** Writes it under a condition. @returns its version; null when the condition does not hold */
  async putIf(path: string, content: string, condition: Condition): Promise<string | null> {
    try {
      return await this.ask(path, async ({ sdk, client }) => {
        const header =
          'ifAbsent' in condition ? { IfNoneMatch: '*' } : { IfMatch: `"${condition.ifVersion}"` };
        const put = new sdk.PutObjectCommand({ ...bucketOf(path), Body: content, ...header });
        return versionOf((await client.send(put)).ETag);
      });
    } catch (error) {
      const isRefused = isGristmillError(error, 'CORPUS_CHANGED');
      // A version that is to be replaced may be gone altogether.
      const isGone = isGristmillError(error, 'STORAGE_NOT_FOUND') && !isNoBucket(error);
      if (!isRefused && !isGone) throw error;
      const found = isRefused ? await this.read(path) : null;
      return found?.content === content ? found.version : null;
    }
  }

  async remove(path: string): Promise<void> {
    await this.ask(path, ({ sdk, client }) =>
      client.send(new sdk.DeleteObjectCommand(bucketOf(path))),
    );
  }

  /** Removes it if it has this version still (`If-Match`). @returns whether it had */
  async removeIf(path: string, version: string): Promise<boolean> {
    try {
      await this.ask(path, ({ sdk, client }) =>
        client.send(new sdk.DeleteObjectCommand({ ...bucketOf(path), IfMatch: `"${version}"` })),
      );
      return true;
    } catch (error) {
      const isGone = isGristmillError(error, 'STORAGE_NOT_FOUND') && !isNoBucket(error);
      if (isGone || isGristmillError(error, 'CORPUS_CHANGED')) return false;
      throw error;
    }
  }

  /** Bytes of an object; null where there is none. */
  async bytesOf(path: string): Promise<number | null> {
    try {
      const head = await this.ask(path, ({ sdk, client }) =>
        client.send(new sdk.HeadObjectCommand(bucketOf(path))),
      );
      return head.ContentLength ?? 0;
    } catch (error) {
      if (isGristmillError(error, 'STORAGE_NOT_FOUND')) return null;
      throw error;
    }
  }

  /** Addresses that begin with `prefix`. @param isFlat whether only those without a further `/` */
  async *list(prefix: string, isFlat = false): AsyncGenerator<string> {
    const { Bucket, Key } = bucketOf(prefix);
    for (let token: string | undefined; ; ) {
      const page = await this.ask(prefix, ({ sdk, client }) =>
        client.send(
          new sdk.ListObjectsV2Command({
            Bucket,
            Prefix: Key,
            ...(isFlat && { Delimiter: '/' }),
            ...(token !== undefined && { ContinuationToken: token }),
          }),
        ),
      );
      for (const { Key: key } of page.Contents ?? []) {
        if (key !== undefined) yield `s3://${Bucket}/${key}`;
      }
      const next = page.IsTruncated ? page.NextContinuationToken : undefined;
      if (next === undefined || next === token) return;
      token = next;
    }
  }

  /** Copies inside of the storage. @returns false when there is nothing to copy */
  async copy(from: string, to: string, bytes: number): Promise<boolean> {
    const source = bucketOf(from);
    const CopySource = `${source.Bucket}/${source.Key.split('/').map(encodeURIComponent).join('/')}`;
    try {
      if (bytes <= MAX_COPY_BYTES) {
        await this.#askFor(to, bytes / MIN_COPIED_PER_MS, ({ sdk, client }) =>
          client.send(new sdk.CopyObjectCommand({ ...bucketOf(to), CopySource })),
        );
      } else await this.#copyInParts(CopySource, to, bytes);
      return true;
    } catch (error) {
      if (isGristmillError(error, 'STORAGE_NOT_FOUND') && !isNoBucket(error)) return false;
      throw error;
    }
  }

  async #copyInParts(CopySource: string, to: string, bytes: number): Promise<void> {
    const place = bucketOf(to);
    const { UploadId } = await this.ask(to, ({ sdk, client }) =>
      client.send(new sdk.CreateMultipartUploadCommand(place)),
    );
    const Parts: { PartNumber: number; ETag: string | undefined }[] = [];
    for (let start = 0; start < bytes; start += COPY_PART_BYTES) {
      const PartNumber = Parts.length + 1;
      const CopySourceRange = `bytes=${start}-${Math.min(bytes, start + COPY_PART_BYTES) - 1}`;
      const moreMs = COPY_PART_BYTES / MIN_COPIED_PER_MS;
      const { CopyPartResult } = await this.#askFor(to, moreMs, ({ sdk, client }) =>
        client.send(
          new sdk.UploadPartCopyCommand({
            ...place,
            UploadId,
            PartNumber,
            CopySource,
            CopySourceRange,
          }),
        ),
      );
      Parts.push({ PartNumber, ETag: CopyPartResult?.ETag });
    }
    await this.ask(to, ({ sdk, client }) =>
      client.send(
        new sdk.CompleteMultipartUploadCommand({ ...place, UploadId, MultipartUpload: { Parts } }),
      ),
    );
  }

  /**
   * Makes sure that conditions are kept, by trying them on an object of its own.
   *
   * @throws STORAGE_NO_CONDITIONS, STORAGE_*
   */
  async checkConditions(folder: string): Promise<void> {
    const path = `${folder}probe-${randomUUID()}`;
    const refuse = (reason: string, cause?: unknown): never => {
      throw new GristmillError('STORAGE_NO_CONDITIONS', { path: folder, reason }, { cause });
    };
    try {
      if ((await this.putIf(path, 'first', { ifAbsent: true })) === null) refuse('If-None-Match');
      if ((await this.putIf(path, 'second', { ifAbsent: true })) !== null) {
        refuse('a second write with If-None-Match: * took the place of the first');
      }
      if ((await this.putIf(path, 'third', { ifVersion: '0'.repeat(32) })) !== null) {
        refuse('a write with the If-Match of another version was done');
      }
    } catch (error) {
      const isUnknown =
        isGristmillError(error, 'STORAGE_FAILED') &&
        /status (400|405|501)\b/.test(String(error.details['reason']));
      if (isUnknown) refuse(String(error.details['reason']), error);
      throw error;
    } finally {
      await this.remove(path).catch(() => undefined);
    }
  }
}

function isNoBucket({ details }: GristmillError): boolean {
  return String(details['reason']).includes('bucket');
}
