/**
 * What a trainer's file in this folder provides: its own schedules as candidates for a curve, and how they are written.
 *
 * A candidate carries the settings as they will be written and the rates that the trainer makes of them; export.ts
 * compares those rates with the curve at every step and takes no candidate's word for anything.
 */
import type { LrCurve } from '../../schedules/curve.ts';
import { quoted } from '../quoted.ts';
import type { Vocabulary } from './shape.ts';

/** A file that is to be written. */
export interface ExportFile {
  /** Without a folder. */
  readonly name: string;
  readonly text: string;
}

/** What is exported. */
export interface ScheduleInput {
  readonly curve: LrCurve;
  /** Whole steps of the stage. */
  readonly nSteps: number;
  readonly sequencesPerStep: number;
  readonly nCtx: number;
  /** Micro-batches of a step on one device, where the trainer counts those (litgpt). */
  readonly iterationsPerStep: number;
}

/** Value of a setting. */
export type Setting = number | string | boolean | null | Settings | readonly Settings[];
/** Settings by their names in the trainer. */
export interface Settings {
  readonly [key: string]: Setting;
}

/** A schedule of the trainer's own. */
export interface Candidate {
  readonly settings: Settings;
  /** Rate with which the trainer makes its optimizer step `step`, 1 for the first one. */
  readonly rateAt: (step: number) => number;
}

/** What files say beside the schedule. */
export type StepSizes = Pick<ScheduleInput, 'nSteps' | 'sequencesPerStep' | 'nCtx'>;

/** A table of rates, as loaders read it. */
export interface TableFacts extends StepSizes {
  /** Largest rate: what the optimizer's own rate must be set to. */
  readonly peakLr: number;
  /** Steps that the trainer has counted before the first one of the table. */
  readonly firstStep: number;
}

/** A trainer. */
export interface TrainerSchedules {
  readonly vocabulary: Vocabulary;
  /** How the trainer counts, where that keeps even its own shapes from being exact. */
  readonly convention: string;
  /** It keeps the optimizer's state together with its count of steps only. */
  readonly countsOn: boolean;
  /** Why it has no schedules at all, where it has none. */
  readonly without?: string;
  readonly candidates: (input: ScheduleInput) => readonly Candidate[];
  readonly write: (settings: Settings, sizes: StepSizes) => ExportFile;
  /** Files beside the table: the trainer's part of the loader; options that go with it. */
  readonly loader: (facts: TableFacts) => readonly ExportFile[];
  /** Another revision of it that has what this one lacks. */
  readonly branch?: (
    input: ScheduleInput,
  ) => { readonly file: ExportFile; readonly warning: string } | null;
}

/** A number for JSON, Python and YAML 1.1, whose readers take `1e-7` for text. */
export function decimal(value: number): string {
  const text = String(value);
  if (!text.includes('e')) return text;
  const [mantissa, exponent] = text.split('e') as [string, string];
  const signed = /^[+-]/.test(exponent) ? exponent : `+${exponent}`;
  return `${mantissa.includes('.') ? mantissa : `${mantissa}.0`}e${signed}`;
}

/** Settings as JSON, which is YAML too, one a line. */
export function jsonOf(value: Setting, indent = ''): string {
  if (typeof value === 'number') return decimal(value);
  if (typeof value === 'string') return quoted(value);
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  const inner = `${indent}  `;
  if (Array.isArray(value)) {
    const items = (value as readonly Settings[]).map((item) => inner + jsonOf(item, inner));
    return `[\n${items.join(',\n')}\n${indent}]`;
  }
  const entries = Object.entries(value as Settings).map(
    ([key, entry]) => `${inner}${quoted(key)}: ${jsonOf(entry, inner)}`,
  );
  return entries.length === 0 ? '{}' : `{\n${entries.join(',\n')}\n${indent}}`;
}

/** Settings as block YAML. */
export function yamlOf(settings: Settings, indent = ''): string {
  return Object.entries(settings)
    .map(([key, value]) => {
      const nested = value !== null && typeof value === 'object' && !Array.isArray(value);
      return nested
        ? `${indent}${key}:\n${yamlOf(value as Settings, `${indent}  `)}`
        : `${indent}${key}: ${jsonOf(value)}\n`;
    })
    .join('');
}

/** A literal of Python. */
export function pythonOf(value: Setting): string {
  if (value === null) return 'None';
  if (value === true) return 'True';
  if (value === false) return 'False';
  return typeof value === 'number' ? decimal(value) : jsonOf(value);
}
