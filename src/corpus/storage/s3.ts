/**
 * Buckets, of S3 and of whatever speaks like it, through the SDK: its chain of credentials, its endpoint
 * (`AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`), its region. With an endpoint of one's own, paths have the bucket in them.
 *
 * The SDK is loaded with the first address of a bucket. It asks once; trying again is retry.ts.
 */
import type { Readable } from 'node:stream';
import type { S3Client, S3ClientConfig } from '@aws-sdk/client-s3';
import { GristmillError } from '../../errors.ts';
import { libraries } from '../../libraries/index.ts';
import { s3Address } from './addresses.ts';
import { changedError, passingOf, remoteFile } from './remote-file.ts';
import { inTime, RETRY_DEFAULTS, type RetryPolicy, retried } from './retry.ts';
import { s3Fault } from './s3-faults.ts';
import { readingHandler } from './s3-reader.ts';
import type { ReadStorage, StoredFile } from './types.ts';

type Sdk = Awaited<ReturnType<typeof libraries.s3>>;

/** Connections to one endpoint. */
const MAX_SOCKETS = 64;
const CONNECT_MS = 10_000;

/** The SDK and a client of it. */
export interface OpenS3 {
  readonly sdk: Sdk;
  readonly client: S3Client;
  /** The same client, for reading ranges alone. */
  readonly reader: S3Client;
}

let opened: Promise<OpenS3> | null = null;

/** The client of this process. */
export function openS3(): Promise<OpenS3> {
  opened ??= open();
  return opened;
}

/** Forgets the client: tests set other endpoints. */
export async function closeS3(): Promise<void> {
  const closing = opened;
  opened = null;
  const s3 = await closing;
  s3?.client.destroy();
  s3?.reader.destroy();
}

async function open(): Promise<OpenS3> {
  const { env } = process;
  // The version is pinned here; that a later one needs a later Node is nothing that a user of this one can act on.
  env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
  const sdk = await libraries.s3();
  const hasEndpoint = Boolean(env['AWS_ENDPOINT_URL_S3'] || env['AWS_ENDPOINT_URL']);
  // The SDK for JavaScript does not read AWS_DEFAULT_REGION; servers of one's own mostly have no regions.
  const region =
    env['AWS_REGION'] || env['AWS_DEFAULT_REGION'] || (hasEndpoint ? 'us-east-1' : undefined);
  const settings: S3ClientConfig = {
    maxAttempts: 1,
    ...(region && { region }),
    ...(hasEndpoint && { forcePathStyle: true }),
    followRegionRedirects: !hasEndpoint,
    // Servers that speak like S3 do not know the newer sums; bodies are held against lengths and versions here.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    logger: { debug() {}, info() {}, warn() {}, error() {} },
  };
  const agent = { keepAlive: true, maxSockets: MAX_SOCKETS };
  const client = new sdk.S3Client({
    ...settings,
    requestHandler: { connectionTimeout: CONNECT_MS, httpAgent: agent, httpsAgent: agent },
  });
  const requestHandler = readingHandler(MAX_SOCKETS);
  const reader = new sdk.S3Client({
    ...settings,
    credentials: client.config.credentials,
    requestHandler,
  });
  return { sdk, client, reader };
}

/**
 * One question to the client that is given up when nothing comes of it in time: a network that is cut tells nobody.
 *
 * @throws PassingFault; what the client throws
 */
export async function askInTime<T>(
  limitMs: number,
  signal: AbortSignal | undefined,
  question: (s3: OpenS3) => Promise<T>,
): Promise<T> {
  const s3 = await openS3();
  const { client } = s3;
  const givenUp = new AbortController();
  const abortSignal = signal ? AbortSignal.any([signal, givenUp.signal]) : givenUp.signal;
  const send = (command: never, options: object = {}): unknown =>
    (client.send as (command: never, options: object) => unknown).call(client, command, {
      ...options,
      abortSignal,
    });
  try {
    return await inTime(
      question({ ...s3, client: Object.assign(Object.create(client), { send }) as S3Client }),
      limitMs,
    );
  } catch (error) {
    // Only then: the connection of an answer that came may be somebody else's by now.
    givenUp.abort();
    throw error;
  }
}

/** Takes an address apart. @throws STORAGE_ADDRESS_INVALID */
export function bucketOf(path: string): { readonly Bucket: string; readonly Key: string } {
  const found = s3Address(path);
  if (found) return { Bucket: found.bucket, Key: found.key };
  const expected = 's3://BUCKET/KEY';
  throw new GristmillError('STORAGE_ADDRESS_INVALID', { path, expected });
}

/** An ETag without its quotes. */
export function versionOf(etag: string | undefined): string {
  return etag?.replace(/^(W\/)?"|"$/g, '') ?? '';
}

/** Buckets, read. */
export function s3Storage(policy: RetryPolicy = RETRY_DEFAULTS): ReadStorage {
  /** Asks until there is an answer; what fails is coded. */
  const ask = <T>(
    path: string,
    signal: AbortSignal | undefined,
    question: (s3: OpenS3) => Promise<T>,
  ): Promise<T> =>
    retried(path, policy, signal, async () => {
      try {
        return await askInTime(policy.stallMs, signal, question);
      } catch (error) {
        throw s3Fault(path, passingOf(error), signal);
      }
    });
  return {
    async stat(path, signal) {
      const place = bucketOf(path);
      try {
        const head = await ask(path, signal, ({ sdk, client }) =>
          client.send(new sdk.HeadObjectCommand(place)),
        );
        return storedOf(path, head.ContentLength, head.ETag);
      } catch (error) {
        if (error instanceof GristmillError && error.code === 'STORAGE_NOT_FOUND') return null;
        throw error;
      }
    },
    async open(file) {
      const place = bucketOf(file.path);
      return remoteFile(
        file,
        async (start, end, signal) => {
          const { sdk, reader } = await openS3();
          try {
            const got = await reader.send(
              new sdk.GetObjectCommand({
                ...place,
                Range: `bytes=${start}-${end - 1}`,
                ...(file.version !== '' && { IfMatch: `"${file.version}"` }),
              }),
              { abortSignal: signal },
            );
            const body = got.Body as Readable;
            // Whoever hangs up hears of it no more.
            body.on('error', () => undefined);
            const total = /\/(\d+)$/.exec(got.ContentRange ?? '')?.[1];
            if (total !== undefined && Number(total) !== file.bytes) {
              body.destroy();
              throw changedError(file.path, `it has ${total} bytes, ${file.bytes} were planned`);
            }
            return {
              version: got.ETag === undefined ? null : versionOf(got.ETag),
              body,
              cancel: () => body.destroy(),
            };
          } catch (error) {
            throw s3Fault(file.path, passingOf(error), signal);
          }
        },
        policy,
      );
    },
    async *list(prefix, signal) {
      const { Bucket, Key } = bucketOf(prefix);
      for (let token: string | undefined; ; ) {
        const page = await ask(prefix, signal, ({ sdk, client }) =>
          client.send(
            new sdk.ListObjectsV2Command({
              Bucket,
              Prefix: Key,
              ...(token !== undefined && { ContinuationToken: token }),
            }),
          ),
        );
        for (const { Key: key, Size, ETag } of page.Contents ?? []) {
          if (key !== undefined) yield storedOf(`s3://${Bucket}/${key}`, Size, ETag);
        }
        const next = page.IsTruncated ? page.NextContinuationToken : undefined;
        if (next === undefined || next === token) return;
        token = next;
      }
    },
  };
}

function storedOf(path: string, bytes = 0, etag?: string): StoredFile {
  return { path, bytes, version: versionOf(etag), sha256: null };
}
