/** The definition of `gristmill continue`: continual pre-training. What its commands do is in ../continue-*.ts. */
import { Command, InvalidArgumentError, Option } from 'commander';
import type { ScheduleTarget } from '../../interop/schedules/export.ts';
import type { ScheduleInput } from '../../schedules/spec.ts';
import type { CompareStagesFlags } from '../continue-compare.ts';
import type { ExportFlags } from '../continue-export.ts';
import type { LawFlags, ReplayFlags } from '../continue-fit.ts';
import type { PlanFlags } from '../continue-plan.ts';
import type { RunFlags } from '../continue-run.ts';
import { finite, list, share, toCount, wholeNumber } from '../flags.ts';
import { withExamples } from '../help.ts';

const TRAINERS = Object.keys({
  'gpt-neox': true,
  megatron: true,
  torchtitan: true,
  hf: true,
  nanotron: true,
  'olmo-core': true,
  litgpt: true,
  axolotl: true,
  'mosaicml-streaming': true,
} satisfies Record<ScheduleTarget, true>);

/** The `continue` command. */
export function continueCommand(): Command {
  const command = new Command('continue').description(
    'continue pre-training on new data: plans, replay, schedules (arXiv 2403.08763)',
  );
  addPlanCommand(command);
  addRunCommand(command);
  addExportCommand(command);
  addReplayCommand(command);
  addLawCommand(command);
  addCompareCommand(command);
  return command;
}

function addPlanCommand(parent: Command): void {
  const command = parent
    .command('plan')
    .description('count what a plan needs and draw it, without running it')
    .argument('[plan.yaml]', 'a plan')
    .optionsGroup('Output:')
    .option('--svg <file>', 'draw learning rate and data over tokens')
    .option('--png <file>', 'the same as PNG')
    .option('--schedule-csv <file>', 'the rate of every step: stage,step,tokens,lr')
    .option('--presets', 'print what the presets do, where they are from, when they are advised')
    .option('--json', 'print one JSON object')
    .action(async (file: string | undefined, flags: PlanFlags) =>
      (await import('../continue-plan.ts')).plan(file, flags),
    );
  withExamples(command, [
    [
      'gristmill continue plan plan.yaml --svg plan.svg',
      'steps, tokens, rates, replay; nothing runs',
    ],
    ['gristmill continue plan --presets', 'what presets do, and who advises against them'],
  ]);
}

function addRunCommand(parent: Command): void {
  const command = parent
    .command('run')
    .description('train the stages of a plan; the same command goes on')
    .argument('<plan>', 'plan: YAML or JSON, see docs/commands/continue-plan.md')
    .optionsGroup('Output:')
    .requiredOption('--out <dir>', 'folder of the run')
    .option('--json', 'print one JSON object instead of lines')
    .optionsGroup('Machine:')
    .option('--device <name>', 'cpu or cuda:0, instead of the plan’s', toDevice)
    .option('--threads <n>', 'CPU threads, instead of the plan’s', toCount)
    .action(async (file: string, flags: RunFlags) =>
      (await import('../continue-run.ts')).run(file, flags),
    );
  withExamples(command, [
    ['gristmill continue run plan.yaml --out continued', 'and again, to go on after an interrupt'],
  ]);
}

function addExportCommand(parent: Command): void {
  const command = parent
    .command('export')
    .description("write a plan's stages in the form of another trainer, a folder each")
    .argument('[plan.yaml]', 'a plan')
    .optionsGroup('Trainer:')
    .addOption(new Option('--trainer <name>', 'whose form').choices(TRAINERS))
    .option('--list', 'print the trainers')
    .option('--stage <name>', 'this stage alone')
    .option(
      '--checkpoints <path>',
      'where the trainer keeps checkpoints; {stage} and {checkpoint} are filled in',
      'checkpoints/{stage}/{checkpoint}',
    )
    .option(
      '--replay-paths <path>',
      'where the parts of datasets lie that were seen before; {dataset} is filled in',
    )
    .option(
      '--iterations-per-step <n>',
      'micro-batches of a step on a device, for litgpt (1)',
      wholeNumber(1),
    )
    .option(
      '--tolerance <share>',
      'what a schedule of the trainer itself may be off by, of the largest rate (0.01)',
      share,
    )
    .option('--table-rows <n>', 'rows of LR tables (5000)', wholeNumber(2))
    .optionsGroup('Output:')
    .option('--out <dir>', 'where the folders of the stages go')
    .option('--json', 'print one JSON object')
    .action(async (file: string | undefined, flags: ExportFlags) =>
      (await import('../continue-export.ts')).exportPlan(file, flags),
    );
  withExamples(command, [
    ['gristmill continue export plan.yaml --trainer megatron --out exported', 'a folder a stage'],
    ['gristmill continue export --list', 'the trainers, and in what form'],
  ]);
}

