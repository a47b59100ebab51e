/**
 * What a bucket's refusal means. Messages are made here from names and statuses: what a server or the SDK says in its own
 * words may have keys in it.
 */
import { abortError, GristmillError, isGristmillError } from '../../errors.ts';
import { changedError } from './remote-file.ts';
import { isPassingStatus, PassingFault } from './retry.ts';

/** The parts of an error of the SDK that are looked at. */
interface SdkError {
  readonly name?: string;
  readonly Code?: string;
  readonly message?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
  readonly $response?: { readonly headers?: Readonly<Record<string, string>> };
}

/** The name of a refusal and its status. */
export function refusalOf(error: unknown): { readonly name: string; readonly status: number } {
  const { name = '', Code, $metadata } = (error ?? {}) as SdkError;
  const status = $metadata?.httpStatusCode ?? 0;
  return { name: Code ?? name, status };
}

const NO_CREDENTIALS =
  /^(CredentialsProviderError|TokenProviderError|ProviderError|ExpiredToken(Exception)?|InvalidAccessKeyId|SignatureDoesNotMatch|InvalidToken|AuthorizationHeaderMalformed|RequestTimeTooSkewed)$/;

/** The coded error of a refusal; PassingFault for what may pass; other errors as they are. */
export function s3Fault(path: string, error: unknown, signal?: AbortSignal): unknown {
  if (isGristmillError(error) || error instanceof PassingFault) return error;
  if (signal?.aborted) return abortError('reading', signal);
  const { name, status } = refusalOf(error);
  const coded = (code: 'STORAGE_NOT_FOUND' | 'STORAGE_DENIED', reason: string): GristmillError =>
    new GristmillError(code, { path, reason });
  if (name === 'NoSuchBucket') return coded('STORAGE_NOT_FOUND', 'there is no such bucket');
  if (name === 'NoSuchKey' || name === 'NotFound' || status === 404) {
    return coded('STORAGE_NOT_FOUND', 'there is nothing under this name');
  }
  if (NO_CREDENTIALS.test(name)) {
    return new GristmillError('STORAGE_NO_CREDENTIALS', { path, reason: credentialsReason(name) });
  }
  if (/Region is missing/i.test((error as Error)?.message ?? '')) {
    const reason = 'no region is known: set AWS_REGION';
    return new GristmillError('STORAGE_NO_CREDENTIALS', { path, reason });
  }
  if (name === 'PreconditionFailed' || status === 412 || status === 416) {
    return changedError(path, 'it was written or replaced since');
  }
  if (status === 401 || status === 403) {
    return coded('STORAGE_DENIED', `${name || 'AccessDenied'} (status ${status})`);
  }
  const isSlowDown =
    /^(SlowDown|Throttling\w*|TooManyRequests\w*|RequestTimeout|InternalError|ServiceUnavailable)$/;
  if (isSlowDown.test(name) || isPassingStatus(status)) {
    const after = Number((error as SdkError).$response?.headers?.['retry-after']);
    const afterMs = Number.isFinite(after) && after > 0 ? Math.min(after, 60) * 1000 : null;
    return new PassingFault(`status ${status}${name ? ` (${name})` : ''}`, afterMs);
  }
  // An answer that is no XML of S3 has a status and nothing more.
  if (status >= 300 || status === 0) {
    const reason = status === 0 ? `${name}` : `status ${status}${name ? ` (${name})` : ''}`;
    return new GristmillError('STORAGE_FAILED', { path, attempts: 1, seconds: 0, reason });
  }
  // An answer that is cut inside its XML.
  return new PassingFault(`an answer that cannot be read (${name})`);
}

function credentialsReason(name: string): string {
  switch (name) {
    case 'InvalidAccessKeyId':
      return 'the access key is not known there (InvalidAccessKeyId)';
    case 'SignatureDoesNotMatch':
      return 'the secret key does not fit the access key (SignatureDoesNotMatch)';
    case 'ExpiredToken':
    case 'ExpiredTokenException':
      return 'the session has expired (ExpiredToken)';
    case 'RequestTimeTooSkewed':
      return 'the clock of this machine is wrong (RequestTimeTooSkewed)';
    case 'AuthorizationHeaderMalformed':
      return 'the region is another one (AuthorizationHeaderMalformed): set AWS_REGION';
    default:
      return 'none are found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or a role';
  }
}
