/** `gristmill mix fit` and `predict`: parsing and printing around the mixture room. */
import { csvText } from '../csv.ts';
import { GristmillError, printable } from '../errors.ts';
import { fitMixture } from '../mixture/fit.ts';
import { fitInput, loadFit, saveFit } from '../mixture/fit-file.ts';
import type { FittedMixture } from '../mixture/fit-types.ts';
import { predictMixtures, type TargetPrediction } from '../mixture/predict.ts';
import { fitAt } from '../mixture/scale/at.ts';
import type { Scale, ScaleReport } from '../mixture/scale/types.ts';
import { stackRuns } from '../mixture/stack-runs.ts';
import {
  joinRuns,
  type LossFile,
  type MixtureFile,
  readLosses,
  readMixtures,
  targetName,
} from '../mixture/tables.ts';
import type { SurrogateFamilyName } from '../mixture/types.ts';
import { writeWhole } from '../mixture/write-whole.ts';
import { escapeHidden } from '../printable.ts';
import { table } from './eval-refiner.ts';
import { defined } from './flags.ts';
import { untilInterrupted } from './interrupt.ts';
import { note, warn } from './mix-output.ts';
import { progressLine, tellOn } from './progress-line.ts';
import { printResult } from './say.ts';

/** Flags of `mix fit`. */
export interface FitFlags {
  readonly mixtures: string;
  readonly losses: readonly string[];
  readonly out: string;
  readonly model: SurrogateFamilyName;
  readonly targets?: readonly string[];
  readonly runs?: number;
  readonly seed: number;
  readonly folds: number;
  readonly learningCurve?: boolean;
  readonly skipMissing?: boolean;
  readonly indexColumn?: string;
  readonly domains?: readonly string[];
  readonly ignore?: readonly string[];
  readonly relative?: boolean;
  readonly json?: boolean;
}

/** Flags of `mix predict`. */
export interface PredictFlags {
  readonly mixtures: string;
  readonly level: number;
  readonly out?: string;
  readonly indexColumn?: string;
  readonly ignore?: readonly string[];
  readonly relative?: boolean;
  readonly at?: Pick<Scale, 'params' | 'tokens'>;
  readonly allowBeyond?: boolean;
  readonly json?: boolean;
}

/** The action of `mix fit`. */
export async function fit(flags: FitFlags): Promise<void> {
  const { indexColumn, model, targets, runs: nRuns, seed, folds, out, json } = flags;
  const onMissing = flags.skipMissing ? 'skip' : 'error';
  const { domains, ignore, relative } = flags;
  const named = defined({ indexColumn, ignore });
  using line = progressLine(json);
  await untilInterrupted(
    { ending: 'stopping the fit', ended: 'nothing was written' },
    async (signal) => {
      const mixtures = await readMixtures(flags.mixtures, {
        ...named,
        ...defined({ domains, relative }),
      });
      const losses: LossFile[] = [];
      for (const file of flags.losses) {
        losses.push(await readLosses(file, { ...named, ...defined({ targets }), onMissing }));
      }
      const ignoredColumns = leftOut(mixtures, losses, flags);
      for (const each of mixtures.notes) note(each);
      // Rows left out of the losses are no ids that the mixtures have alone.
      const joined = losses.map((table, at) => {
        const files = { mixtures: flags.mixtures, losses: flags.losses[at]! };
        return joinRuns(mixtures, table, { onMissing, files });
      });
      const runs = stackRuns(joined, flags.losses);
      const fitted = await fitMixture({
        runs,
        model,
        seed,
        folds,
        learningCurve: flags.learningCurve ?? false,
        ...defined({ targets, nRuns }),
        signal,
        onProgress: ({ done, total }) => line.update(`${done} of ${total} fits`, { done, total }),
      });
      line.stop();
      const inputs = [await fitInput(flags.mixtures)];
      for (const file of flags.losses) inputs.push(await fitInput(file));
      await saveFit(out, fitted, inputs);
      const {
        predicted: _predicted,
        halfWidths90: _halfWidths,
        ...crossValidation
      } = fitted.report.crossValidation ?? {};
      const summary = {
        out,
        model,
        seed,
        nDomains: fitted.domains.length,
        targets: fitted.targets,
        nRenormalised: mixtures.nRenormalised,
        nIncomplete: losses.reduce((sum, { nSkipped }) => sum + nSkipped, 0),
        nWithoutLosses: runs.nWithoutLosses,
        nWithoutMixture: runs.nWithoutMixture,
        ignoredColumns,
        ...fitted.report,
        crossValidation: fitted.report.crossValidation && crossValidation,
      };
      printResult(json, summary, () => fitText(fitted, summary));
    },
  );
}

