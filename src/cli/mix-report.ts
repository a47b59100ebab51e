/** `gristmill mix report`: parsing and printing around the report of a fit. */
import { printable } from '../errors.ts';
import { loadFit } from '../mixture/fit-file.ts';
import { readMixture } from '../mixture/read-mixture.ts';
import { writeReport } from '../mixture/report/report.ts';
import { progressLine, tellOn } from './progress-line.ts';
import { printResult } from './say.ts';

/** Flags of `mix report`. */
export interface ReportFlags {
  readonly out: string;
  readonly proposal?: string;
  readonly prior?: string;
  readonly title?: string;
  readonly json?: boolean;
}

/** The action of `mix report`. */
export async function report(file: string, flags: ReportFlags): Promise<void> {
  const { fit } = await loadFit(file);
  const { out, proposal, prior, title, json } = flags;
  using line = progressLine(json);
  const result = await writeReport({
    fit,
    out,
    ...(proposal !== undefined && {
      proposal: { name: 'proposal', table: await readMixture(proposal) },
    }),
    ...(prior !== undefined && { prior: { name: 'prior', table: await readMixture(prior) } }),
    ...(title !== undefined && { title }),
    onProgress: tellOn(line),
  });
  line.stop();
  printResult(json, result, () => `${printable(result.html)}\n`);
}
