/** Definitions of the commands that look at runs: inspect, show, report, compare. What they do is in files of their names. */
import { Command, Option } from 'commander';
import { COLOUR_CHOICES } from '../colour.ts';
import type { CompareFlags } from '../compare.ts';
import { share, wholeNumber } from '../flags.ts';
import { withExamples } from '../help.ts';
import type { InspectFlags } from '../inspect.ts';
import type { ReportFlags } from '../report.ts';
import type { ShowFlags } from '../show.ts';

export function inspectCommand(): Command {
  const command = new Command('inspect')
    .description(
      'look at a refine run in a browser: what was removed, why, and whether that was right',
    )
    .argument('<dir>', 'output folder of a run, finished or under way, local or in a bucket')
    .optionsGroup('Server:')
    .option('--port <n>', 'port on 127.0.0.1; 0 is any that is free', wholeNumber(0, 65_535), 0)
    .option('--open', 'open the link in a browser')
    .option(
      '--judgements <dir>',
      'local folder of judgements (_judgements in the folder of the run)',
    )
    .option('--json', 'print the link as one JSON object')
    .action(async (dir: string, flags: InspectFlags) =>
      (await import('../inspect.ts')).inspect(dir, flags),
    );
  return withExamples(command, [
    ['gristmill inspect refined --open', 'until it is interrupted; judgements are kept'],
  ]);
}

export function showCommand(): Command {
  const command = new Command('show')
    .description('documents of a finished run before and after, line by line')
    .argument('<dir>', 'folder of a refine run')
    .optionsGroup('Which documents:')
    .option(
      '--sample <n>',
      'documents, drawn from those that meet the conditions (10)',
      wholeNumber(1),
    )
    .option('--seed <n>', 'of the sample (1)', wholeNumber(0))
    .option(
      '--where <condition>',
      'status=edited, reason=…, score<0.2, or a column of the corpus; repeatable',
      (text: string, before: readonly string[] = []) => [...before, text],
    )
    .addOption(
      new Option('--sort <field>', 'greatest first, or in the order of the input').choices([
        'row',
        'score',
        'share',
      ]),
    )
    .option('--id <id>', 'the document of this id')
    .optionsGroup('Output:')
    .option('--context <n>', 'lines that stay beside a change', wholeNumber(0), 2)
    .addOption(
      new Option('--color <when>', 'colours; auto heeds NO_COLOR, FORCE_COLOR and the terminal')
        .choices(COLOUR_CHOICES)
        .default('auto'),
    )
    .option('--no-pager', 'never page through less')
    .option('--json', 'print one JSON object')
    .action(async (dir: string, flags: ShowFlags) =>
      (await import('../show.ts')).showDocuments(dir, flags),
    );
  return withExamples(command, [
    ['gristmill show refined --sample 5 --seed 7', 'five documents, drawn'],
    [
      'gristmill show refined --where status=dropped --sort score',
      'those nearest to staying first',
    ],
  ]);
}

export function reportCommand(): Command {
  const command = new Command('report')
    .description(
      'a run as one HTML page that stands alone, or as a dossier of where its corpus comes from',
    )
    .argument('<dir>', 'folder of a run: refine, train, mix train, mix apply, continue run')
    .optionsGroup('What is told:')
    .option('--title <text>', 'heading of the page')
    .option(
      '--sample <n>',
      'rows that are read, about; smaller runs are read whole (20,000)',
      wholeNumber(1),
    )
    .option('--seed <n>', 'of the sample (1)', wholeNumber(0))
    .option('--gallery <n>', 'documents shown by reason; 0: no texts (4)', wholeNumber(0))
    .option('--tokenizer <gguf>', 'count tokens of this vocabulary')
    .optionsGroup('Dossier:')
    .option('--dossier', 'of refine: sources, sizes, steps and removals as Markdown and JSON')
    .addOption(
      new Option('--form <name>', 'form of the dossier: art53 has the order of the EU template')
        .choices(['plain', 'art53'])
        .default('plain'),
    )
    .optionsGroup('Output:')
    .option(
      '--out <file>',
      'file to write (report.html; with --dossier dossier.md, and .json beside it)',
    )
    .option('--json', 'print what it says as one JSON object')
    .action(async (dir: string, flags: ReportFlags) =>
      (await import('../report.ts')).report(dir, flags),
    );
  return withExamples(command, [
    ['gristmill report refined --out report.html', 'one page, without scripts'],
    [
      'gristmill report refined --dossier --form art53',
      'what the EU asks for, as far as the run knows',
    ],
  ]);
}

export function compareCommand(): Command {
  const command = new Command('compare')
    .description('compare two refine runs over the same inputs: agreement, who removed what')
    .argument('<first>', 'output folder of a run')
    .argument('<second>', 'output folder of another run over the same inputs')
    .optionsGroup('What is compared:')
    .option('--by <column>', 'compare by the values of a column (domain, language, lang or url)')
    .option('--top <n>', 'documents to list that differ most', wholeNumber(0, 10_000), 20)
    .option('--fail-above <share>', 'exit with 3 when a larger share of documents differs', share)
    .optionsGroup('Output:')
    .option('--html <file>', 'write the comparison as a page of its own')
    .option('--json', 'print one JSON object instead of a table')
    .action(async (first: string, second: string, flags: CompareFlags) =>
      (await import('../compare.ts')).compare(first, second, flags),
    );
  return withExamples(command, [
    ['gristmill compare refined stricter --by domain', 'where the two disagree'],
    ['gristmill compare old new --fail-above 0.01', 'a test of a change, for scripts'],
  ]);
}
