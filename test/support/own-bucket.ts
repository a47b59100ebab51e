/** A bucket for the tests of one file: a server, and this process's own S3 client on it. */
import { afterAll, afterEach, beforeAll } from 'vitest';
import { closeS3, openS3 } from '../../src/corpus/storage/s3.ts';
import type { S3Server } from './s3-server.ts';

/** Call it in a `describe`, before hooks that need the bucket. Faults of a test end with it. */
export function useBucket(server: S3Server, bucket: string): void {
  const before = { ...process.env };
  beforeAll(async () => {
    await server.start();
    Object.assign(process.env, server.environment);
    const { sdk, client } = await openS3();
    await client.send(new sdk.CreateBucketCommand({ Bucket: bucket }));
  });
  afterEach(() => {
    server.fault = () => null;
  });
  afterAll(async () => {
    await closeS3();
    await server.stop();
    process.env = before;
  });
}

/** Puts an object there. */
export async function putObject(
  bucket: string,
  key: string,
  body: Uint8Array | string,
): Promise<void> {
  const { sdk, client } = await openS3();
  await client.send(new sdk.PutObjectCommand({ Bucket: bucket, Key: key, Body: body }));
}
