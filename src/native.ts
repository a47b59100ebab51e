/**
 * The only file that loads the addon; its typed face.
 *
 * Loading is lazy: importing the package never fails because the addon is missing, the first native call does,
 * with NATIVE_MISSING. Each room's native functions are one interface here; the C++ side is native/binding/.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { ERRORS, type ErrorCode, GristmillError } from './errors.ts';
import type { NativeEngine, NativeEngineOptions } from './native-engine.ts';
import { addonFile } from './paths.ts';

/** Where the bytes of a view lie. */
export interface NativeMemory {
  /** Address of the first byte of `view`; equal in every thread that sees the same shared bytes. */
  addressOf(view: Uint8Array): bigint;
}

/** UTF-8 over a whole column: `into` has one element per value. */
export interface NativeText {
  /** Unicode code points of every value. */
  countCodePoints(data: Uint8Array, offsets: Int32Array, into: Int32Array): void;
  /** 1 where a value is well-formed UTF-8, else 0. */
  validateUtf8(data: Uint8Array, offsets: Int32Array, into: Uint8Array): void;
}

/** Opening engines; the engine's own face is src/native-engine.ts. */
export interface NativeEngines {
  /** @throws ENGINE_* when the model or the device does not serve */
  openEngine(options: NativeEngineOptions): Promise<NativeEngine>;
}

/** Everything the addon exports. */
export interface Native extends NativeMemory, NativeText, NativeEngines {}

let loaded: Native | undefined;

/**
 * The addon of this process.
 *
 * @throws NATIVE_MISSING when it is not built or does not load
 */
export function native(): Native {
  if (loaded) return loaded;
  if (!existsSync(addonFile)) {
    throw new GristmillError('NATIVE_MISSING', { reason: `${addonFile} does not exist` });
  }
  try {
    loaded = createRequire(import.meta.url)(addonFile) as Native;
  } catch (cause) {
    throw new GristmillError('NATIVE_MISSING', { reason: (cause as Error).message }, { cause });
  }
  return loaded;
}

/**
 * Turns an error of the addon into a {@link GristmillError}: `{nativeCode, details}` become code and message.
 * Anything else is returned as it is.
 */
export function fromNative(error: unknown): unknown {
  if (!(error instanceof Error) || !('nativeCode' in error)) return error;
  const code = String(error.nativeCode);
  const details = (error as Error & { details?: Record<string, unknown> }).details ?? {};
  if (!(code in ERRORS)) {
    return new GristmillError('NATIVE_FAILED', { operation: code, reason: error.message }, { cause: error });
  }
  return new GristmillError(code as ErrorCode, details, { cause: error });
}

/** Awaits a native promise, with its errors coded and this call on the stack. */
export async function callNative<T>(promise: Promise<T>): Promise<T> {
  try {
    return await promise;
  } catch (error) {
    throw fromNative(error);
  }
}
