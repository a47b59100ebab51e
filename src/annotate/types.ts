/**
 * The vocabulary of annotation: labelled documents and examples of windows. Types and frozen tables only.
 *
 * An example is a window of whole lines, the program that is to be written for it and what the program makes of it.
 * Programs are numbered as a refiner sees them: by line of the document (`lineStart` on), not of the window.
 *
 * This room reads gold with `train`, asks models and shows windows with `refine`; neither of them knows this room.
 *
 *     expert/     who is asked: endpoints, local models, answers on disk, budgets
 *     label/      documents: scores, keep or drop
 *     chunks/     windows and their programs: the three ways, ratio control, the run
 *     derive/     ops from texts, and what an example must stand
 *     evaluate/   refiners and annotators against annotated windows
 */
import type { DialectName } from '../program/types.ts';

/** How programs of windows come about. */
export const CHUNK_WAYS = Object.freeze(['programs', 'rewrite', 'gold'] as const);
/** One of {@link CHUNK_WAYS}. */
export type ChunkWay = (typeof CHUNK_WAYS)[number];

/** The parts of an annotated set. */
export type Split = 'train' | 'validation';

/** A window with its program: one row of `chunks.parquet`, column names in snake case. */
export interface WindowExample {
  /** Of the document. */
  readonly id: string;
  /** Registered domain; empty when unknown. All documents of one domain are in one part. */
  readonly domain: string;
  /** Empty when unknown. */
  readonly language: string;
  readonly split: Split;
  /** Lines `[lineStart, lineEnd)` of the document, joined by LF. */
  readonly text: string;
  readonly lineStart: number;
  readonly lineEnd: number;
  readonly dialect: DialectName;
  /** In the dialect's spelling; line numbers count from the document's start. */
  readonly program: string;
  /** What executing the program makes of `text`. */
  readonly refined: string;
  readonly way: ChunkWay;
  /** Who said it: the expert's name, or the gold file's source. */
  readonly expert: string;
  /** Hashes of the requests whose answers the program comes from, separated by spaces; empty for gold. */
  readonly requests: string;
}
