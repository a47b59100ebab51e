/** `gristmill mix report`: parsing and printing around the report of a fit. */
import type { Command } from 'commander';
import { printable } from '../errors.ts';
import { loadFit } from '../mixture/fit-file.ts';
import { readMixture } from '../mixture/read-mixture.ts';
import { writeReport } from '../mixture/report/report.ts';
import { printResult } from './say.ts';

interface Flags {
  readonly out: string;
  readonly proposal?: string;
  readonly prior?: string;
  readonly title?: string;
  readonly json?: boolean;
}

/** Adds `report` to `mix`. */
export function addReportCommand(mix: Command): void {
  mix
    .command('report')
    .description('figures of a fit: one HTML file, and SVG and PNG files')
    .argument('<fit.json>', 'a fit')
    .requiredOption('--out <dir>', 'output folder')
    .option(
      '--proposal <file>',
      'mixture to show: first row of a .csv or .parquet, or JSON weights',
    )
    .option('--prior <file>', 'mixture to compare it with (the mean of the runs)')
    .option('--title <text>', 'heading')
    .option('--json', 'print one JSON object')
    .action(report);
}

async function report(file: string, flags: Flags): Promise<void> {
  const { fit } = await loadFit(file);
  const { out, proposal, prior, title, json } = flags;
  const result = await writeReport({
    fit,
    out,
    ...(proposal !== undefined && {
      proposal: { name: 'proposal', table: await readMixture(proposal) },
    }),
    ...(prior !== undefined && { prior: { name: 'prior', table: await readMixture(prior) } }),
    ...(title !== undefined && { title }),
  });
  printResult(json, result, () => `${printable(result.html)}\n`);
}
