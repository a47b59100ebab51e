/** `gristmill mix tokenize`, `train`: parsing and printing around the token store and the sweep of proxies. */
import type { Command } from 'commander';
import { withoutSecrets } from '../corpus/storage/addresses.ts';
import { count } from '../figures.ts';
import {
  type ProxyPreset,
  type ProxySettings,
  proxySettings,
} from '../mixture/proxies/settings.ts';
import {
  type SweepProgress,
  type SweepSubject,
  type SweepSummary,
  trainProxies,
} from '../mixture/proxies/sweep.ts';
import { readRepetitionPlan } from '../mixture/repetition/plan-file.ts';
import { readMixtures } from '../mixture/tables.ts';
import { readSources } from '../tokens/sources.ts';
import type { StoreIndex } from '../tokens/token-store.ts';
import { tokenizeDomains } from '../tokens/tokenize.ts';
import { parseWorker, workerName } from '../work/worker-share.ts';
import { noticePrinter, onInterrupt } from './interrupt.ts';
import { table } from './mix-output.ts';
import { type ObserveFlags, openObserver } from './observe.ts';
import { duration } from './progress.ts';
import { progressLine, tellOn } from './progress-line.ts';
import { printResult, say as sayAlways } from './say.ts';

/** Flags of `mix tokenize`. */
export interface TokenizeFlags {
  readonly domains: string;
  readonly tokenizer?: string;
  readonly trainTokenizer?: number;
  readonly out: string;
  readonly validation: number;
  readonly json?: boolean;
}

/** The action of `mix tokenize`. */
export async function tokenize(flags: TokenizeFlags, command: Command): Promise<void> {
  const { domains, tokenizer, trainTokenizer, out, validation, json = false } = flags;
  if (tokenizer === undefined && trainTokenizer === undefined) {
    command.error('error: --tokenizer FILE or --train-tokenizer SIZE is needed');
  }
  const controller = new AbortController();
  const restore = onInterrupt(controller, 'stopping; the same command goes on');
  const line = progressLine(json, { atOnce: true });
  try {
    const index = await tokenizeDomains({
      sources: readSources(domains),
      tokenizer: tokenizer ?? { trainSize: trainTokenizer! },
      out,
      validationShare: validation,
      onProgress: ({ nSources, totalSources, nDocs, nTokens }) =>
        line.update(
          `${nSources} of ${totalSources} sources | ${count(nDocs)} docs | ${count(nTokens)} tokens`,
          { done: nSources, total: totalSources },
        ),
      onNotice: noticePrinter(json),
      signal: controller.signal,
    });
    line.stop();
    printResult(json, { out, ...index }, () => storeText(index));
  } finally {
    line.stop();
    restore();
  }
}

function storeText({ domains, nSkipped, tokenizer }: StoreIndex): string {
  const rows = domains.map(({ name, train, validation }) => [
    name,
    count(train.nDocs),
    count(train.nTokens),
    count(validation.nDocs),
    count(validation.nTokens),
  ]);
  const text = table([['domain', 'docs', 'tokens', 'held-out docs', 'tokens'], ...rows]);
  const skipped = nSkipped > 0 ? `${count(nSkipped)} rows without a text or a domain\n` : '';
  return `${text}vocabulary: ${count(tokenizer.nTokens)} tokens\n${skipped}`;
}

/** Flags of `mix train`. */
export interface ProxyFlags extends ObserveFlags {
  readonly mixtures: string;
  readonly store: string;
  readonly preset: ProxyPreset;
  readonly out: string;
  readonly steps?: number;
  readonly batch?: number;
  readonly microBatch?: number;
  readonly lr?: number;
  readonly warmup?: number;
  readonly evalEvery?: number;
  readonly evalWindows?: number;
  readonly blend?: ProxySettings['blend'];
  readonly repetition?: string;
  readonly seed?: number;
  readonly jobs?: number;
  readonly threads?: number;
  readonly device: string;
  readonly format: 'csv' | 'parquet';
  readonly worker?: string;
  readonly storeCacheGb?: number;
  readonly json?: boolean;
}

