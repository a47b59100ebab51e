/**
 * Batches from a token store, for all that trains small models on one: proxies of mixtures and stages of plans.
 *
 * A sequence is `nCtx` tokens and the one behind them, so that every token of it predicts the next one. Windows of the
 * validation parts are spread evenly and are the same whatever is trained.
 */
import type { ForwardResult, TokenBatch } from '../native/train.ts';
import type { TokenStore } from './token-store.ts';

/** Domains of a store that hold out enough to be measured: at least two tokens. */
export function validatedDomains({ index }: TokenStore): readonly number[] {
  return [...index.domains.keys()].filter(
    (domain) => index.domains[domain]!.validation.nTokens > 1,
  );
}

/** Sequences of a domain's training part. */
export function sequencesOf(store: TokenStore, domain: number, nCtx: number): number {
  return Math.max(0, Math.floor((store.index.domains[domain]!.train.nTokens - 1) / nCtx));
}

/** Sequences of training parts as the micro-batches of a step. @param nSeq sequences of a pass; divides them */
export function stepBatches(
  store: TokenStore,
  sequences: readonly { readonly domain: number; readonly sequence: number }[],
  { nCtx, nSeq }: { readonly nCtx: number; readonly nSeq: number },
): TokenBatch[] {
  return Array.from({ length: sequences.length / nSeq }, (_, micro) =>
    windowBatch(
      sequences
        .slice(micro * nSeq, (micro + 1) * nSeq)
        .map(({ domain, sequence }) => store.read(domain, 'train', sequence * nCtx, nCtx + 1)),
      nCtx,
    ),
  );
}

/** Windows of `nCtx + 1` tokens or fewer as one pass: every token but the last predicts the next one. */
export function windowBatch(
  windows: readonly Int32Array[],
  nCtx: number,
  nSeq = windows.length,
): TokenBatch {
  const tokens = new Int32Array(nSeq * nCtx);
  const nTargets = windows.reduce((sum, window) => sum + window.length - 1, 0);
  const positions = new Int32Array(nTargets);
  const labels = new Int32Array(nTargets);
  let target = 0;
  for (const [row, window] of windows.entries()) {
    tokens.set(window.subarray(0, window.length - 1), row * nCtx);
    for (let at = 0; at + 1 < window.length; at++) {
      positions[target] = row * nCtx + at;
      labels[target++] = window[at + 1]!;
    }
  }
  return { tokens, positions, labels };
}

/** What is measured of a domain's validation part. */
export interface ValidationSet {
  readonly name: string;
  readonly batches: readonly TokenBatch[];
}

/** Validation batches of every domain that has any, in the order of `validatedDomains`. */
export function validationSets(
  store: TokenStore,
  {
    nCtx,
    nSeq,
    windows: maxWindows,
  }: { readonly nCtx: number; readonly nSeq: number; readonly windows: number },
): ValidationSet[] {
  return validatedDomains(store).map((domain) => {
    const { name, validation } = store.index.domains[domain]!;
    const available = Math.floor((validation.nTokens - 1) / nCtx);
    const count = Math.max(1, Math.min(maxWindows, available));
    const windows = Array.from({ length: count }, (_, window) => {
      const start = Math.floor((window * available) / count) * nCtx;
      return store.read(
        domain,
        'validation',
        start,
        Math.min(nCtx + 1, validation.nTokens - start),
      );
    });
    const batches = Array.from({ length: Math.ceil(count / nSeq) }, (_, first) =>
      windowBatch(windows.slice(first * nSeq, (first + 1) * nSeq), nCtx, nSeq),
    );
    return { name, batches };
  });
}

/** What gives the losses of a batch: a trainer. */
interface LossSource {
  forward(batch: TokenBatch): Promise<ForwardResult>;
}

/** Mean loss over batches, nats a token. @throws TRAIN_BATCH_INVALID, DISPOSED */
export async function lossOf(trainer: LossSource, batches: readonly TokenBatch[]): Promise<number> {
  let sum = 0;
  let nTargets = 0;
  for (const batch of batches) {
    const { losses } = await trainer.forward(batch);
    for (const loss of losses) sum += loss;
    nTargets += losses.length;
  }
  return sum / nTargets;
}
