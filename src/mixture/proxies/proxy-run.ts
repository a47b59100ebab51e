/**
 * One proxy: a small model trained on one mixture of a token store, and its losses on every domain's validation part.
 *
 * A function of (store, settings, weights) alone: on a CPU the same losses to the bit, whatever the number of threads
 * and whatever ran before. A sequence is `nCtx` tokens and the one behind them; windows of the validation parts are the
 * same in every run. A domain may be given in part, so that it is repeated as a longer run would (repetition/plan.ts).
 */
import { GristmillError, throwIfAborted } from '../../errors.ts';
import type { TokenBatch } from '../../native/train.ts';
import { learningRateAt } from '../../schedules/schedule.ts';
import { BlendedOrder } from '../../tokens/blend.ts';
import { lossOf, sequencesOf, stepBatches, validationSets } from '../../tokens/store-batches.ts';
import type { TokenStore } from '../../tokens/token-store.ts';
import { newShape } from '../../train/model-shape.ts';
import { openTrainer } from '../../train/trainer.ts';
import { subsetOf } from '../repetition/plan.ts';
import type { ProxySettings } from './settings.ts';

/** A step or a measurement of a proxy. */
export interface ProxyRecord {
  readonly step: number;
  /** Mean loss of the step, nats a token. */
  readonly loss?: number;
  readonly lr?: number;
  readonly gradNorm?: number;
  /** By domain, nats a token. */
  readonly validation?: Readonly<Record<string, number>>;
}

/** Options of {@link runProxy}. */
export interface RunProxyOptions {
  readonly store: TokenStore;
  readonly settings: ProxySettings;
  /** Shares in the order of the store's domains, summing to 1. */
  readonly weights: ArrayLike<number>;
  /** Sequences of each domain that the proxy is given (repetition/plan.ts); null for all. Default: all of every domain. */
  readonly sequences?: readonly (number | null)[] | null | undefined;
  /** `cpu` or `cuda:<index>`. */
  readonly device: string;
  readonly nThreads: number;
  readonly onRecord?: (record: ProxyRecord, tokensPerSecond: number) => void;
  readonly signal?: AbortSignal | undefined;
}

/** What a proxy gave. */
export interface ProxyResult {
  /** In the order of `validatedDomains`; nats a token. */
  readonly losses: readonly number[];
  readonly trainLoss: number;
  readonly nParams: number;
  /** Tokens learnt. */
  readonly nTokens: number;
  /** How often what was given of each domain was seen, in the order of the store. */
  readonly epochs: readonly number[];
}

/**
 * Trains and measures a proxy.
 *
 * @throws MIXTURE_DOMAIN_TOO_SMALL for a weight on a domain that fills no sequence, TRAIN_*, OPTION_INVALID, ABORTED
 */
export async function runProxy(options: RunProxyOptions): Promise<ProxyResult> {
  const { store, settings, weights, device, nThreads, onRecord, signal } = options;
  const { nCtx, batch, microBatch, steps, seed } = settings;
  const domains = blendDomains(store, weights, nCtx);
  const subsets = domains.map(({ name, nSequences }, domain) => {
    const size = options.sequences?.[domain] ?? null;
    return size === null || size >= nSequences ? null : subsetOf(name, size, { nSequences, seed });
  });
  const given = domains.map((domain, at) => ({
    ...domain,
    nSequences: subsets[at]?.length ?? domain.nSequences,
  }));
  const order = new BlendedOrder(given, { weights, kind: settings.blend, seed });
  const batchesOf = (step: number): TokenBatch[] =>
    stepBatches(
      store,
      order.at(step * batch, batch).map(({ domain, sequence }) => ({
        domain,
        sequence: subsets[domain]?.[sequence] ?? sequence,
      })),
      { nCtx, nSeq: microBatch },
    );
  await using trainer = await openTrainer({
    ...trainerOptions(settings, store.index.tokenizer.nTokens),
    device,
    nThreads,
  });
  const validation = validationSets(store, {
    nCtx,
    nSeq: microBatch,
    windows: settings.evalWindows,
  });
  const schedule = {
    kind: 'constant',
    peakLr: settings.peakLr,
    warmupSteps: settings.warmupSteps,
    totalSteps: steps,
  } as const;
  let losses: number[] = [];
  let trainLoss = Number.NaN;
  let next = batchesOf(0);
  for (let step = 0; step < steps; step++) {
    throwIfAborted(signal, 'the proxy');
    const lr = learningRateAt(step, schedule);
    const made = trainer.steps([{ batches: next, lr }]);
    // The next batches are read while the trainer's thread computes.
    if (step + 1 < steps) next = batchesOf(step + 1);
    const result = await made;
    trainLoss = result.losses[0]!;
    const tokensPerSecond = (batch * nCtx) / result.seconds[0]!;
    const done = step + 1;
    onRecord?.(
      { step: done, loss: trainLoss, lr, gradNorm: result.gradNorms[0]! },
      tokensPerSecond,
    );
    const isDue = settings.evalEvery > 0 && done % settings.evalEvery === 0;
    if (!isDue && done < steps) continue;
    losses = [];
    for (const { batches } of validation) losses.push(await lossOf(trainer, batches));
    const byName = Object.fromEntries(
      validation.map(({ name }, target) => [name, losses[target]!]),
    );
    onRecord?.({ step: done, validation: byName }, tokensPerSecond);
  }
  return {
    losses,
    trainLoss,
    nParams: trainer.info.nParams,
    nTokens: steps * batch * nCtx,
    epochs: [...order.epochsBefore(steps * batch)],
  };
}

function blendDomains(store: TokenStore, weights: ArrayLike<number>, nCtx: number) {
  const domains = store.index.domains.map((domain, at) => ({
    ...domain,
    nSequences: sequencesOf(store, at, nCtx),
  }));
  const short = domains.filter(({ nSequences }, at) => weights[at]! > 0 && nSequences === 0);
  checkSequences(short, nCtx);
  return domains.map(({ name, nSequences }) => ({ name, nSequences }));
}

/** Domains that have a weight and fill no sequence. @throws MIXTURE_DOMAIN_TOO_SMALL naming all of them */
export function checkSequences(
  short: readonly { readonly name: string; readonly train: { readonly nTokens: number } }[],
  nCtx: number,
): void {
  if (short.length === 0) return;
  const shortfalls = short
    .map(
      ({ name, train }) =>
        `domain ${name}: a sequence needs ${nCtx + 1} tokens, but ${train.nTokens} are there`,
    )
    .join('; ');
  throw new GristmillError('MIXTURE_DOMAIN_TOO_SMALL', { shortfalls, hint: '' });
}

function trainerOptions(settings: ProxySettings, nVocab: number) {
  const { nLayer, nEmbd, nHead, nFf, tied, nCtx, microBatch, seed } = settings;
  const { beta1, beta2, weightDecay, clipNorm, initDeviation } = settings;
  return {
    shape: newShape({ nEmbd, nLayer, nHead, nHeadDim: nEmbd / nHead, nFf, tied }, nVocab),
    nCtx,
    nSeq: microBatch,
    seed,
    beta1,
    beta2,
    weightDecay,
    clipNorm,
    initDeviation,
  };
}
