/**
 * Devices and their default sizes: what `--device` means, and how many threads and slots an engine gets.
 *
 * Slots and ubatch sizes take part in how batches are composed, and so in the last bits of the logits. Their
 * defaults therefore depend on the kind of device only, never on the number of cores: the same run gives the same
 * bytes on 2 and on 128 cores.
 */
import { availableParallelism } from 'node:os';

export { parseDevices } from '../device-names.ts';

/** Sizes of one engine; everything but `nThreads` is part of a run's identity. */
export interface EngineSizes {
  readonly nThreads: number;
  readonly nSlots: number;
  readonly nUbatch: number;
}

/**
 * Documents of one batch: every slot is filled sixteen times, so that slots are seldom idle at a batch's end, and
 * progress shows on a CPU too. Part of a run's identity through the number of slots.
 */
export function batchRows(nSlots: number): number {
  return Math.min(Math.max(16 * nSlots, 64), 2048);
}

/**
 * The same where models only score: no slots are filled, a document's scores do not depend on its neighbours, and what a
 * batch costs whatever is in it (some twenty calls off this thread) is shared by as many documents as wait for one another.
 */
export const SCORING_BATCH_ROWS = 2048;
/** Bytes of text of such a batch: enough pages for every thread, small enough that reading and writing overlap with it. */
export const SCORING_BATCH_BYTES = 4 * 2 ** 20;

/** Beyond this many threads a sub-billion model on a CPU waits on barriers more than it computes. */
const MAX_CPU_THREADS = 32;

/** Default sizes of an engine on `device`; `threads` overrides the number of CPU threads. */
export function defaultSizes(device: string, threads?: number): EngineSizes {
  if (device === 'cpu') {
    return {
      nThreads: threads ?? Math.min(availableParallelism(), MAX_CPU_THREADS),
      nSlots: 16,
      nUbatch: 512,
    };
  }
  return { nThreads: threads ?? 1, nSlots: 256, nUbatch: 4096 };
}

/** Tokens that a prompt advances by in a step of several (kPrefillWidth of native/engine/slots.cc). */
const PROMPT_STEP_TOKENS = 128;

/** Slots that an engine uses which only reads prompts: those that share a step. */
export function promptSlots({ nUbatch }: Pick<EngineSizes, 'nUbatch'>): number {
  return Math.max(1, Math.floor(nUbatch / PROMPT_STEP_TOKENS));
}

/** Contexts up to this many tokens get all the slots of their device. */
const FULL_SLOTS_CONTEXT = 4096;
/** Tokens of a slot that the default number of slots is made for. */
const SLOT_TOKENS = 2048;

/** Sequences that an engine holds at the least, asked for or not. */
const leastSlots = (device: string): number => (device === 'cpu' ? 2 : 1);

/**
 * Default number of slots for contexts of `contextTokens`: as many as take the memory that short contexts take, at
 * least as many as the engine holds anyway. A context of 32,768 tokens gets 2 slots on a CPU and 16 on a GPU.
 */
export function defaultSlots(device: string, contextTokens: number): number {
  const { nSlots } = defaultSizes(device);
  if (contextTokens <= FULL_SLOTS_CONTEXT) return nSlots;
  const affordable = Math.floor((nSlots * SLOT_TOKENS) / contextTokens);
  return Math.max(leastSlots(device), affordable);
}

/** What a person should know of the models on a device. CUDA multiplies weights of F16 in that type; those of BF16 give 32-bit floats. */
export function precisionNotices(
  device: string,
  models: readonly {
    readonly device: string;
    readonly name?: string;
    readonly quantisation?: string;
  }[],
): string[] {
  if (device === 'cpu') return [];
  return models
    .filter(({ quantisation }) => quantisation === 'F16')
    .map(
      ({ name }) =>
        `model ${name ?? '?'} has weights of type F16: a GPU adds products up in 16 bits and gives logits of 11 bits; in BF16 it does not`,
    );
}

/** What a person should know of slots for which a device had no room. */
export function slotNotices(
  stage: string,
  wanted: { readonly device: string; readonly nSlots: number; readonly nCtxSlot: number },
  { nSlots }: { readonly nSlots: number },
): string[] {
  if (nSlots >= wanted.nSlots) return [];
  const { device, nCtxSlot } = wanted;
  return [
    `${stage} stage on ${device}: ${nSlots} slots of ${nCtxSlot} tokens instead of ${wanted.nSlots}, as many as fit what is free (--slots N takes N)`,
  ];
}
