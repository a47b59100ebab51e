/** Settings of a sink after defaults and checks. */
import type { CorpusColumn, KeyValues } from './types.ts';

/** A column of the output and where its values come from. */
export interface SinkColumn {
  readonly column: CorpusColumn;
  readonly role: 'text' | 'carry' | 'extra';
}

/** What a sink works with. */
export interface SinkSettings {
  readonly target: { path?: string; stream?: NodeJS.WritableStream };
  readonly columns: readonly SinkColumn[];
  readonly textColumn: string | null;
  readonly zstdLevel: number;
  readonly rowGroupRows: number;
  readonly rowGroupBytes: number;
  readonly metadata: KeyValues;
  /** Whether fields of a row give way to added columns of their name. */
  readonly replace: boolean;
  readonly createdBy: string;
}
