/** What the server sends; see api.ts beside this folder. */
import type { BlindFigure } from '../blind.ts';
import type { ShownDocument, ShownLine } from '../document.ts';
import type { DocumentJudgement, LineVerdict, Verdict } from '../judgement-types.ts';
import type { Bar, Facet, QueryResult, TableRow } from '../query.ts';
import type { GridFigures } from '../score-grid.ts';

export type {
  Bar,
  BlindFigure,
  DocumentJudgement,
  Facet,
  LineVerdict,
  ShownLine,
  TableRow,
  Verdict,
};

export interface RunSummary {
  readonly name: string;
  readonly out: string;
  readonly run: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly versions: Readonly<Record<string, string>>;
  readonly thresholds: { readonly document?: number | null; readonly line?: number | null };
  readonly counts: Readonly<
    Record<'rowsIn' | 'kept' | 'edited' | 'dropped' | 'failed' | 'charsIn' | 'charsOut', number>
  >;
  readonly isWhole: boolean;
  readonly models: Readonly<
    Record<string, { readonly name: string; readonly sha256: string } | null>
  >;
  readonly nInputs: number;
  readonly units: { readonly committed: number; readonly planned: number };
  readonly reasons: Readonly<Record<string, string>>;
  /** Whether scores of lines and documents are kept. */
  readonly scores: boolean;
}

export interface ServerState {
  readonly version: number;
  readonly isWhole: boolean;
  readonly rows: number;
  readonly units: { readonly committed: number; readonly planned: number };
  readonly progress: {
    readonly indexed: number;
    readonly sized: number;
    readonly unknown: number;
    readonly rests: boolean;
    readonly every: number;
    readonly failed: readonly { readonly unit: number; readonly message: string }[];
  };
  readonly judged: JudgedCounts;
}

export interface JudgedCounts {
  readonly documents: number;
  readonly lines: number;
  readonly notes: number;
}

export type Found = QueryResult & { readonly searching: boolean };

export interface Head {
  readonly unit: number;
  readonly position: number;
  readonly id: string | null;
  readonly head: string | null;
}

export type OpenDocument = ShownDocument & { readonly judgement: DocumentJudgement | null };

export interface Judged {
  readonly counts: JudgedCounts;
  readonly documents: readonly {
    readonly unit: number;
    readonly position: number;
    readonly judgement: DocumentJudgement;
    readonly row: TableRow | null;
  }[];
}

export interface BlindQuestion {
  readonly text: string;
  readonly before: readonly string[];
  readonly after: readonly string[];
}

export interface BlindResult {
  readonly kept: BlindFigure;
  readonly removed: BlindFigure;
}

/** Thresholds that kept scores tell of; see score-grid.ts beside this folder. */
export interface WhatIf {
  readonly documents: {
    readonly thresholds: readonly number[];
    readonly used: number | null;
  } | null;
  readonly lines: {
    readonly thresholds: readonly number[];
    readonly retentions: readonly { readonly retention: number; readonly threshold: number }[];
    readonly used: number | null;
  } | null;
}

export type WhatIfFigures = GridFigures & { readonly total: number };
