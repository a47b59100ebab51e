/**
 * The surrogates' mathematics: the addon's face, with abort signals and a bound on fits at a time.
 *
 * A fit takes one thread of libuv's pool for its whole time. As many run side by side as there are processors, but one
 * thread of the pool is always left to files and names; further fits wait in JavaScript, in order.
 */
import { availableParallelism } from 'node:os';
import { abortError, throwIfAborted } from '../errors.ts';
import { codedCall, fromNative } from './error.ts';

/** Rows of one target. */
export interface SurrogateRows {
  readonly nDomains: number;
  /** `[nRuns × nDomains]`. */
  readonly weights: Float64Array;
  /** `[nRuns]`. */
  readonly losses: Float64Array;
}

/** A fitted Gaussian process without its runs; see native/mixture/gaussian_process.h. */
export interface ProcessFit {
  readonly means: Float64Array;
  readonly scales: Float64Array;
  readonly lossMean: number;
  readonly lossScale: number;
  /** Logarithms: a length a domain, then signal, linear part and noise. */
  readonly parameters: Float64Array;
  readonly alpha: Float64Array;
}

/** What predictions need of a process: the fit, and the weights of its runs. */
export interface ProcessModel extends ProcessFit {
  readonly weights: Float64Array;
}

/** Parameters of a law; see native/mixture/laws.h. */
export interface LawFit {
  readonly parameters: Float64Array;
  readonly objective: number;
}

/** Boosted trees as flat nodes; see native/mixture/trees.h. */
export interface TreesFit {
  readonly base: number;
  readonly roots: Int32Array;
  readonly domains: Int32Array;
  readonly children: Int32Array;
  readonly splits: Float64Array;
}

/** Settings of boosting; see native/mixture/trees.h. */
export interface TreesRequest extends SurrogateRows {
  readonly heldOutWeights: Float64Array;
  readonly heldOutLosses: Float64Array;
  readonly nRounds: number;
  readonly nLeaves: number;
  readonly minLeaf: number;
  readonly maxBins: number;
  readonly learningRate: number;
  /** Rounds without a better held-out error before boosting stops. */
  readonly patience: number;
}

interface Cancellable {
  /** One word, set to 1 by the main thread. */
  readonly cancel: Int32Array;
}

/** A Gaussian process to fit; an empty `start` is the published one, no iterations keep it. */
export interface ProcessRequest extends SurrogateRows {
  readonly start: Float64Array;
  readonly maxIterations: number;
}

/** A law to fit; `nTerms` 0 is the mixing law. A `start` stands in for the seeded ones. */
export interface LawRequest extends SurrogateRows {
  readonly nTerms: number;
  readonly nStarts: number;
  readonly maxIterations: number;
  readonly seed: number;
  readonly start: Float64Array;
}

/** What the addon exports for mixtures. */
export interface MixtureAddon {
  fitGaussianProcess(request: ProcessRequest & Cancellable): Promise<ProcessFit>;
  fitLaw(request: LawRequest & Cancellable): Promise<LawFit>;
  fitTrees(request: TreesRequest & Cancellable): Promise<TreesFit>;
  gaussianProcessFactor(process: ProcessModel): Float64Array;
  predictGaussianProcess(
    process: ProcessModel,
    request: {
      readonly mixtures: Float64Array;
      readonly means: Float64Array;
      readonly factor: Float64Array | null;
      readonly deviations: Float64Array | null;
      readonly nThreads: number;
    },
  ): void;
  gaussianProcessGradient(
    process: ProcessModel,
    mixture: Float64Array,
    gradient: Float64Array,
  ): void;
  predictTrees(
    trees: TreesFit,
    request: {
      readonly nDomains: number;
      readonly mixtures: Float64Array;
      readonly means: Float64Array;
      readonly nThreads: number;
    },
  ): void;
  surrogateObjective(
    kind: 'gp' | 'power1' | 'power2' | 'mixing-law',
    request: SurrogateRows & {
      readonly parameters: Float64Array;
      readonly gradient: Float64Array;
    },
  ): number;
}

