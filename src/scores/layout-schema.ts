/** What a layout that is read again must be; apart from layout.ts, as runs that write one need no schemas. */
import * as z from 'zod';
import { MAX_EDGES } from './edges.ts';

const table = z.array(
  z.object({ retention: z.number(), threshold: z.number(), noiseRemoved: z.number() }),
);

/** See `ScoreLayout` in layout.ts. */
export const layoutSchema = z.object({
  format: z.literal(1),
  documents: z.object({ thresholds: table }).nullable(),
  lines: z
    .object({
      edges: z
        .array(z.number())
        .max(MAX_EDGES)
        .refine((edges) => edges.every((edge, at) => at === 0 || edge > edges[at - 1]!), {
          error: 'expected ascending edges',
        }),
      thresholds: table,
      from: z.number().nullable(),
    })
    .nullable(),
});
