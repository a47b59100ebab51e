/**
 * The chunk stage: a program for every window of a kept document (ProX §2.2, chunk-level programming; Algorithm 1).
 *
 * A window whose prompt cannot fit the context (one line longer than a window) gets no program and stays as it is,
 * as the paper's Algorithm 1 has it (FlagAsSkipped); the published script sends it to the model all the same.
 */
import type { BytesColumn } from '../batch/document-batch.ts';
import type {
  DocumentViews,
  GenerateProgramsRequest,
  GenerateResult,
  LineFormat,
} from '../native-engine.ts';
import type { ProgramGrammar } from '../program/grammar.ts';
import type { WindowProgram } from '../program/types.ts';
import { sum } from './document-stage.ts';
import { FLAG_CRASHED, FLAG_DOES_NOT_FIT, type RefinerEngine } from './engine.ts';
import type { Profile } from './profile.ts';
import { promptFrame } from './prompt.ts';

/** Settings of the stage. */
export interface ChunkStageSettings {
  readonly engine: RefinerEngine;
  readonly profile: Profile;
  /** Constrains decoding; null decodes freely, as the published scripts do. */
  readonly grammar: ProgramGrammar | null;
  readonly firstLine: 0 | 1;
  /** Longest prompt that leaves room for a program in the context; longer ones get none. */
  readonly maxPromptTokens: number;
}

/** Programs of one batch, by position in the requested documents. */
export interface ChunkPrograms {
  /** Windows with their programs in order; null where a window of the document killed the engine. */
  readonly programs: readonly (readonly WindowProgram[] | null)[];
  readonly windows: number;
  readonly windowsSkipped: number;
  readonly promptTokens: number;
  readonly newTokens: number;
}

/** A function that writes a program for each of the given windows; the prompt is rendered once, here. */
export function windowWriter(
  settings: ChunkStageSettings,
): (text: DocumentViews, windows: GenerateProgramsRequest['windows']) => Promise<GenerateResult> {
  const { engine, profile, grammar, maxPromptTokens } = settings;
  const { maxNewTokens, user } = profile.chunk!;
  const lineFormat = lineFormatOf(settings);
  const frame = promptFrame(profile, engine.info, user, '{lines}', {
    maxTokens: maxPromptTokens,
    truncate: 'content',
  });
  return ({ data, offsets }, windows) =>
    engine.generatePrograms({ data, offsets, windows, frame, lineFormat, grammar, maxNewTokens });
}

function lineFormatOf({ profile, firstLine }: ChunkStageSettings): LineFormat {
  return { ...profile.chunk!.line, firstLine };
}

/** A program as executors read it: without the spaces around it. */
export function trimProgram(program: string): string {
  return program.replace(/^ +| +$/g, '');
}

/** A function that writes programs for documents of a batch. */
export function chunkStage(
  settings: ChunkStageSettings,
): (text: BytesColumn, docs: Int32Array) => Promise<ChunkPrograms> {
  const { engine, profile } = settings;
  const { maxWindowTokens: maxTokens, countBos } = profile.chunk!;
  const lineFormat = lineFormatOf(settings);
  const write = windowWriter(settings);
  return async ({ data, offsets }, docs) => {
    const request = { data, offsets, docs, lineFormat, maxTokens, countBos };
    const plan = await engine.planWindows(request);
    const asked = Int32Array.from(plan.doc.keys()).filter((window) => plan.oversize[window] === 0);
    const pick = (values: Int32Array): Int32Array => asked.map((window) => values[window]!);
    const windows = {
      doc: pick(plan.doc),
      lineStart: pick(plan.lineStart),
      lineEnd: pick(plan.lineEnd),
    };
    const result = await write({ data, offsets }, windows);
    const programs = new Map<number, WindowProgram[] | null>(Array.from(docs, (doc) => [doc, []]));
    let windowsSkipped = plan.doc.length - asked.length;
    for (const [index, doc] of windows.doc.entries()) {
      const flags = result.flags[index]!;
      if (flags & FLAG_CRASHED) programs.set(doc, null);
      if (flags & FLAG_DOES_NOT_FIT) windowsSkipped++;
      else {
        programs.get(doc)?.push({
          lineStart: windows.lineStart[index]!,
          lineEnd: windows.lineEnd[index]!,
          program: trimProgram(result.programs[index]!),
        });
      }
    }
    return {
      programs: Array.from(docs, (doc) => programs.get(doc) ?? null),
      windows: plan.doc.length,
      windowsSkipped,
      promptTokens: sum(result.promptTokens),
      newTokens: sum(result.newTokens),
    };
  };
}
