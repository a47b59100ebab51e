/** `gristmill continue fit-replay` and `fit-law`: parsing and printing around the fits. */
import { statSync } from 'node:fs';
import { chooseReplay, type ReplayChoice, startOf } from '../continual/fit/choose-replay.ts';
import { type CptLaw, fitLaw, predictLaw } from '../continual/fit/fit-law.ts';
import { fitReplay, type ReplayFit } from '../continual/fit/fit-replay.ts';
import { curvesFromRuns, pilotsFromRuns } from '../continual/fit/from-runs.ts';
import { type LossCurve, readLossCurves } from '../continual/fit/loss-curves.ts';
import { type Pilot, percentText, readPilots } from '../continual/fit/pilots.ts';
import { replayCurve, replayFigure } from '../continual/fit/replay-figure.ts';
import { writeDurably } from '../durable-files.ts';
import { GristmillError, printable } from '../errors.ts';
import { count } from '../figures.ts';
import { own } from '../own.ts';
import { lrCurve } from '../schedules/curve.ts';
import type { ScheduleInput } from '../schedules/spec.ts';
import { defined } from './flags.ts';
import { table } from './mix-output.ts';
import { progressLine, tellOn } from './progress-line.ts';
import { printResult } from './say.ts';

/** Flags of `continue fit-replay`. */
export interface ReplayFlags {
  readonly old?: readonly string[];
  readonly new?: readonly string[];
  readonly tolerance?: number;
  readonly base?: number;
  readonly weights?: Readonly<Record<string, number>>;
  readonly stages?: readonly string[];
  readonly tokens?: number;
  readonly params?: number;
  readonly seed: number;
  readonly out?: string;
  readonly svg?: string;
  readonly json?: boolean;
}

/** Flags of `continue fit-law`. */
export interface LawFlags {
  readonly loss: string;
  readonly stages?: readonly string[];
  readonly lambda: number;
  readonly fromStep?: number;
  readonly schedule?: ScheduleInput;
  readonly steps?: number;
  readonly seed: number;
  readonly out?: string;
  readonly json?: boolean;
}

/** The action of `continue fit-replay`. */
export async function fitReplayCommand(
  inputs: readonly string[],
  flags: ReplayFlags,
): Promise<void> {
  const { old = [], new: fresh = [], stages, tolerance, weights, seed, json, out, svg } = flags;
  if (tolerance !== undefined && weights) {
    invalid('--tolerance', 'either --tolerance or --weights', 'both');
  }
  const sets = [...old, ...fresh];
  const pilots = pilotsOf(inputs, sets, stages);
  using line = progressLine(json);
  const named = { file: inputs.join(', '), onProgress: tellOn(line) };
  const fit = fitReplay({ pilots, old, new: fresh, seed, ...named });
  line.stop();
  const sizes = {
    ...(flags.tokens !== undefined && { tokens: flags.tokens }),
    ...(flags.params !== undefined && { params: flags.params }),
  };
  const choice =
    tolerance !== undefined
      ? chooseReplay({
          fit,
          tolerance,
          ...(flags.base !== undefined && { base: flags.base }),
          ...sizes,
        })
      : weights
        ? chooseReplay({ fit, weights, ...sizes })
        : null;
  const result = { fit, choice, curve: replayCurve(fit) };
  if (out !== undefined) write(out, `${JSON.stringify(result, null, 2)}\n`);
  if (svg !== undefined) write(svg, await replayFigure(fit, choice?.replay));
  printResult(json, result, () => replayText(fit, choice, flags));
}

function pilotsOf(
  inputs: readonly string[],
  sets: readonly string[],
  stages: readonly string[] | undefined,
): Pilot[] {
  const folders = inputs.filter(isFolder);
  if (folders.length === inputs.length) return pilotsFromRuns(folders, { stages });
  if (inputs.length === 1) return readPilots(inputs[0]!, sets);
  return invalid('pilots', 'one CSV file, or folders of runs', inputs.join(', '));
}

