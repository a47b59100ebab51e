/** Errors between processes: a code and its details stay what they are, anything else keeps its message and its stack. */
import { ERRORS, type ErrorCode, GristmillError } from '../errors.ts';

/** An error as a message. */
export interface WireError {
  /** Null for what is no coded error. */
  readonly code: string | null;
  readonly details: Record<string, unknown>;
  readonly message: string;
  readonly stack: string | undefined;
}

/** An error as it is sent. */
export function wireOf(error: unknown): WireError {
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  if (!(error instanceof GristmillError)) return { code: null, details: {}, message, stack };
  return { code: error.code, details: cloneable(error.details), message, stack };
}

/** A sent error, as it was. */
export function errorOf({ code, details, message, stack }: WireError): Error {
  if (code !== null && Object.hasOwn(ERRORS, code)) {
    return new GristmillError(code as ErrorCode, details);
  }
  return Object.assign(new Error(message), stack !== undefined && { stack });
}

function cloneable(details: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const entries = Object.entries(details).map(([name, value]) => {
    try {
      return [name, structuredClone(value)] as const;
    } catch {
      return [name, String(value)] as const;
    }
  });
  return Object.fromEntries(entries);
}
