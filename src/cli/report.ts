/** `gristmill report`: parsing and printing around reportRun() and dossierOfRun(). */
import { Command, InvalidArgumentError, Option } from 'commander';
import { writeResultAs } from '../durable-files.ts';
import { printable } from '../printable.ts';
import { dossierOfRun, reportRun } from '../report/report.ts';
import { untilInterrupted } from './interrupt.ts';
import { printResult } from './say.ts';

interface Flags {
  readonly out?: string;
  readonly dossier?: boolean;
  readonly form: 'plain' | 'art53';
  readonly title?: string;
  readonly sample?: number;
  readonly seed?: number;
  readonly gallery?: number;
  readonly tokenizer?: string;
  readonly json?: boolean;
}

const INTERRUPT_WORDS = { ending: 'stopping', ended: 'nothing was written' };
const PAGE = 'report.html';
const DOSSIER = 'dossier.md';

function whole(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== '' && Number.isSafeInteger(value) && value >= least) return value;
    throw new InvalidArgumentError(`expected a whole number of at least ${least}.`);
  };
}

export function reportCommand(): Command {
  return new Command('report')
    .description(
      'a run as one HTML page that stands alone, or as a dossier of where its corpus comes from',
    )
    .argument('<dir>', 'folder of a run: refine, train, mix train, mix apply, continue run')
    .option(
      '--out <file>',
      `file to write (${PAGE}; with --dossier ${DOSSIER}, and .json beside it)`,
    )
    .option('--dossier', 'of refine: sources, sizes, steps and removals as Markdown and JSON')
    .addOption(
      new Option('--form <name>', 'form of the dossier: art53 has the order of the EU template')
        .choices(['plain', 'art53'])
        .default('plain'),
    )
    .option('--title <text>', 'heading of the page')
    .option(
      '--sample <n>',
      'rows that are read, about; smaller runs are read whole (20,000)',
      whole(1),
    )
    .option('--seed <n>', 'of the sample (1)', whole(0))
    .option('--gallery <n>', 'documents shown by reason; 0: no texts (4)', whole(0))
    .option('--tokenizer <gguf>', 'count tokens of this vocabulary')
    .option('--json', 'print what it says as one JSON object')
    .action((dir: string, flags: Flags) =>
      untilInterrupted(INTERRUPT_WORDS, (signal) => report(dir, flags, signal)),
    );
}

async function report(dir: string, flags: Flags, signal: AbortSignal): Promise<void> {
  const { dossier, form, out, title, sample: rows, seed, gallery, tokenizer, json } = flags;
  const options = {
    ...{ signal, tokenizer },
    ...(rows !== undefined && { rows }),
    ...(seed !== undefined && { seed }),
    ...(gallery !== undefined && { gallery }),
  };
  const write = (file: string, text: string): void =>
    writeResultAs('REPORT_WRITE_FAILED', file, text);
  if (dossier) {
    const { data, markdown } = await dossierOfRun(dir, { ...options, form });
    const file = out ?? DOSSIER;
    if (out !== undefined || !json) {
      write(file, markdown);
      write(file.replace(/(\.md)?$/, '.json'), `${JSON.stringify(data, null, 2)}\n`);
    }
    printResult(json, data, () => `${printable(file)}\n`);
    return;
  }
  const { data, html } = await reportRun(dir, {
    ...options,
    ...(title !== undefined && { title }),
  });
  const file = out ?? PAGE;
  if (out !== undefined || !json) write(file, html);
  printResult(json, data, () => `${printable(file)}\n`);
}