/** The surrogates' mathematics, typed. */
export interface NativeMixture {
  readonly mixture: {
    /** @throws ABORTED, NATIVE_FAILED when the kernel matrix is singular */
    fitProcess(request: ProcessRequest, signal: AbortSignal | undefined): Promise<ProcessFit>;
    /** @throws ABORTED */
    fitLaw(request: LawRequest, signal: AbortSignal | undefined): Promise<LawFit>;
    /** @throws ABORTED */
    fitTrees(request: TreesRequest, signal: AbortSignal | undefined): Promise<TreesFit>;
    /** L⁻¹ of the kernel matrix, `[nRuns × nRuns]`: what deviations need. */
    processFactor(process: ProcessModel): Float64Array;
    /** Means of `mixtures`, or with `factor` standard deviations of a new run. */
    predictProcess(
      process: ProcessModel,
      mixtures: Float64Array,
      factor: Float64Array | null,
    ): { readonly means: Float64Array; readonly deviations: Float64Array | null };
    processGradient(process: ProcessModel, mixture: Float64Array): Float64Array;
    predictTrees(trees: TreesFit, nDomains: number, mixtures: Float64Array): Float64Array;
    /** The objective of a family and its gradient at `parameters`; for tests. */
    objective: MixtureAddon['surrogateObjective'];
  };
}

/** The typed face over the addon's exports. */
export function mixtureWith(addon: MixtureAddon): NativeMixture['mixture'] {
  const nThreads = availableParallelism();
  const poolThreads = Number(process.env['UV_THREADPOOL_SIZE'] ?? 4) || 4;
  const turns = new Turns(Math.max(1, Math.min(nThreads, poolThreads - 1)));

  async function inTurn<Result>(
    what: string,
    signal: AbortSignal | undefined,
    call: (cancel: Int32Array) => Promise<Result>,
  ): Promise<Result> {
    await turns.enter(what, signal);
    const cancel = new Int32Array(1);
    const forget = onAbort(signal, () => Atomics.store(cancel, 0, 1));
    try {
      throwIfAborted(signal, what);
      return await codedCall(() => call(cancel), signal);
    } finally {
      forget();
      turns.leave();
    }
  }

  function coded<Result>(call: () => Result): Result {
    try {
      return call();
    } catch (error) {
      throw fromNative(error);
    }
  }

  return {
    fitProcess: (request, signal) =>
      inTurn('the gp fit', signal, (cancel) => addon.fitGaussianProcess({ ...request, cancel })),
    fitLaw: (request, signal) =>
      inTurn('the law fit', signal, (cancel) => addon.fitLaw({ ...request, cancel })),
    fitTrees: (request, signal) =>
      inTurn('the gbdt fit', signal, (cancel) => addon.fitTrees({ ...request, cancel })),
    processFactor: (process) => coded(() => addon.gaussianProcessFactor(process)),
    predictProcess(process, mixtures, factor) {
      const means = new Float64Array(mixtures.length / process.means.length);
      const deviations = factor === null ? null : new Float64Array(means.length);
      const request = { mixtures, means, factor, deviations, nThreads };
      coded(() => addon.predictGaussianProcess(process, request));
      return { means, deviations };
    },
    processGradient(process, mixture) {
      const gradient = new Float64Array(process.means.length);
      coded(() => addon.gaussianProcessGradient(process, mixture, gradient));
      return gradient;
    },
    predictTrees(trees, nDomains, mixtures) {
      const means = new Float64Array(mixtures.length / nDomains);
      coded(() => addon.predictTrees(trees, { nDomains, mixtures, means, nThreads }));
      return means;
    },
    objective: (kind, request) => coded(() => addon.surrogateObjective(kind, request)),
  };
}

/** At most so many at a time, first come first served; who aborts leaves the queue. */
class Turns {
  #free: number;
  readonly #waiting = new Set<() => void>();

  constructor(free: number) {
    this.#free = free;
  }

  async enter(what: string, signal: AbortSignal | undefined): Promise<void> {
    throwIfAborted(signal, what);
    if (this.#free > 0) {
      this.#free--;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const onTurn = () => {
        forget();
        resolve();
      };
      const forget = onAbort(signal, () => {
        this.#waiting.delete(onTurn);
        reject(abortError(what, signal));
      });
      this.#waiting.add(onTurn);
    });
  }

  leave(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#free++;
      return;
    }
    this.#waiting.delete(next);
    next();
  }
}

/** What every signal has to do when it aborts. */
const callbacksOf = new WeakMap<AbortSignal, Set<() => void>>();

/**
 * Calls back when `signal` aborts, until the returned function is called. A signal gets one listener however many fits
 * share it: Node prints a warning at the eleventh.
 */
function onAbort(signal: AbortSignal | undefined, callback: () => void): () => void {
  if (signal === undefined) return () => {};
  let callbacks = callbacksOf.get(signal);
  if (callbacks === undefined) {
    const added = new Set<() => void>();
    const callAll = () => {
      for (const call of added) call();
    };
    signal.addEventListener('abort', callAll, { once: true });
    callbacksOf.set(signal, added);
    callbacks = added;
  }
  const known = callbacks;
  known.add(callback);
  return () => known.delete(callback);
}
