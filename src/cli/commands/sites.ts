/** The definition of `gristmill sites`; what it does is in ../sites.ts. */
import { Command, Option } from 'commander';
import { COUNT_DEFAULTS } from '../../sites/count-defaults.ts';
import { wholeNumber, workerFlag } from '../flags.ts';
import { withExamples } from '../help.ts';
import type { CountFlags, SitesShowFlags } from '../sites.ts';

/** The `sites` command. */
export function sitesCommand(): Command {
  const command = new Command('sites').description(
    'count the lines that a site repeats on its pages: its template',
  );
  addCountCommand(command);
  addShowCommand(command);
  return command;
}

function addCountCommand(sites: Command): void {
  const command = sites
    .command('count')
    .description('count the lines of a corpus by site, into one file')
    .argument('<inputs...>', 'files, folders or globs (.parquet, .jsonl[.gz|.zst], .arrow)')
    .optionsGroup('Input:')
    .option(
      '--site-column <name>',
      'column of URLs, hosts or domains (the only one that goes by its name)',
    )
    .option('--text-column <name>', 'column that holds the text (text)')
    .addOption(
      new Option('--text-per <what>', 'what a document of plain text is (file)').choices([
        'file',
        'line',
      ]),
    )
    .option('--unit-rows <n>', `rows of a unit, about (${COUNT_DEFAULTS.unitRows})`, wholeNumber(1))
    .optionsGroup('Output:')
    .requiredOption('--out <file>', 'the file of counts')
    .option('--json', 'print one JSON object instead of a table')
    .optionsGroup('Machine:')
    .option('--threads <n>', 'CPU threads (all)', wholeNumber(1, 512));
  command.optionsGroup('Workers:').addOption(workerFlag());
  command.action(async (inputs: string[], flags: CountFlags) =>
    (await import('../sites.ts')).count(inputs, flags),
  );
  withExamples(command, [
    [
      'gristmill sites count corpus/ --site-column url --out sites.counts',
      'the same command goes on where it was cut off',
    ],
  ]);
}

function addShowCommand(sites: Command): void {
  const command = sites
    .command('show')
    .description('print the template of a site: its lines, and on how many of its pages they stand')
    .argument('<file>', 'file that `sites count` has made')
    .argument('[host]', 'a host, a URL or a domain; without it the sites with the most pages')
    .optionsGroup('Output:')
    .option('--lines <n>', 'lines, or sites, at most', wholeNumber(1), 40)
    .option('--json', 'print one JSON object instead of a table')
    .action(async (file: string, host: string | undefined, flags: SitesShowFlags) =>
      (await import('../sites.ts')).showSites(file, host, flags),
    );
  withExamples(command, [
    ['gristmill sites show sites.counts forum.example.org', 'what its pages have in common'],
    ['gristmill sites show sites.counts', 'the sites with the most pages'],
  ]);
}
