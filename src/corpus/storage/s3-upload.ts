/**
 * Writing an object of a bucket as a stream: in parts, some of them under way at a time; what fits one part is written
 * at once. The object is there whole when {@link S3Upload.close} resolves, and not at all before.
 */
import { bucketOf } from './s3.ts';
import { S3Objects } from './s3-objects.ts';

/** S3 takes parts of 5 MiB and more, but for the last one; at most 10,000. */
const FIRST_PART_BYTES = 8 * 2 ** 20;
const PARTS_OF_A_SIZE = 1000;
const PARTS_AT_ONCE = 3;

interface Part {
  readonly PartNumber: number;
  readonly ETag: string | undefined;
}

/** See the file's header. */
export class S3Upload {
  readonly #path: string;
  readonly #objects = new S3Objects();
  #uploadId: string | undefined;
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  readonly #parts: Promise<Part>[] = [];
  #underWay: Promise<Part>[] = [];

  constructor(path: string) {
    bucketOf(path);
    this.#path = path;
  }

  /** Takes a copy of the bytes. @throws STORAGE_* */
  async write(bytes: Uint8Array): Promise<void> {
    this.#pending.push(Uint8Array.from(bytes));
    this.#pendingBytes += bytes.byteLength;
    if (this.#pendingBytes >= this.#partBytes()) await this.#send();
  }

  /** @throws STORAGE_* */
  async close(): Promise<void> {
    const place = bucketOf(this.#path);
    if (this.#uploadId === undefined) {
      const Body = this.#take();
      await this.#objects.ask(
        this.#path,
        ({ sdk, client }) => client.send(new sdk.PutObjectCommand({ ...place, Body })),
        Body.byteLength,
      );
      return;
    }
    if (this.#pendingBytes > 0) await this.#send();
    const Parts = await Promise.all(this.#parts);
    const UploadId = this.#uploadId;
    await this.#objects.ask(this.#path, ({ sdk, client }) =>
      client.send(
        new sdk.CompleteMultipartUploadCommand({ ...place, UploadId, MultipartUpload: { Parts } }),
      ),
    );
  }

  /** Gives up: nothing of it is left. */
  async abort(): Promise<void> {
    await Promise.allSettled(this.#parts);
    const UploadId = this.#uploadId;
    if (UploadId === undefined) return;
    await this.#objects
      .ask(this.#path, ({ sdk, client }) =>
        client.send(new sdk.AbortMultipartUploadCommand({ ...bucketOf(this.#path), UploadId })),
      )
      .catch(() => undefined);
  }

  /** Doubled now and then, so that any length fits the count of parts. */
  #partBytes(): number {
    return FIRST_PART_BYTES * 2 ** Math.floor(this.#parts.length / PARTS_OF_A_SIZE);
  }

  #take(): Buffer {
    const body = Buffer.concat(this.#pending, this.#pendingBytes);
    this.#pending = [];
    this.#pendingBytes = 0;
    return body;
  }

  async #send(): Promise<void> {
    const place = bucketOf(this.#path);
    if (this.#uploadId === undefined) {
      const { UploadId } = await this.#objects.ask(this.#path, ({ sdk, client }) =>
        client.send(new sdk.CreateMultipartUploadCommand(place)),
      );
      this.#uploadId = UploadId;
    }
    const UploadId = this.#uploadId;
    const PartNumber = this.#parts.length + 1;
    const Body = this.#take();
    const part = this.#objects
      .ask(
        this.#path,
        ({ sdk, client }) =>
          client.send(new sdk.UploadPartCommand({ ...place, UploadId, PartNumber, Body })),
        Body.byteLength,
      )
      .then(({ ETag }): Part => ({ PartNumber, ETag }));
    part.catch(() => undefined);
    this.#parts.push(part);
    this.#underWay.push(part);
    if (this.#underWay.length >= PARTS_AT_ONCE) await this.#underWay.shift();
  }
}
