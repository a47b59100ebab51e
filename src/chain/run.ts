/**
 * Runs a chain, or goes on with it: stage after stage, each in a folder of its own, with a ledger beside them.
 *
 *     DIR/refine/, tokenize/, mix/, continue/   see stages.ts; what the commands leave
 *     DIR/ledger/                               what is done, from what: see ledger.ts
 *     DIR/report.json, report.md                where every checkpoint comes from; written when all is done
 *
 * A chain that was killed at any moment and is run again leaves the same bytes in its results as one that was not: every
 * stage goes on by itself, and what is done is not touched.
 */
import { join } from 'node:path';
import { writeDurably } from '../durable-files.ts';
import { isGristmillError } from '../errors.ts';
import { abortSignal, callback, checkOptions, name, type OptionTable, whole } from '../options.ts';
import { withLease } from '../work/lease.ts';
import { CHAIN_STAGES, type ChainConfig, type ChainStage } from './config.ts';
import { ChainLedger } from './ledger.ts';
import { type ChainReport, chainReport, chainReportText } from './report.ts';
import { type ChainProgress, STAGES, type StageContext } from './stages.ts';

/** Options of {@link runChain}. */
export interface RunChainOptions {
  /** Folder of the chain. */
  readonly out: string;
  /** Named in errors. Default `the chain`. */
  readonly file?: string;
  /** CPU threads; no part of the results. */
  readonly nThreads?: number | undefined;
  readonly onProgress?: (progress: ChainProgress) => void;
  /** One line that a person should see. */
  readonly onNotice?: ((line: string) => void) | undefined;
  /** Ends the chain in good order; the same call goes on. */
  readonly signal?: AbortSignal | undefined;
}

/** What a chain gave. */
export interface RunChainResult {
  readonly out: string;
  /** Done before this call, and by it. */
  readonly resumed: readonly ChainStage[];
  readonly done: readonly ChainStage[];
  /** True: ended by the signal; the same call goes on. */
  readonly interrupted: boolean;
  /** Null while it is not whole. */
  readonly report: ChainReport | null;
}

const OPTION_TABLE: OptionTable<RunChainOptions> = {
  out: name,
  file: name,
  nThreads: whole(1),
  onProgress: callback,
  onNotice: callback,
  signal: abortSignal,
};

/**
 * Runs a chain.
 *
 * @throws CHAIN_CHANGED, CHAIN_STAGE_FAILED, CHAIN_WRITE_FAILED, RUN_OUTPUT_IN_USE, RUN_LEDGER_INVALID, and what the stages
 *   throw: those of refineCorpus(), tokenizeDomains(), sampleMixtures(), trainProxies(), fitMixture(), optimizeMixture(), runPlan()
 */
export async function runChain(
  chain: ChainConfig,
  options: RunChainOptions,
): Promise<RunChainResult> {
  checkOptions<RunChainOptions>('runChain', options, OPTION_TABLE, ['out']);
  const { out, file = 'the chain', nThreads, onProgress, onNotice, signal } = options;
  const context: StageContext = { chain, file, out, nThreads, signal, onNotice, onProgress };
  return withLease(out, join(out, 'lock'), 'CHAIN_WRITE_FAILED', options, async (lease) => {
    const ledger = new ChainLedger(out);
    const resumed: ChainStage[] = [];
    const done: ChainStage[] = [];
    for (const stage of CHAIN_STAGES) {
      if (!chain[stage]) continue;
      const { options: optionsOf, inputs, run, isOutput } = STAGES[stage];
      const isInterrupted = await untilAborted(signal, async () => {
        const known = await ledger.begin(
          stage,
          optionsOf(context),
          await inputs(context),
          onNotice,
        );
        if (known) {
          resumed.push(stage);
          return false;
        }
        if (await run(context)) return true;
        lease.check();
        await ledger.end(stage, isOutput);
        done.push(stage);
        return false;
      });
      if (isInterrupted) return { out, resumed, done, interrupted: true, report: null };
    }
    const report = await chainReport(chain, out);
    lease.check();
    writeDurably(join(out, 'report.json'), `${JSON.stringify(report, null, 2)}\n`);
    writeDurably(join(out, 'report.md'), chainReportText(report));
    return { out, resumed, done, interrupted: false, report };
  });
}

/** Whether the signal ended the work, whichever way it says so. */
async function untilAborted(
  signal: AbortSignal | undefined,
  work: () => Promise<boolean>,
): Promise<boolean> {
  if (signal?.aborted) return true;
  try {
    return await work();
  } catch (error) {
    if (signal?.aborted && isGristmillError(error, 'ABORTED')) return true;
    throw error;
  }
}
