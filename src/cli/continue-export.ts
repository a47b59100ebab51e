/** `gristmill continue export`: parsing and printing around schedules, blends and continuation options of other trainers. */

import { join } from 'node:path';
import { readPlan } from '../continual/plan/config.ts';
import { resolvePlan } from '../continual/plan/resolve.ts';
import { GristmillError, printable } from '../errors.ts';
import { checkExportFolder, writeExportFolder } from '../interop/export-folder.ts';
import { TRIED_WITH } from '../interop/releases.ts';
import { SCHEDULE_TARGETS, type ScheduleTarget } from '../interop/schedules/export.ts';
import { type ExportedStage, exportStage } from '../interop/stage.ts';
import { escapeHidden } from '../printable.ts';
import { counting } from '../progress.ts';
import { defined } from './flags.ts';
import { table } from './mix-output.ts';
import { progressLine, tellOn } from './progress-line.ts';
import { printResult } from './say.ts';

/** Flags of `continue export`. */
export interface ExportFlags {
  readonly trainer?: ScheduleTarget;
  readonly out?: string;
  readonly stage?: string;
  readonly checkpoints: string;
  readonly replayPaths?: string;
  readonly iterationsPerStep?: number;
  readonly tolerance?: number;
  readonly tableRows?: number;
  readonly list?: boolean;
  readonly json?: boolean;
}

/** What the export of each trainer consists of. */
const TRAINERS: Readonly<Record<ScheduleTarget, string>> = {
  'gpt-neox': 'YAML; blends as train-data-weights',
  megatron: 'Megatron-LM: options of the command line; blends for --data-args-path',
  torchtitan: 'pieces of a config_registry in Python',
  hf: 'the Trainer of transformers: JSON of its arguments; blends as datasets in Python',
  nanotron: 'YAML; blends as data_stages, which it changes by itself',
  'olmo-core': 'Python, and YAML of source mixtures',
  litgpt: 'YAML of litgpt pretrain; blends in Python',
  axolotl: 'YAML; no blends: shares must be cut beforehand',
  'mosaicml-streaming': 'Python: blends as streams; rates as a table for an optimizer of PyTorch',
};

interface WrittenStage extends Omit<ExportedStage, 'files'> {
  readonly stage: string;
  readonly folder: string;
  readonly files: readonly string[];
}

/** The action of `continue export`. */
export async function exportPlan(file: string | undefined, flags: ExportFlags): Promise<void> {
  const { json, trainer, out } = flags;
  if (flags.list) {
    const rows = SCHEDULE_TARGETS.map((name) => [name, TRIED_WITH[name], TRAINERS[name]]);
    printResult(json, TRAINERS, () => table(rows));
    return;
  }
  if (file === undefined || trainer === undefined || out === undefined) {
    const option = file === undefined ? 'plan.yaml' : trainer === undefined ? '--trainer' : '--out';
    const details = { option, expected: 'a plan, --trainer and --out, or --list' };
    throw new GristmillError('OPTION_INVALID', { ...details, received: 'nothing' });
  }
  const config = readPlan(file);
  const plan = resolvePlan(config, { file });
  const chosen = plan.stages.filter(
    ({ name, done }) => !done && (flags.stage === undefined || name === flags.stage),
  );
  if (chosen.length === 0) {
    const expected = plan.stages.flatMap(({ name, done }) => (done ? [] : [name])).join(', ');
    const received = printable(flags.stage ?? 'none that is run');
    throw new GristmillError('OPTION_INVALID', { option: '--stage', expected, received });
  }
  const datasets = Object.keys(config.datasets);
  const paths = Object.fromEntries(
    datasets.map((name) => [name, config.datasets[name]!.path ?? name]),
  );
  const replay = flags.replayPaths;
  using line = progressLine(json);
  const tell = counting(tellOn(line), {
    ...{ phase: 'comparing rates', unit: 'stages', total: chosen.length },
  });
  const stages = chosen.map(({ index, name }) => {
    const exported = exportStage(trainer, {
      plan,
      stage: index,
      paths,
      datasetTokens: Object.fromEntries(
        datasets.map((dataset) => [dataset, config.datasets[dataset]!.tokens]),
      ),
      ...(replay !== undefined && {
        replayPaths: Object.fromEntries(
          datasets.map((dataset) => [dataset, replay.split('{dataset}').join(dataset)]),
        ),
      }),
      checkpointPath: (stage, checkpoint) =>
        flags.checkpoints.split('{stage}').join(stage).split('{checkpoint}').join(checkpoint),
      ...defined({
        iterationsPerStep: flags.iterationsPerStep,
        tolerance: flags.tolerance,
        maxTableRows: flags.tableRows,
      }),
    });
    tell();
    return { name, folder: join(out, name), exported };
  });
  // All of them first: nothing is written where one would be refused.
  for (const { folder } of stages) checkExportFolder(folder);
  const written: WrittenStage[] = [];
  for (const { name, folder, exported } of stages) {
    const { files, schedule, warnings, run } = exported;
    await writeExportFolder(folder, files, { trainer, stage: name, run, schedule, warnings });
    const names = files.map((each) => each.name);
    written.push({ stage: name, folder, run, schedule, warnings, files: names });
  }
  line.stop();
  printResult(json, { trainer, stages: written }, () => writtenText(written));
}

function writtenText(stages: readonly WrittenStage[]): string {
  const rows = stages.map(({ stage, schedule, files }) => [
    stage,
    schedule.form === 'native' ? "trainer's own" : 'LR table',
    schedule.exact ? 'exact' : `off by ${(100 * schedule.deviation.ofPeak).toPrecision(2)} %`,
    files.join(', '),
  ]);
  const warnings = stages.flatMap(({ stage, warnings: all }) =>
    all.map((warning) => `warning: ${stage}: ${escapeHidden(warning)}\n`),
  );
  return `${table([['stage', 'schedule', 'rates', 'files'], ...rows])}${warnings.join('')}`;
}
