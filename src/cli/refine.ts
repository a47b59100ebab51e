/** `gristmill refine`: printing around refineCorpus(); its flags are defined in commands/refine.ts. */
import { readFileSync } from 'node:fs';
import { GristmillError } from '../errors.ts';
import type { RefinerName } from '../refine/refiner-names.ts';
import { refineCorpus } from '../refine/run.ts';
import type { RefineCorpusOptions } from '../refine/run-options.ts';
import type { RunSummary } from '../refine/statistics.ts';
import { parseWorker } from '../work/worker-share.ts';
import { openEvents } from './events.ts';
import { untilInterrupted } from './interrupt.ts';
import { type ObserveFlags, openObserver } from './observe.ts';
import { planTable } from './plan-table.ts';
import { progressPrinter, summaryTable } from './progress.ts';
import { printResult, say } from './say.ts';

const INTERRUPT_WORDS = {
  ending: 'finishing the units in flight',
  ended: 'run the same command again',
};

/** Flags of refine. */
export interface RefineFlags extends ObserveFlags {
  readonly out: string;
  readonly refiner?: RefinerName;
  readonly system?: string;
  readonly documentModel?: string;
  readonly chunkModel?: string;
  readonly stages?: string[];
  readonly profile?: string;
  readonly dialect?: 'prox' | 'ultrax';
  readonly executor?: 'strict' | 'compat';
  readonly docMode?: 'score' | 'generate';
  readonly docThreshold?: number;
  readonly lineThreshold?: number;
  readonly retention?: number;
  readonly freeDecoding?: boolean;
  readonly maxErrors?: number;
  readonly minKeptRatio?: number;
  readonly textColumn?: string;
  readonly textPer?: 'file' | 'line';
  readonly idColumn?: string;
  readonly site?: boolean;
  readonly siteColumn?: string;
  readonly sites?: string;
  readonly keepOriginal?: boolean;
  readonly droppedText?: boolean;
  readonly reuse?: string;
  readonly keepScores?: boolean;
  readonly keepAllScores?: boolean;
  readonly keepDropped?: boolean;
  readonly eventsFd?: number;
  readonly statusPrefix?: string;
  readonly replaceStatus?: boolean;
  readonly format?: 'parquet' | 'jsonl.zst';
  readonly rowGroupRows?: number;
  readonly unitRows?: number;
  readonly zstdLevel?: number;
  readonly limit?: number;
  readonly inferLines?: number | 'all';
  readonly maxLineBytes?: number;
  readonly zstdWindowLog?: number;
  readonly rejected?: string;
  readonly seed?: number;
  readonly device: string;
  readonly threads?: number;
  readonly slots?: number;
  readonly workers?: number;
  readonly slabMb?: number;
  readonly slabs?: number;
  readonly inProcess?: boolean;
  readonly watchdog?: number;
  readonly lease?: number;
  readonly failFast?: boolean;
  readonly worker?: string;
  readonly plan?: boolean;
  readonly estimate?: number | true;
  readonly workersCount?: number;
  readonly pricePerHour?: number;
  readonly show?: number;
  readonly json?: boolean;
}

/** The action of `gristmill refine`. */
export async function refine(inputs: string[], flags: RefineFlags): Promise<void> {
  if (flags.estimate !== undefined) return printEstimate(inputs, flags);
  if (flags.out === '-' && !flags.plan && process.stdout.isTTY) {
    throw new GristmillError('OPTION_INVALID', {
      option: '--out',
      expected: 'a folder, or - with standard output sent to a file or a program',
      received: '- on a terminal, which cannot show Arrow IPC',
    });
  }
  const isStream = flags.out === '-' && !flags.plan;
  await using observer = await openObserver(flags, null, flags.json ? () => undefined : say);
  const { isLog } = observer;
  const progress = await progressPrinter({ json: flags.json || isLog });
  await using events = openEvents(flags.eventsFd, isStream);
  const toTable = flags.out !== '-' && !flags.json;
  const shown = toTable && flags.show ? await openBeforeAfter(flags.show) : null;
  try {
    await untilInterrupted(INTERRUPT_WORDS, async (stop) => {
      const summary = await refineCorpus({
        ...corpusOptions(inputs, flags),
        stop,
        onProgress: (told) => {
          progress.update(told);
          events.progress(told);
          observer.progress(told);
        },
        ...(observer.onActivity && { onActivity: observer.onActivity }),
        onNotice: (line) => {
          if (isLog) say(line);
          else progress.notice(line);
          events.notice(line);
        },
        onStreamed: events.streamed,
        ...(shown && {
          onDocument: (document) => shown.add(document),
          documentLimit: flags.show!,
        }),
      });
      progress.stop();
      if (shown) process.stdout.write(shown.text());
      // Where the rows go to standard output, what is said of them goes to the other.
      if (flags.out !== '-') printResult(flags.json, summary, () => tableOf(summary));
      else if (!isLog)
        process.stderr.write(flags.json ? `${JSON.stringify(summary)}\n` : tableOf(summary));
      if (summary.interrupted) process.exitCode = 130;
      else if (summary.errors.length > 0) process.exitCode = 3;
      events.ended(summary);
      observer.ended(summary);
      await observer.linger(stop);
    });
  } catch (error) {
    throw events.failed(error);
  } finally {
    progress.stop();
  }
}