function replayText(fit: ReplayFit, choice: ReplayChoice | null, flags: ReplayFlags): string {
  const rows = fit.losses.map(({ set, side, form, parameters, rmse, leaveOneOut }) => [
    printable(set),
    `${side}, ${form}`,
    Object.entries(parameters)
      .map(([name, value]) => `${name} ${value.toPrecision(4)}`)
      .join(' '),
    rmse.toFixed(4),
    leaveOneOut ? leaveOneOut.rmse.toFixed(4) : '-',
    leaveOneOut ? leaveOneOut.largest.toFixed(4) : '-',
    leaveOneOut ? leaveOneOut.largestAtEnds.toFixed(4) : '-',
  ]);
  const span = fit.spans.replay.map(percentText).join('..');
  let text = table([
    [
      'loss',
      'form',
      `fitted to ${fit.pilots.length} pilots, replay ${span}`,
      'RMSE',
      'left out',
      'largest',
      'at the ends',
    ],
    ...rows,
  ]);
  if (fit.notes.length > 0) text += table(fit.notes.map((note) => ['note', printable(note)]));
  if (!choice) return text;
  const { replay, predicted, rises, average } = choice;
  text += `\nreplay ${percentText(replay)}`;
  if (rises) {
    const from = fit.losses.some(({ set, side }) => side === 'old' && startOf(fit, set) === null);
    const base =
      flags.base !== undefined
        ? `the base ${flags.base}`
        : from
          ? 'the loss at the most replay of the pilots'
          : 'the loss at the start of the pilots';
    text += `: the least with a rise of at most ${flags.tolerance} over ${base}`;
  } else {
    text += `: the lowest weighted average, ${average!.toFixed(4)}`;
  }
  return `${text}\n${table(
    Object.entries(predicted).map(([set, loss]) => [
      printable(set),
      loss.toFixed(4),
      riseOf(rises, set),
    ]),
  )}`;
}

/** The action of `continue fit-law`. */
export function fitLawCommand(inputs: readonly string[], flags: LawFlags): void {
  const { lambda, seed, schedule, steps, out, json } = flags;
  const curves = curvesOf(inputs, flags);
  using line = progressLine(json);
  const law = fitLaw({
    curves,
    lambda,
    seed,
    file: inputs.join(', '),
    ...defined({ fromStep: flags.fromStep }),
    onProgress: tellOn(line),
  });
  line.stop();
  const [first] = curves;
  const totalSteps = steps ?? first!.continueLr.length;
  const predicted = schedule
    ? predictLaw({
        law,
        pretrain: first!.pretrainLr,
        continuation: lrCurve(schedule, { totalSteps }, '--schedule'),
      }).continuation
    : null;
  const result = {
    law,
    ...(predicted && { predicted: { schedule, totalSteps, final: predicted.at(-1)! } }),
  };
  if (out !== undefined) {
    const whole = predicted ? { ...result, losses: [...predicted] } : result;
    write(out, `${JSON.stringify(whole, null, 2)}\n`);
  }
  printResult(json, result, () => lawText(law, curves, predicted));
}

function curvesOf(inputs: readonly string[], { loss, stages }: LawFlags): LossCurve[] {
  const folders = inputs.filter(isFolder);
  if (folders.length === inputs.length) return curvesFromRuns(folders, { set: loss, stages });
  if (inputs.length === 1) return readLossCurves(inputs[0]!, loss);
  return invalid('curves', 'one CSV file, or folders of runs', inputs.join(', '));
}

function lawText(
  law: CptLaw,
  curves: readonly LossCurve[],
  predicted: Float64Array | null,
): string {
  const { parameters, rmse, leftOut, nLosses, lambda } = law;
  let text = `${curves.length} curves, ${count(nLosses)} losses, λ ${lambda}: RMSE ${rmse.toFixed(4)}\n`;
  text += table(
    Object.entries(parameters).map(([name, value]) => [name, String(Number(value.toPrecision(5)))]),
  );
  const what =
    leftOut.kind === 'curve' ? 'every curve left out in turn' : 'the last quarter left out';
  text += `\n${what}: RMSE ${leftOut.rmse.toFixed(4)}, largest ${leftOut.largest.toFixed(4)}\n`;
  text += table(
    leftOut.parts.map((part) => [
      printable(part.name),
      part.rmse.toFixed(4),
      part.largest.toFixed(4),
    ]),
  );
  if (predicted) {
    text += `\npredicted loss after ${count(predicted.length)} steps: ${predicted.at(-1)!.toFixed(4)}\n`;
  }
  return text;
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

function write(path: string, content: string): void {
  try {
    writeDurably(path, content);
  } catch (cause) {
    const reason = (cause as Error).message;
    throw new GristmillError('CONTINUAL_WRITE_FAILED', { path, reason }, { cause });
  }
}

function invalid(option: string, expected: string, received: unknown): never {
  throw new GristmillError('OPTION_INVALID', { option, expected, received });
}

function riseOf(rises: Readonly<Record<string, number>> | null | undefined, set: string): string {
  const rise = own(rises ?? {}, set);
  return rise === undefined ? '' : `rise ${rise.toFixed(4)}`;
}