/** Columns that neither table's part was taken from. @throws OPTION_INVALID for one of --ignore that is in none */
function leftOut(
  mixtures: MixtureFile,
  losses: readonly LossFile[],
  { ignore = [], mixtures: first, losses: others }: FitFlags,
): string[] {
  const columns = new Set([...mixtures.ignored, ...losses.flatMap(({ ignored }) => ignored)]);
  const unknown = ignore.find((name) => !columns.has(name));
  if (unknown !== undefined) {
    const expected = `columns of ${first} or ${others.join(', ')}`;
    throw new GristmillError('OPTION_INVALID', { option: '--ignore', expected, received: unknown });
  }
  // One file may hold both.
  const targets = losses.flatMap((table) => table.targets);
  for (const name of [...mixtures.domains, ...targets]) columns.delete(name);
  return [...columns];
}

function fitText(
  { report, targets, domains, model }: FittedMixture,
  counts: {
    readonly out: string;
    readonly nRenormalised: number;
    readonly nIncomplete: number;
    readonly nWithoutLosses: number;
    readonly nWithoutMixture: number;
    readonly ignoredColumns: readonly string[];
  },
): string {
  const { crossValidation, learningCurve, notes } = report;
  const lines = [
    `${model}: ${report.nRuns} runs, ${domains.length} domains, ${targets.length} targets, ${report.seconds.toFixed(1)} s`,
  ];
  const left = counts.nWithoutLosses + counts.nWithoutMixture;
  if (counts.nRenormalised > 0) lines.push(`${counts.nRenormalised} mixtures divided by their sum`);
  if (counts.nIncomplete > 0) lines.push(`${counts.nIncomplete} rows without all losses left out`);
  if (left > 0) lines.push(`${left} rows that only one table has left out`);
  const { ignoredColumns: ignored } = counts;
  if (ignored.length > 0) {
    const more = ignored.length > 20 ? `, and ${ignored.length - 20} more` : '';
    lines.push(
      `columns not taken: ${ignored
        .slice(0, 20)
        .map((each) => printable(each))
        .join(', ')}${more}`,
    );
  }
  lines.push(...notes.map((each) => escapeHidden(each)));
  let text = `${lines.join('\n')}\n`;
  if (crossValidation) {
    text += table([
      [`${crossValidation.nFolds}-fold`, 'Spearman', 'Pearson', 'RMSE', 'MAE', '90 % covers'],
      ...crossValidation.targets.map((target) => [
        printable(targetName(target.target)),
        fixed(target.spearman),
        fixed(target.pearson),
        target.rmse.toFixed(4),
        target.mae.toFixed(4),
        `${(100 * target.coverage.calibrated[2]!).toFixed(1)} %`,
      ]),
      [
        'mean',
        fixed(crossValidation.mean.spearman),
        fixed(crossValidation.mean.pearson),
        crossValidation.mean.rmse.toFixed(4),
        crossValidation.mean.mae.toFixed(4),
        '',
      ],
    ]);
  }
  if (report.scale) text += blocksText(report.scale);
  if (learningCurve) {
    text += table([
      ['runs', 'Spearman', 'RMSE'],
      ...learningCurve.points.map(({ nRuns, spearman, rmse }) => [
        String(nRuns),
        fixed(spearman),
        rmse.toFixed(4),
      ]),
    ]);
  }
  return `${text}${printable(counts.out)}\n`;
}

