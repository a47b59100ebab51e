/**
 * What the corpus room asks of a place that holds files, whatever it is: sizes and versions, ranges of bytes, listings.
 *
 * An address names a file: a local path, `s3://BUCKET/KEY`, `https://…`, `hf://datasets/OWNER/NAME/PATH`. Addresses that
 * leave this room carry no secrets (addresses.ts).
 */

/** A file as its storage knows it. */
export interface StoredFile {
  readonly path: string;
  readonly bytes: number;
  /** Another one for other content: an ETag, what a hub has for it, time and inode of a local file; empty: nobody tells. */
  readonly version: string;
  /** SHA-256 of the content, where the storage has it. */
  readonly sha256: string | null;
}

/** A file that is open for reading at any place. */
export interface RangedFile extends StoredFile {
  /** Milliseconds of its last change, rounded; 0 where {@link StoredFile.version} says all. */
  readonly changedMs: number;
  /**
   * Bytes from `start` on; fewer than `length` only where the file ends.
   *
   * @throws CORPUS_CHANGED when it is another file by now; STORAGE_*, CORPUS_READ_FAILED, ABORTED
   */
  read(start: number, length: number, signal?: AbortSignal): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** A place that files are read from. */
export interface ReadStorage {
  /** Null for what is not there. @throws STORAGE_*, ABORTED */
  stat(path: string, signal?: AbortSignal): Promise<StoredFile | null>;
  /** Opens what {@link ReadStorage.stat} or a listing has found. */
  open(file: StoredFile): Promise<RangedFile>;
  /**
   * Files whose addresses begin with `prefix`, in no order; null where there are no listings.
   *
   * @throws STORAGE_*, ABORTED
   */
  readonly list: ((prefix: string, signal?: AbortSignal) => AsyncIterable<StoredFile>) | null;
}
