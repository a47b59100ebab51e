/** What people say of documents and lines, as it stands in the journal (judgements.ts). */
import * as z from 'zod';

/** Of a document: what became of it is right, or it should have stayed, or gone. */
export const VERDICTS = ['right', 'should_stay', 'should_go'] as const;
export type Verdict = (typeof VERDICTS)[number];

/** Of a line, whatever became of it. */
export const LINE_VERDICTS = ['stay', 'go'] as const;
export type LineVerdict = (typeof LINE_VERDICTS)[number];

const place = { unit: z.int().min(0), position: z.int().min(0) };
const at = z.string().max(40);
/** The run that it is of: a hash of its identity. */
const run = z.string().max(64);

/** An entry of the journal. */
export const entrySchema = z.discriminatedUnion('kind', [
  /** Stands before the first judgement of a document. */
  z.object({
    kind: z.literal('document'),
    ...{ at, run },
    ...place,
    id: z.string(),
    file: z.string(),
    row: z.int().min(0).nullable(),
    status: z.enum(['kept', 'edited', 'dropped', 'failed']),
    domain: z.string().optional(),
    language: z.string().optional(),
    /** As it came where that is known, else as it was written; null where neither is. */
    text: z.string().nullable(),
    /** Whether `text` is the text as it came: labels of lines are of nothing else. */
    isOriginal: z.boolean(),
  }),
  z.object({
    kind: z.literal('verdict'),
    ...{ at, run },
    ...place,
    /** Null takes it back. */
    verdict: z.enum(VERDICTS).nullable(),
    note: z.string().max(10_000).optional(),
    source: z.string().max(100).optional(),
  }),
  z.object({
    kind: z.literal('line'),
    ...{ at, run },
    ...place,
    line: z.int().min(0),
    verdict: z.enum(LINE_VERDICTS).nullable(),
    source: z.string().max(100).optional(),
  }),
  z.object({
    kind: z.literal('blind'),
    ...{ at, run },
    what: z.enum(['lines', 'documents']),
    seed: z.int().min(0),
    item: z.int().min(0),
    ...place,
    line: z.int().min(0).nullable(),
    /** What became of it, which the person was not told. */
    was: z.enum(['kept', 'removed']),
    answer: z.enum(['stay', 'go', 'unsure']),
  }),
]);

export type Entry = z.infer<typeof entrySchema>;
export type DocumentEntry = Extract<Entry, { kind: 'document' }>;
export type BlindEntry = Extract<Entry, { kind: 'blind' }>;

/** What is known of one document. */
export interface DocumentJudgement {
  readonly verdict: Verdict | null;
  readonly note: string;
  readonly lines: Readonly<Record<number, LineVerdict>>;
}
