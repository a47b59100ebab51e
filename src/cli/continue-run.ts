/** `gristmill continue run`: parsing and printing around runPlan(). */
import { readPlan } from '../continual/plan/config.ts';
import type { Checkpoint } from '../continual/run/lineage.ts';
import { type RunPlanResult, runPlan, type StageProgress } from '../continual/run/run.ts';
import { count } from '../figures.ts';
import { own } from '../own.ts';
import { noticePrinter, untilInterrupted } from './interrupt.ts';
import { table } from './mix-output.ts';
import { type Part, progressLine } from './progress-line.ts';
import { printResult } from './say.ts';

/** Flags of `continue run`. */
export interface RunFlags {
  readonly out: string;
  readonly device?: string;
  readonly threads?: number;
  readonly json?: boolean;
}

/** The action of `continue run`. */
export async function run(
  file: string,
  { out, device, threads, json = false }: RunFlags,
): Promise<void> {
  const plan = readPlan(file);
  const config = {
    ...plan,
    ...(device !== undefined && { device }),
    ...(threads !== undefined && { nThreads: threads }),
  };
  const line = progressLine(json, { atOnce: true });
  const words = {
    ending: 'finishing the step under way',
    ended: 'run the same command again to finish',
  };
  try {
    await untilInterrupted(words, async (signal) => {
      const result = await runPlan(config, {
        out,
        file,
        signal,
        onNotice: noticePrinter(json),
        onTokenize: ({ nSources, totalSources, nTokens }) =>
          line.update(
            `tokens of ${nSources} of ${totalSources} sources | ${count(nTokens)} tokens`,
          ),
        onProgress: (progress) => line.update(progressText(progress), partOf(progress)),
      });
      line.stop();
      printResult(json, result, () => resultText(result));
      if (result.interrupted) process.exitCode = 130;
    });
  } finally {
    line.stop();
  }
}

/** Steps of the stage under way and those behind it, taken as long as this one's. */
function partOf({ stageIndex, nStages, step, totalSteps }: StageProgress): Part {
  return { done: step, total: totalSteps * (nStages - stageIndex) };
}

function progressText(progress: StageProgress): string {
  const { stage, stageIndex, nStages, step, totalSteps, loss, lr, validation } = progress;
  const figures = [
    loss === undefined ? [] : [`loss ${loss.toFixed(4)}`],
    lr === undefined ? [] : [`lr ${lr.toExponential(2)}`],
    Object.entries(validation ?? {}).map(([set, own]) => `${set} ${own.toFixed(4)}`),
    progress.tokensPerSecond === 0
      ? []
      : [`${count(Math.round(progress.tokensPerSecond))} tokens/s`],
  ].flat();
  const where = `stage ${stageIndex + 1} of ${nStages}, ${stage}: step ${step} of ${totalSteps}`;
  return `${where} | ${figures.join(' | ')}`;
}

/** A row for every checkpoint: losses by validation set, behind them the difference to the checkpoint it came from. */
function resultText(result: RunPlanResult): string {
  const { stages, out, nParams, tokens, computeRatio, interrupted, notes } = result;
  const sets = Object.keys(stages[0]?.losses.annealed ?? {});
  const rows = stages.flatMap(({ checkpoints, losses: { start }, parent }) =>
    checkpoints.map((checkpoint) => [
      checkpoint.id,
      parent ?? 'first weights',
      ...tokensOf(checkpoint),
      ...sets.map((set) => {
        const loss = own(checkpoint.losses ?? {}, set) ?? Number.NaN;
        const change = loss - (own(start, set) ?? Number.NaN);
        const sign = change >= 0 ? '+' : '−';
        return parent === null
          ? loss.toFixed(4)
          : `${loss.toFixed(4)} (${sign}${Math.abs(change).toFixed(4)})`;
      }),
    ]),
  );
  const header = ['checkpoint', 'from', 'new tokens', 'replayed', ...sets];
  return [
    rows.length > 0 ? table([header, ...rows]) : '',
    rows.length > 0
      ? 'Losses on the validation sets, nats a token; in brackets the change since the checkpoint it came from\n'
      : '',
    rows.length > 0 ? '(above 0: forgotten). Tokens are those of the whole way.\n' : '',
    table([
      ['parameters', count(nParams)],
      ['tokens of all stages', count(tokens)],
      ['against training anew', `${(100 * computeRatio).toFixed(1)} % of the tokens`],
      ...notes.map((note) => ['note', note]),
      interrupted ? ['interrupted', 'run the same command again to finish'] : ['run', out],
    ]),
  ].join('');
}

function tokensOf({ seen }: Checkpoint): string[] {
  const all = Object.values(seen);
  return (['newTokens', 'replayedTokens'] as const).map((key) =>
    count(all.reduce((sum, own) => sum + own[key], 0)),
  );
}
