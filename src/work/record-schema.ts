/** What records of units of all kinds hold, as schemas; their rooms add what is their own. */
import * as z from 'zod';

/** A whole number from 0. */
export const count = z.int().min(0);

/** Which unit of what, who made it and how long it took. */
export const recordFields = {
  unit: count,
  attempt: z
    .string()
    .regex(/^[\w-]+$/)
    .optional(),
  input: z.string(),
  seconds: z.number(),
};
