/**
 * Lengths of a schedule's phases: a share of the whole, steps, or tokens; with a unit, always.
 *
 * A length is how long a phase lasts, never where it ends. Two of the published forms of the infinite schedules give ends
 * (`cooldown_iters_percent: 0.6`), a third gives lengths under nearly the same name; what was written as ends is read by
 * cumulative.ts and nowhere else.
 */
import * as z from 'zod';
import { GristmillError, printable } from '../errors.ts';

/** How long something lasts. */
export type Length =
  | { readonly fraction: number }
  | { readonly steps: number }
  | { readonly tokens: number };

/** A length as it is written: an object, or a number with its unit, e.g. `1 %`, `500 steps`, `2.5B tokens`. */
export type LengthInput = Length | string;

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  M: 1e6,
  B: 1e9,
  T: 1e12,
};

const EXPECTED =
  'a length with its unit: `1 %`, `500 steps`, `2.5B tokens`, or { fraction | steps | tokens }';

const amount = z.number().min(0).refine(Number.isFinite, { error: EXPECTED });

/** Checks and reads a length. */
export const lengthSchema = z
  .union(
    [
      z.strictObject({ fraction: amount.max(1) }),
      z.strictObject({ steps: amount }),
      z.strictObject({ tokens: amount }),
      z.string().transform((text, context) => {
        const length = parseLength(text);
        if (length) return length;
        context.addIssue({ code: 'custom', message: EXPECTED });
        return z.NEVER;
      }),
    ],
    { error: ({ input }) => `${EXPECTED}; received ${printable(input)}` },
  )
  .transform((length): Length => length);

/** A length from text, or null where it is none. */
export function parseLength(text: string): Length | null {
  const found =
    /^\s*(\d[\d_]*(?:\.\d+)?(?:[eE][+-]?\d+)?)\s*(?:(%)|([kMBT]?)\s*(steps?|tokens?))\s*$/.exec(
      text.slice(0, 100),
    );
  if (!found) return null;
  const value = Number(found[1]!.replaceAll('_', ''));
  if (!Number.isFinite(value)) return null;
  if (found[2] !== undefined) return value <= 100 ? { fraction: value / 100 } : null;
  const scaled = value * UNITS[found[3]!]!;
  return found[4]!.startsWith('step') ? { steps: scaled } : { tokens: scaled };
}

/** A number of tokens from a number or from text such as `300B tokens` or `300B`; null where it is neither. */
export function parseTokens(input: number | string): number | null {
  if (typeof input === 'number') return Number.isFinite(input) && input >= 0 ? input : null;
  const found = /^\s*(\d[\d_]*(?:\.\d+)?(?:[eE][+-]?\d+)?)\s*([kMBT]?)\s*(?:tokens?)?\s*$/.exec(
    input.slice(0, 100),
  );
  if (!found) return null;
  const value = Number(found[1]!.replaceAll('_', '')) * UNITS[found[2]!]!;
  return Number.isFinite(value) ? value : null;
}

/** What lengths are measured against. */
export interface Horizon {
  /** Steps of the whole; above 0, not necessarily whole. */
  readonly totalSteps: number;
  /** Needed for lengths in tokens and for schedules over tokens. */
  readonly tokensPerStep?: number;
}

/**
 * A length in steps; not rounded, as in gpt-neox.
 *
 * @param what named in the error
 * @throws SCHEDULE_INVALID for tokens without `tokensPerStep`
 */
export function stepsOf(
  length: Length,
  { totalSteps, tokensPerStep }: Horizon,
  what: string,
): number {
  if ('fraction' in length) return length.fraction * totalSteps;
  if ('steps' in length) return length.steps;
  if (tokensPerStep === undefined) {
    const reason = `${what} is given in tokens; tokensPerStep is needed beside it`;
    throw new GristmillError('SCHEDULE_INVALID', { where: 'the schedule', reason });
  }
  return length.tokens / tokensPerStep;
}