/** The action of `mix train`. */
export async function trainSweep(flags: ProxyFlags): Promise<void> {
  const { json = false } = flags;
  const controller = new AbortController();
  const restore = onInterrupt(controller, 'stopping; the same command goes on');
  const say = noticePrinter(json);
  await using observer = await openObserver(flags, null, say);
  const { isLog } = observer;
  const line = progressLine(json || isLog, { atOnce: true });
  const report = sweepReporter(line.update);
  try {
    const summary = await trainProxies({
      ...(await sweepOf(flags)),
      jobs: flags.jobs,
      nThreads: flags.threads,
      worker: flags.worker === undefined ? undefined : parseWorker(flags.worker),
      onFetched: tellOn(line),
      onProgress: report,
      ...(observer.onWork && { onActivity: observer.onWork }),
      onNotice: isLog ? sayAlways : say,
      signal: controller.signal,
    });
    line.stop();
    printResult(json, summary, () => sweepText(summary));
    if (summary.interrupted) process.exitCode = 130;
    else if (summary.failures.length > 0) process.exitCode = 3;
    const { nRuns, nResumed, nTrained, failures, interrupted, seconds } = summary;
    const counts = { nRuns, nResumed, nTrained, failures: failures.length };
    observer.workEnded({ ...counts, interrupted, seconds });
    await observer.linger(controller.signal);
  } finally {
    line.stop();
    restore();
  }
}

/** The sweep that the flags mean. @throws MIXTURE_TABLE_INVALID, OPTION_INVALID, STORAGE_* */
export async function sweepOf(flags: ProxyFlags): Promise<SweepSubject & { readonly out: string }> {
  return {
    mixtures: await readMixtures(flags.mixtures),
    mixturesName: withoutSecrets(flags.mixtures),
    store: flags.store,
    settings: proxySettings(flags.preset, overridesOf(flags)),
    ...(flags.repetition !== undefined && { repetition: readRepetitionPlan(flags.repetition) }),
    out: flags.out,
    device: flags.device,
    format: flags.format,
    storeCacheBytes: cacheBytesOf(flags),
  };
}

function cacheBytesOf({ storeCacheGb }: ProxyFlags): number | undefined {
  return storeCacheGb === undefined ? undefined : Math.ceil(storeCacheGb * 2 ** 30);
}

function overridesOf(flags: ProxyFlags): Partial<ProxySettings> {
  const given = {
    steps: flags.steps,
    batch: flags.batch,
    microBatch: flags.microBatch,
    peakLr: flags.lr,
    warmupSteps: flags.warmup,
    evalEvery: flags.evalEvery,
    evalWindows: flags.evalWindows,
    blend: flags.blend,
    seed: flags.seed,
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

/** All runs in one line: how many are finished, what is running, tokens a second together. */
function sweepReporter(update: (text: string) => void): (progress: SweepProgress) => void {
  const running = new Map<string, SweepProgress>();
  const started = performance.now();
  let nTrainedSteps = 0;
  return (progress) => {
    if (progress.loss !== undefined) nTrainedSteps++;
    running.set(progress.run, progress);
    if (progress.step === progress.totalSteps && progress.loss === undefined) {
      running.delete(progress.run);
    }
    const { nFinished, nRuns, totalSteps } = progress;
    const speed = [...running.values()].reduce((sum, run) => sum + run.tokensPerSecond, 0);
    const under = [...running.values()].reduce((sum, run) => sum + run.step, 0);
    const left = (nRuns - nFinished) * totalSteps - under;
    const secondsPerStep = (performance.now() - started) / 1000 / Math.max(1, nTrainedSteps);
    update(
      `${nFinished} of ${nRuns} proxies | ${running.size} running | ${count(Math.round(speed))} tokens/s | ETA ${duration(Math.max(0, left) * secondsPerStep)}`,
    );
  };
}

function sweepText(summary: SweepSummary): string {
  const rows: string[][] = [
    [
      'proxies',
      `${summary.nRuns}${summary.worker ? ` of worker ${workerName(summary.worker)}` : ''}`,
    ],
    ['finished now', `${summary.nTrained}`],
    ['finished before', `${summary.nResumed}`],
    ...(summary.unmeasured.length > 0
      ? [['not measured', `${summary.unmeasured.join(', ')} (nothing held out)`]]
      : []),
    ...summary.failures.map(({ run, code, message }) => ['failed', `${run}: ${code}: ${message}`]),
    ['time', duration(summary.seconds)],
    summary.interrupted
      ? ['interrupted', 'run the same command again to finish']
      : ['losses', summary.losses ?? 'none'],
  ];
  return table(rows);
}
