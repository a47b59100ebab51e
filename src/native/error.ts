/** Errors of the addon as coded errors. */
import { ERRORS, type ErrorCode, GristmillError } from '../errors.ts';

/**
 * Turns an error of the addon into a {@link GristmillError}: `{nativeCode, details}` become code and message.
 * Anything else is returned as it is. What `signal` ended has its reason as the cause.
 */
export function fromNative(error: unknown, signal?: AbortSignal): unknown {
  if (!(error instanceof Error) || !('nativeCode' in error)) return error;
  const code = String(error.nativeCode);
  const details = (error as Error & { details?: Record<string, unknown> }).details ?? {};
  if (!(code in ERRORS)) {
    return new GristmillError(
      'NATIVE_FAILED',
      { operation: code, reason: error.message },
      { cause: error },
    );
  }
  const cause = code === 'ABORTED' && signal?.aborted ? signal.reason : error;
  return new GristmillError(code as ErrorCode, details, { cause });
}

/** Awaits a native promise, with its errors coded and this call on the stack. */
export function callNative<T>(promise: Promise<T>): Promise<T> {
  return codedCall(() => promise);
}

/** Makes a native call; what it throws at once is coded as well as what its promise rejects with. */
export async function codedCall<T>(call: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  try {
    return await call();
  } catch (error) {
    throw fromNative(error, signal);
  }
}
