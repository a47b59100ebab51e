/**
 * A local GGUF as an expert, through our own engine and the model's own chat template.
 *
 * Asks that come while the engine is busy make up its next call, so that slots are filled without anybody having to
 * batch. A prompt that does not fit the context fails its request: nothing is cut behind the caller's back. From the
 * refine room come the engine, the prompt frame and the device sizes.
 */
import { abortError, GristmillError, isGristmillError } from '../../errors.ts';
import { inspectModel } from '../../model/inspect.ts';
import { defaultSizes, parseDevices } from '../../refine/devices.ts';
import { PROFILES } from '../../refine/profiles.ts';
import { promptFrame } from '../../refine/prompt.ts';
import { type ExpertEngine, openExpertHere, openExpertProcess } from './expert-engine.ts';
import type { ExpertRequest } from './request.ts';
import type { Reply, SendControl, Transport } from './transport.ts';

/** How a local model is run. */
export interface LocalExpertOptions {
  /** Language model with a chat template. */
  readonly gguf: string;
  /** `cpu` (default), `cuda` or `cuda:<index>`. */
  readonly device?: string;
  /** CPU threads; default: all cores, at most 32. */
  readonly threads?: number;
  /** Answers written side by side, 1..256; default 16 on a CPU, 64 on a GPU. */
  readonly slots?: number;
  /** Tokens of a prompt and its answer together. Default: the model's, at most 8192. */
  readonly contextTokens?: number;
  /** Keep the engine in a process of its own, restarted when it dies. Default true. */
  readonly isolate?: boolean;
}

const MAX_CONTEXT_TOKENS = 8192;
const GPU_SLOTS = 64;

interface Ask {
  readonly request: ExpertRequest;
  readonly control: SendControl;
  resolve(reply: Reply): void;
  reject(error: unknown): void;
}

/**
 * Loads a model.
 *
 * @throws OPTION_INVALID, ENGINE_*, PROFILE_TEMPLATE_FAILED (no chat template, or one that does not render)
 */
export async function openLocalExpert(options: LocalExpertOptions): Promise<Transport> {
  const modelPath = options.gguf;
  const device = parseDevices(options.device ?? 'cpu')[0]!;
  const { sha256, kind, nCtxTrain } = await inspectModel(modelPath, { sha256: true });
  if (kind !== 'language') {
    throw new GristmillError('OPTION_INVALID', {
      option: 'gguf',
      expected: 'a language model',
      received: `${modelPath} of kind ${kind}`,
    });
  }
  const ownContext = nCtxTrain > 0 ? nCtxTrain : MAX_CONTEXT_TOKENS;
  const context = options.contextTokens ?? Math.min(ownContext, MAX_CONTEXT_TOKENS);
  const nCtxSlot = Math.ceil(context / 256) * 256;
  const sizes = defaultSizes(device, options.threads);
  const nSlots = options.slots ?? (device === 'cpu' ? sizes.nSlots : GPU_SLOTS);
  const fitSlots = options.slots === undefined;
  const settings = { ...sizes, nSlots, fitSlots, modelPath, device, nCtxSlot };
  const isApart = options.isolate ?? true;
  const engine = await (isApart ? openExpertProcess(settings) : openExpertHere(settings));
  try {
    const expert = new LocalExpert(engine, { sha256: sha256!, nSlots, nCtxSlot, modelPath });
    // A template that does not render is found before the first document.
    expert.frame(null);
    return expert;
  } catch (error) {
    await engine.dispose();
    throw error;
  }
}

interface LocalSettings {
  readonly sha256: string;
  readonly nSlots: number;
  readonly nCtxSlot: number;
  readonly modelPath: string;
}

class LocalExpert implements Transport {
  readonly name: string;
  readonly identity: object;
  readonly concurrency: number;
  readonly #engine: ExpertEngine;
  readonly #nCtxSlot: number;
  #waiting: Ask[] = [];
  #working: Promise<void> | null = null;

  constructor(engine: ExpertEngine, { sha256, nSlots, nCtxSlot, modelPath }: LocalSettings) {
    this.#engine = engine;
    this.#nCtxSlot = nCtxSlot;
    this.name = engine.info.name || modelPath;
    this.identity = { kind: 'gguf', sha256 };
    // While one call fills the slots the next one gathers.
    this.concurrency = 2 * nSlots;
  }

  frame(system: string | null) {
    const profile = {
      ...PROFILES['prox-gguf']!,
      name: `expert ${this.name}`,
      chat: { template: 'gguf', system },
    };
    // A prompt that is cut comes out exactly as long as the context, which the engine then turns away.
    return promptFrame(profile, this.#engine.info, '{text}', '{text}', {
      maxTokens: this.#nCtxSlot,
      truncate: 'prompt',
    });
  }

  async send(request: ExpertRequest, control: SendControl): Promise<Reply> {
    await control.admit();
    return new Promise((resolve, reject) => {
      this.#waiting.push({ request, control, resolve, reject });
      this.#working ??= this.#work();
    });
  }

  async dispose(): Promise<void> {
    await this.#working;
    await this.#engine.dispose();
  }

  async #work(): Promise<void> {
    // Asks of the same turn of the event loop go together.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#waiting.length > 0) {
      const first = this.#waiting[0]!.request;
      // One frame and one bound serve a whole call.
      const fits = ({ request: { system, maxTokens } }: Ask): boolean =>
        system === first.system && maxTokens === first.maxTokens;
      const chosen = this.#waiting.filter(fits);
      this.#waiting = this.#waiting.filter((ask) => !fits(ask));
      const group = chosen.filter(({ control }) => !control.signal?.aborted);
      for (const ask of chosen) {
        if (!group.includes(ask)) {
          ask.reject(abortError('asking the expert', ask.control.signal));
        }
      }
      try {
        if (group.length > 0) await this.#answer(group);
      } catch (error) {
        for (const ask of group) ask.reject(error);
      }
    }
    // In the same step as the last look at what waits: a later ask must find nobody working.
    this.#working = null;
  }

  async #answer(asks: readonly Ask[]): Promise<void> {
    const { system, maxTokens } = asks[0]!.request;
    const prompts = asks.map(({ request }) => request.user);
    const frame = this.frame(system);
    const answers = await this.#engine
      .answer({ prompts, frame, maxNewTokens: maxTokens })
      .catch((error: unknown) => {
        // The engine restarts with the next call; these requests are lost.
        if (isGristmillError(error, 'ENGINE_PROCESS_DIED')) throw this.#failed(error.message);
        throw error;
      });
    for (const [index, ask] of asks.entries()) {
      const { text, end, promptTokens, newTokens } = answers[index]!;
      if (end === 'crashed') ask.reject(this.#failed('the engine died of this prompt', true));
      else if (end === 'too_long') {
        const reason = `the prompt does not fit the context of ${this.#nCtxSlot} tokens`;
        ask.reject(this.#failed(reason, true));
      } else {
        ask.resolve({ text, finish: end, usage: { promptTokens, answerTokens: newTokens } });
      }
    }
  }

  #failed(reason: string, ofPrompt = false): GristmillError {
    return new GristmillError('ANNOTATE_EXPERT_FAILED', {
      expert: this.name,
      attempts: 1,
      reason,
      ofPrompt,
    });
  }
}