function addReplayCommand(parent: Command): void {
  const command = parent
    .command('fit-replay')
    .description('choose the share of replay from pilot runs')
    .argument(
      '<pilots...>',
      'CSV: replay, a column for each loss[, tokens][, params]; or folders of runs',
    )
    .optionsGroup('Losses:')
    .option('--old <names>', 'validation sets of old data, by comma', list)
    .option('--new <names>', 'validation sets of new data, by comma', list)
    .option('--stages <names>', 'of the runs, by comma (all that start from another stage)', list)
    .optionsGroup('Answer:')
    .option(
      '--tolerance <x>',
      'the least replay whose rise of the old losses is at most this',
      finite,
    )
    .option(
      '--base <loss>',
      'the old loss before the continuation (of the runs, or the lowest predicted)',
      finite,
    )
    .option('--weights <list>', 'or: the replay with the lowest average, old=1,new=1', weightList)
    .option('--tokens <n>', 'tokens that the answer is for (the most of the pilots)', finite)
    .option('--params <n>', 'parameters that the answer is for (the most of the pilots)', finite)
    .option('--seed <n>', 'of the fits', wholeNumber(0, 2 ** 32 - 1), 0)
    .optionsGroup('Output:')
    .option('--out <file>', 'the fit, the answer and the fitted curves, as JSON')
    .option('--svg <file>', 'the figure')
    .option('--json', 'print one JSON object instead of tables')
    .action(async (inputs: string[], flags: ReplayFlags) =>
      (await import('../continue-fit.ts')).fitReplayCommand(inputs, flags),
    );
  withExamples(command, [
    [
      'gristmill continue fit-replay pilots.csv --old pile --new german --tolerance 0.16 --base 2.17',
      'the least replay that keeps the old loss below 2.33',
    ],
  ]);
}

function addLawCommand(parent: Command): void {
  const command = parent
    .command('fit-law')
    .description('fit the loss law over learning rates, and predict schedules')
    .argument('<curves...>', 'CSV: step, lr, loss, phase[, curve]; or folders of runs')
    .optionsGroup('Curves:')
    .option('--loss <name>', 'column, or validation set of the runs', 'loss')
    .option('--stages <names>', 'of the runs, by comma (all that start from a first stage)', list)
    .option('--lambda <x>', 'memory of the annealing, 0 or more and below 1', finite, 0.999)
    .option(
      '--from-step <n>',
      'first step of pre-training that is fitted (that of the peak)',
      wholeNumber(1),
    )
    .option('--seed <n>', 'of the fit', wholeNumber(0, 2 ** 32 - 1), 0)
    .optionsGroup('Prediction:')
    .option('--schedule <json>', 'predict a continuation under this schedule', scheduleOf)
    .option(
      '--steps <n>',
      'steps of the predicted continuation (those of the first curve)',
      wholeNumber(1, 1e7),
    )
    .optionsGroup('Output:')
    .option('--out <file>', 'the law, and the predicted losses by step, as JSON')
    .option('--json', 'print one JSON object instead of tables')
    .action(async (inputs: string[], flags: LawFlags) =>
      (await import('../continue-fit.ts')).fitLawCommand(inputs, flags),
    );
  withExamples(command, [
    [
      'gristmill continue fit-law continued --loss old --schedule \'{"kind":"cosine","peakLr":3e-4,"minLr":3e-5}\' --steps 2000',
      'what the loss would be under another schedule',
    ],
  ]);
}

function addCompareCommand(parent: Command): void {
  const command = parent
    .command('compare')
    .description('which of two stages is better, with an interval: microanneals, or any two')
    .argument('<runs...>', 'folders of finished runs: one plan, several seeds')
    .optionsGroup('Stages:')
    .option('--candidate <stage>', 'the stage that is judged (microanneal-candidate)')
    .option('--against <stage>', 'the stage that it is judged against (microanneal-web)')
    .optionsGroup('Texts:')
    .option('--data <file...>', 'also measure both models on these, document by document')
    .option('--text-column <name>', 'column that holds the text')
    .optionsGroup('Output:')
    .option('--json', 'print one JSON object instead of tables')
    .action(async (runs: string[], flags: CompareStagesFlags) =>
      (await import('../continue-compare.ts')).compareStagesCommand(runs, flags),
    );
  withExamples(command, [
    [
      'gristmill continue compare seed-0 seed-1 seed-2',
      'a microanneal with three seeds: which data are better, and how sure that is',
    ],
    [
      'gristmill continue compare seed-0 --data held-out.parquet',
      'one run: an interval from documents',
    ],
  ]);
}

function toDevice(text: string): string {
  if (/^(cpu|cuda:\d+)$/.test(text)) return text;
  throw new InvalidArgumentError('expected cpu or cuda:<index>');
}

function weightList(text: string): Record<string, number> {
  return Object.fromEntries(
    list(text).map((part) => {
      const at = part.lastIndexOf('=');
      if (at < 1) throw new InvalidArgumentError('expected name=weight by comma.');
      return [part.slice(0, at), finite(part.slice(at + 1))] as const;
    }),
  );
}

function scheduleOf(text: string): ScheduleInput {
  try {
    return JSON.parse(text) as ScheduleInput;
  } catch {
    throw new InvalidArgumentError('expected a schedule as JSON.');
  }
}
