/** The definition of `gristmill cluster`: many workers on one output. The queue and its client are loaded by the actions. */
import { Command, Option } from 'commander';
import { REDIS_VARIABLE } from '../../work/queue/redis.ts';
import type { FinishFlags } from '../cluster-finish.ts';
import type { Common, Control, StatusFlags, SubmitFlags, WorkFlags } from '../cluster-queue.ts';
import { wholeNumber } from '../flags.ts';
import { withExamples } from '../help.ts';
import { annotateCommand } from './annotate.ts';
import { mixCommand } from './mix.ts';
import { OBSERVER_FLAGS, withObservers } from './observe.ts';
import { refineCommand } from './refine.ts';

/** Flags of commands that say nothing to workers. */
const ALONE = new Set([
  '--worker',
  '--plan',
  '--show',
  '--in-process',
  '--limit',
  '--rejected',
  '--events-fd',
  '--keep-dropped',
  '--estimate',
  '--workers-count',
  '--price-per-hour',
  ...OBSERVER_FLAGS,
  '--jobs',
]);

/** The `cluster` command. */
export function clusterCommand(): Command {
  const command = new Command('cluster').description('many workers on one output');
  const control = (name: Control, description: string): Command =>
    withRedis(
      new Command(name).description(description).argument('<run>', 'as cluster status has it'),
    ).action(async (run: string, flags: Common) =>
      (await import('../cluster-queue.ts')).control(name, run, flags),
    );
  const all = [
    submitCommand(),
    ...submitOthers(),
    workCommand(),
    statusCommand(),
    control('pause', 'hand out no more units of a run'),
    control('resume', 'go on with a run that was paused'),
    control('cancel', 'take the units of a run off the queue'),
    control('retry', 'enqueue units that were set aside, or got lost'),
    finishCommand(),
  ];
  for (const inner of all) command.addCommand(inner);
  return command;
}

/** A flag that every queue command has. */
function withRedis(command: Command): Command {
  return command
    .optionsGroup('Queue:')
    .addOption(
      new Option(
        '--redis <url>',
        `redis:// or rediss:// with user and password (default: ${REDIS_VARIABLE}, where others cannot see it)`,
      ),
    );
}

/** What all that submit have. */
function withQueue(command: Command): Command {
  return withRedis(command)
    .option('--priority <n>', 'runs of a higher one come first', wholeNumber(0), 0)
    .option('--tries <n>', 'tries of a unit before it is set aside', wholeNumber(1, 1000), 3);
}

function submitCommand(): Command {
  const command = submitLike('submit', 'plan a run and enqueue its units', {
    of: refineCommand(),
    inputs: 'as refine has them, on every machine',
  });
  command.action(async (inputs: string[], flags: SubmitFlags) =>
    (await import('../cluster-queue.ts')).submit(inputs, flags),
  );
  return withExamples(command, [
    [
      'gristmill cluster submit s3://bucket/raw --out s3://bucket/refined --redis redis://queue:6379',
      'then start gristmill cluster work on any machines',
    ],
  ]);
}

/** The same for what other commands do in units: their flags, but for those that say nothing to workers. */
function submitOthers(): Command[] {
  const queue = () => import('../cluster-queue.ts');
  const part = (command: Command, name: string): Command =>
    command.commands.find((inner) => inner.name() === name)!;
  const sweep = submitLike('submit-sweep', 'plan a sweep and enqueue its proxies', {
    of: part(mixCommand(), 'train'),
    inputs: null,
  }).action(async (flags) => (await queue()).submitSweep(flags));
  const documents = submitLike('submit-documents', 'plan what an expert is asked of documents', {
    of: part(annotateCommand(), 'documents'),
    inputs: 'as annotate documents has them, on every machine',
  }).action(async (inputs, flags) => (await queue()).submitDocuments(inputs, flags));
  const chunks = submitLike('submit-chunks', 'plan what an expert is asked of windows', {
    of: part(annotateCommand(), 'chunks'),
    inputs: 'as annotate chunks has them, on every machine',
  }).action(async (inputs, flags) => (await queue()).submitChunks(inputs, flags));
  return [
    withExamples(sweep, [
      [
        'gristmill cluster submit-sweep --mixtures mixtures.csv --store store --out sweep',
        'a proxy is a unit; start gristmill cluster work on any machines',
      ],
    ]),
    withExamples(documents, [
      [
        'gristmill cluster submit-documents corpus/ --out labels --expert-url http://expert:8080/v1 --expert-model judge',
        'a range of documents is a unit; gristmill cluster finish labels makes the set',
      ],
    ]),
    withExamples(chunks, [
      [
        'gristmill cluster submit-chunks corpus/ --way rewrite --out set --expert-gguf expert.gguf',
        'every worker has the model at that path',
      ],
    ]),
  ];
}

function submitLike(
  name: string,
  description: string,
  { of, inputs }: { readonly of: Command; readonly inputs: string | null },
): Command {
  const command = new Command(name).description(description);
  if (inputs !== null) command.argument('<inputs...>', inputs);
  withQueue(command);
  for (const option of of.options) {
    if (!ALONE.has(option.long ?? '')) command.addOption(option);
  }
  return command;
}

function workCommand(): Command {
  const command = withRedis(
    new Command('work').description('take units of runs and do them, until it is told to stop'),
  )
    .option('--run <id>', 'only this run')
    .option('--until-done', 'leave when no run has units left')
    .optionsGroup('Machine:')
    .option('--device <device>', 'cpu, cuda or cuda:0: one worker per device (default: the run’s)')
    .option('--threads <n>', 'CPU threads of the engine', wholeNumber(1))
    .option('--workers <n>', 'threads that execute programs', wholeNumber(1))
    .optionsGroup('Output:')
    .option('--json', 'print one JSON object at the end')
    .action(async (flags: WorkFlags) => (await import('../cluster-queue.ts')).work(flags));
  withObservers(command);
  return withExamples(command, [
    ['gristmill cluster work --until-done', 'with the server of GRISTMILL_REDIS_URL'],
  ]);
}

function statusCommand(): Command {
  const command = withRedis(
    new Command('status')
      .description('runs, how far they are, who works on them, and the last errors')
      .argument('[run]', 'only this run'),
  )
    .optionsGroup('Output:')
    .option('--watch', 'again every two seconds')
    .option('--json', 'print one JSON object instead of a table')
    .action(async (run: string | undefined, flags: StatusFlags) =>
      (await import('../cluster-queue.ts')).status(run, flags),
    );
  return withExamples(command, [['gristmill cluster status --watch', 'until it is interrupted']]);
}

function finishCommand(): Command {
  const command = withRedis(
    new Command('finish')
      .description('check that every unit is there, remove what is of none, and add the counts up')
      .argument('<out>', 'output folder of the workers'),
  )
    .optionsGroup('Output:')
    .option('--json', 'print one JSON object instead of a table')
    .action(async (out: string, flags: FinishFlags) =>
      (await import('../cluster-finish.ts')).finish(out, flags),
    );
  return withExamples(command, [
    [
      'gristmill cluster finish refined',
      'when all workers have ended; code 3 says what is missing',
    ],
  ]);
}