/** What blocks that were left out say, by law. */
function blocksText({ range, repeatWorth, blocks }: ScaleReport): string {
  const span = ([least, most]: readonly [number, number]): string =>
    `${least.toPrecision(3)} to ${most.toPrecision(3)}`;
  const lines = [`${span(range.params)} parameters, ${span(range.tokens)} tokens`];
  if (repeatWorth !== null) {
    lines.push(`repeated tokens: worth of about ${repeatWorth} epochs at most`);
  }
  const laws = [...new Set(blocks.flatMap(({ errors }) => Object.keys(errors)))];
  const percent = (value: number | undefined): string =>
    value === undefined ? '-' : `${(100 * value).toFixed(2)} %`;
  const rows = blocks.map(({ block, nRuns, errors, covered }) => [
    block,
    String(nRuns),
    ...laws.map((law) => percent(errors[law])),
    percent(covered),
  ]);
  const header = ['left out: mean relative error', 'runs', ...laws, '90 % covers'];
  return `${lines.join('\n')}\n${blocks.length === 0 ? '' : table([header, ...rows])}`;
}

function fixed(value: number | null): string {
  return value === null ? '-' : value.toFixed(4);
}

/** The action of `mix predict`. */
export async function predict(file: string, flags: PredictFlags): Promise<void> {
  const loaded = await loadFit(file);
  const { indexColumn, ignore, relative, level: asked } = flags;
  const mixtures = await readMixtures(flags.mixtures, defined({ indexColumn, ignore, relative }));
  for (const each of mixtures.notes) note(each);
  const fit = flags.at ? fitAt(loaded.fit, flags.at, { beyond: flags.allowBeyond }) : loaded.fit;
  using line = progressLine(flags.json);
  const predictions = predictMixtures(fit, mixtures, {
    ...{ level: asked, file: flags.mixtures, onProgress: tellOn(line) },
  });
  line.stop();
  const text = flags.json
    ? jsonLines(mixtures.ids, predictions)
    : csvLines(mixtures.ids, predictions);
  if (flags.out === undefined) process.stdout.write(text);
  else await writeWhole(flags.out, text);
  for (const { target, outside, seen } of predictions) {
    if (outside.length === 0) continue;
    const named = outside.slice(0, 8).map(({ row, mean }) => `${mixtures.ids[row]} (${mean})`);
    const more = outside.length > 8 ? `, and ${outside.length - 8} more` : '';
    warn(
      `${targetName(target)}: far outside of the losses of the runs, ${seen[0]}..${seen[1]}: index ${named.join(', ')}${more}; no run is near, and the surrogate may be far off`,
    );
  }
}

function intervalOf({ mean, halfWidth }: TargetPrediction, row: number): [number, number] | null {
  return halfWidth && [mean[row]! - halfWidth[row]!, mean[row]! + halfWidth[row]!];
}

function jsonLines(ids: readonly string[], predictions: readonly TargetPrediction[]): string {
  const lines = ids.map((index, row) =>
    JSON.stringify({
      index,
      predictions: Object.fromEntries(predictions.map((one) => [one.target, one.mean[row]!])),
      interval: Object.fromEntries(predictions.map((one) => [one.target, intervalOf(one, row)])),
    }),
  );
  return lines.map((line) => `${line}\n`).join('');
}

function csvLines(ids: readonly string[], predictions: readonly TargetPrediction[]): string {
  const header = predictions.flatMap(({ target }) => [target, `${target}_low`, `${target}_high`]);
  const rows = ids.map((index, row) => [
    index,
    ...predictions.flatMap((one) => {
      const [low, high] = intervalOf(one, row) ?? ['', ''];
      return [one.mean[row]!, low, high].map(String);
    }),
  ]);
  return csvText([['index', ...header], ...rows]);
}
