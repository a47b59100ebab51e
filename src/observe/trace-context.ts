/**
 * The trace that a command is part of, as W3C Trace Context has it in TRACEPARENT. Nothing here makes spans: what somebody else
 * began is carried to jobs, child processes and logs as it came, so that their lines lie under the span that started them.
 *
 *     00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
 *     version, trace, span, flags
 *
 * @see https://www.w3.org/TR/trace-context/#traceparent-header
 */

/** The variable that names it. */
export const TRACE_VARIABLE = 'TRACEPARENT';

/** A trace and the span in it that started something. */
export interface TraceContext {
  readonly traceparent: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly flags: string;
}

const FORM = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const ZEROS = /^0+$/;

/** Reads a trace context; null for none, and for what is none: the standard has it ignored. */
export function traceContextOf(text: string | null | undefined): TraceContext | null {
  const [traceparent, version, traceId, spanId, flags, rest] = FORM.exec(text ?? '') ?? [];
  if (traceparent === undefined || version === 'ff' || ZEROS.test(traceId!)) return null;
  // Later versions may say more behind it; this one says nothing.
  if (ZEROS.test(spanId!) || (version === '00' && rest !== undefined)) return null;
  return { traceparent, traceId: traceId!, spanId: spanId!, flags: flags! };
}
