/**
 * The chunk stage: a program for every window of a kept document (ProX §2.2, chunk-level programming; Algorithm 1).
 *
 * Windows may overlap (UltraX): a line belongs to the first window that shows it, and ops of later windows on it are
 * left out at execution. A window whose prompt does not fit the context beside a program is halved until it does; a
 * single line that does not fit gets no program and stays as it is, as ProX's Algorithm 1 has it (FlagAsSkipped; its
 * published script sends the line all the same).
 */
import type { BytesColumn } from '../batch/document-batch.ts';
import type {
  DocumentViews,
  EngineCallOptions,
  GenerateProgramsRequest,
  GenerateResult,
  LineFormat,
  PromptFrame,
} from '../native/engine.ts';
import type { ProgramGrammar } from '../native/grammar.ts';
import type { WindowProgram } from '../program/types.ts';
import type { WindowVerdict } from '../program/verdict.ts';
import { sum } from './document-stage.ts';
import { FLAG_DOES_NOT_FIT, type RefinerEngine } from './engine.ts';
import type { Profile } from './profile.ts';
import { type PromptModel, promptFrame } from './prompt.ts';

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
export interface ChunkPrograms<Window extends WindowVerdict = WindowVerdict> {
  /** Windows with their programs in order. */
  readonly programs: readonly (readonly Window[])[];
  readonly windows: number;
  readonly windowsSkipped: number;
  readonly promptTokens: number;
  readonly newTokens: number;
}

/** The stage's prompt around the lines of a window. @throws PROFILE_TEMPLATE_FAILED */
export function chunkFrame(profile: Profile, model: PromptModel, maxTokens: number): PromptFrame {
  const { user, bos, spacePrefix } = profile.chunk!;
  // A window is never cut, so that `truncate` says nothing here.
  const limits = { maxTokens, truncate: 'content', bos, spacePrefix } as const;
  return promptFrame(profile, model, user, '{lines}', limits);
}

/** A function that writes a program for each of the given windows; the prompt is rendered once, here. */
export function windowWriter(
  settings: ChunkStageSettings,
): (
  text: DocumentViews,
  windows: GenerateProgramsRequest['windows'],
  options?: EngineCallOptions,
) => Promise<GenerateResult> {
  const { engine, profile, grammar, maxPromptTokens } = settings;
  const { maxNewTokens } = profile.chunk!;
  const lineFormat = lineFormatOf(settings);
  const frame = chunkFrame(profile, engine.info, maxPromptTokens);
  const asked = { frame, lineFormat, grammar, maxNewTokens };
  return ({ data, offsets }, windows, options) =>
    engine.generatePrograms({ data, offsets, windows, ...asked }, options);
}

function lineFormatOf({ profile, firstLine }: ChunkStageSettings): LineFormat {
  return { ...profile.chunk!.line, firstLine };
}

/** A function that writes programs for documents of a batch. */
export function chunkStage(
  settings: ChunkStageSettings,
): (
  text: BytesColumn,
  docs: Int32Array,
  options?: EngineCallOptions,
) => Promise<ChunkPrograms<WindowProgram>> {
  const { engine, profile } = settings;
  const { windows: rule } = profile.chunk!;
  const lineFormat = lineFormatOf(settings);
  const write = windowWriter(settings);
  return async ({ data, offsets }, docs, options) => {
    const request = { data, offsets, docs, lineFormat, windows: rule };
    const plan = await engine.planWindows(request, options);
    const programs = new Map<number, WindowProgram[]>(Array.from(docs, (doc) => [doc, []]));
    const totals = { windows: plan.doc.length, windowsSkipped: 0, promptTokens: 0, newTokens: 0 };
    let asked: StageWindow[] = [];
    for (const [index, doc] of plan.doc.entries()) {
      // By its own measure such a line does not fit; by another one the engine finds out.
      if (rule.unit === 'tokens' && plan.oversize[index] !== 0) totals.windowsSkipped++;
      else {
        asked.push({
          doc,
          lineStart: plan.lineStart[index]!,
          ownStart: plan.ownStart[index]!,
          lineEnd: plan.lineEnd[index]!,
        });
      }
    }
    while (asked.length > 0) {
      const halves: StageWindow[] = [];
      const result = await write({ data, offsets }, columnsOf(asked), options);
      for (const [index, window] of asked.entries()) {
        const { doc, lineStart, ownStart, lineEnd } = window;
        const flags = result.flags[index]!;
        if (flags & FLAG_DOES_NOT_FIT) {
          const smaller = halve(window);
          if (smaller.length === 0) totals.windowsSkipped++;
          else totals.windows += smaller.length - 1;
          halves.push(...smaller);
        } else {
          const program = answerOf(result.programs[index]!);
          const own = ownStart > lineStart ? { ownStart } : {};
          programs.get(doc)?.push({ lineStart, ...own, lineEnd, program });
        }
      }
      totals.promptTokens += sum(result.promptTokens);
      totals.newTokens += sum(result.newTokens);
      asked = halves;
    }
    return {
      programs: Array.from(docs, (doc) => inOrder(programs.get(doc)!)),
      ...totals,
    };
  };
}

interface StageWindow {
  readonly doc: number;
  readonly lineStart: number;
  readonly ownStart: number;
  readonly lineEnd: number;
}

function columnsOf(windows: readonly StageWindow[]): GenerateProgramsRequest['windows'] {
  return {
    doc: Int32Array.from(windows, ({ doc }) => doc),
    lineStart: Int32Array.from(windows, ({ lineStart }) => lineStart),
    lineEnd: Int32Array.from(windows, ({ lineEnd }) => lineEnd),
  };
}

/** Smaller windows that own the same lines: two halves, or the last line without its context; none for a bare line. */
function halve(window: StageWindow): StageWindow[] {
  const { ownStart, lineEnd, lineStart } = window;
  if (lineEnd - ownStart > 1) {
    const middle = (ownStart + lineEnd) >> 1;
    return [
      { ...window, lineEnd: middle },
      { ...window, lineStart: middle, ownStart: middle },
    ];
  }
  return ownStart > lineStart ? [{ ...window, lineStart: ownStart }] : [];
}

function inOrder(programs: WindowProgram[]): WindowProgram[] {
  return programs.sort((left, right) => left.lineEnd - right.lineEnd);
}

const THINK_END = '</think>';

/** The program of an answer: what follows a thought that the model opens with, without spaces around it. */
export function answerOf(text: string): string {
  const thought = text.startsWith('<think>') ? text.indexOf(THINK_END) : -1;
  if (thought >= 0) return text.slice(thought + THINK_END.length).trim();
  return text.replace(/^ +| +$/g, '');
}