/** The table of a run, or of its plan. */
function tableOf(summary: RunSummary): string {
  return summary.plan ? planTable(summary.plan, summary.errors) : summaryTable(summary);
}

/** A text file without the line feed at its end. */
export function readSystem(file: string): string {
  try {
    return readFileSync(file, 'utf8').replace(/\r?\n$/, '');
  } catch (cause) {
    throw new GristmillError(
      'OPTION_INVALID',
      {
        option: '--system',
        expected: 'a text file',
        received: `${file}: ${(cause as Error).message}`,
      },
      { cause },
    );
  }
}

/** Says what the run would take and give. */
async function printEstimate(inputs: string[], flags: RefineFlags): Promise<void> {
  const { estimate: asked, workersCount, pricePerHour } = flags;
  const { estimateRefine } = await import('../refine/estimate.ts');
  const { estimateTable } = await import('./estimate-table.ts');
  const { isolate: _, ...run } = corpusOptions(inputs, flags);
  const estimate = await estimateRefine({
    ...run,
    ...(typeof asked === 'number' && { share: asked }),
    ...defined({ workersCount, pricePerHour }),
    onNotice: say,
  });
  printResult(flags.json, estimate, () => estimateTable(estimate));
}

/** Flags as library options; undefined ones are left out so that the library's defaults hold. */
export function corpusOptions(inputs: string[], flags: RefineFlags): RefineCorpusOptions {
  const { out, stages, docMode, docThreshold, freeDecoding, inProcess, plan, slabMb, ...rest } =
    flags;
  const { maxErrors, minKeptRatio, slabs, system, json: _, show: _show, ...others } = rest;
  const { keepScores, keepAllScores, worker, eventsFd: _fd, ...more } = others;
  const { estimate: _estimate, workersCount: _count, pricePerHour: _price, ...run } = more;
  const {
    metricsPort: _port,
    metricsHost: _host,
    metricsLinger: _linger,
    log: _log,
    ...same
  } = run;
  const chosen = {
    ...same,
    system: system === undefined ? undefined : readSystem(system),
    inputs,
    out,
    stages: stages as RefineCorpusOptions['stages'],
    documentMode: docMode,
    documentThreshold: docThreshold,
    constrained: freeDecoding ? false : undefined,
    keepScores: keepAllScores ? 'all' : keepScores,
    isolate: !inProcess,
    worker: worker === undefined ? undefined : parseWorker(worker),
    planOnly: plan,
    execute: defined({ maxErrors, minKeptRatio }),
    slabBytes: slabMb === undefined ? undefined : slabMb * 2 ** 20,
    nSlabs: slabs,
  };
  return defined(chosen) as unknown as RefineCorpusOptions;
}

function defined<T extends object>(values: T): Partial<T> {
  return Object.fromEntries(
    Object.entries(values).filter(([, value]) => value !== undefined),
  ) as Partial<T>;
}

/** Loaded where somebody asks: few runs show anything. */
async function openBeforeAfter(limit: number) {
  const [{ BeforeAfter }, { wantsColour }] = await Promise.all([
    import('./before-after.ts'),
    import('./colour.ts'),
  ]);
  return new BeforeAfter(limit, wantsColour(process.stdout));
}
