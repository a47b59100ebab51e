/**
 * The engine of a local expert: prompts in, answers out, in this process or in one of its own.
 *
 * Prompts are few and made here, so that they cross to a process as messages. One that dies of them is started again, and
 * they are tried by halves; a prompt that killed it twice is `crashed`.
 */
import { GristmillError } from '../../errors.ts';
import type {
  EngineCallOptions,
  EngineInfo,
  NativeEngineOptions,
  PromptFrame,
} from '../../native/engine.ts';
import { distFile } from '../../paths.ts';
import { FLAG_DOES_NOT_FIT, FLAG_STOPPED, openLocalEngine } from '../../refine/engine.ts';
import { ChildDied, inHalves, Service } from '../../work/service.ts';

/** What an engine is asked. */
export interface PromptsRequest {
  readonly prompts: readonly string[];
  readonly frame: PromptFrame;
  readonly maxNewTokens: number;
}

/** What came of a prompt. */
export interface PromptAnswer {
  readonly text: string;
  /** `length`: stopped at the most tokens; `too_long`: the prompt does not fit; `crashed`: the engine died of it twice. */
  readonly end: 'stop' | 'length' | 'too_long' | 'crashed';
  readonly promptTokens: number;
  readonly newTokens: number;
}

/** See the file's header. */
export interface ExpertEngine {
  readonly info: EngineInfo;
  answer(request: PromptsRequest, options?: EngineCallOptions): Promise<readonly PromptAnswer[]>;
  dispose(): Promise<void>;
}

/** Opens an engine in this process. */
export async function openExpertHere(options: NativeEngineOptions): Promise<ExpertEngine> {
  const engine = await openLocalEngine(options);
  return {
    info: engine.info,
    async answer({ prompts, frame, maxNewTokens }, callOptions) {
      const texts = prompts.map((prompt) => Buffer.from(prompt));
      const offsets = new Int32Array(texts.length + 1);
      for (const [doc, text] of texts.entries()) offsets[doc + 1] = offsets[doc]! + text.length;
      const request = { data: Buffer.concat(texts), offsets, docs: null, frame, maxNewTokens };
      const { programs, promptTokens, newTokens, flags } = await engine.generateText(
        request,
        callOptions,
      );
      return programs.map((text, index) => ({
        text,
        end: endOf(flags[index]!),
        promptTokens: promptTokens[index]!,
        newTokens: newTokens[index]!,
      }));
    },
    dispose: () => engine.dispose(),
  };
}

function endOf(flags: number): PromptAnswer['end'] {
  if (flags & FLAG_DOES_NOT_FIT) return 'too_long';
  return flags & FLAG_STOPPED ? 'length' : 'stop';
}

/** How often in a row the process may die without finishing anything. */
const MAX_DEATHS = 64;
const CRASHED: PromptAnswer = { text: '', end: 'crashed', promptTokens: 0, newTokens: 0 };

/**
 * Opens an engine in a process of its own.
 *
 * @param processFile script of the process; tests give one that dies
 * @throws ENGINE_PROCESS_DIED, and whatever opening the engine throws
 */
export async function openExpertProcess(
  options: NativeEngineOptions,
  processFile = distFile('annotate/expert/expert-process.js'),
): Promise<ExpertEngine> {
  const service = new Service({ file: processFile });
  let deaths = 0;
  const gone = ({ exit, lastWords }: ChildDied): GristmillError => {
    const details = { device: options.device, exit, count: Math.max(deaths, 1), lastWords };
    return new GristmillError('ENGINE_PROCESS_DIED', details);
  };
  /** A process that dies while it loads the model would die again. */
  const opened = async (): Promise<EngineInfo> => {
    try {
      return (await service.call('open', options)) as EngineInfo;
    } catch (error) {
      throw error instanceof ChildDied ? gone(error) : error;
    }
  };
  // Calls that failed together open the next process once.
  let opening: Promise<EngineInfo> | null = null;
  const ready = async (): Promise<void> => {
    if (!service.isRunning) {
      opening ??= opened().finally(() => {
        opening = null;
      });
    }
    await opening;
  };
  try {
    const info = await opened();
    return {
      info,
      answer: ({ prompts, ...asked }, { signal } = {}) =>
        inHalves(
          prompts,
          async (some) => {
            await ready();
            try {
              const request: PromptsRequest = { ...asked, prompts: some };
              const answers = await service.call('answer', request, { signal });
              deaths = 0;
              return answers as PromptAnswer[];
            } catch (error) {
              if (error instanceof ChildDied && ++deaths > MAX_DEATHS) throw gone(error);
              throw error;
            }
          },
          () => CRASHED,
        ),
      dispose: () => service.dispose(),
    };
  } catch (error) {
    await service.dispose();
    throw error;
  }
}
