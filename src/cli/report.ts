/** `gristmill report`: parsing and printing around reportRun() and dossierOfRun(). */
import { writeResultAs } from '../durable-files.ts';
import { printable } from '../printable.ts';
import { dossierOfRun, reportRun } from '../report/report.ts';
import { untilInterrupted } from './interrupt.ts';
import { progressLine, tellOn } from './progress-line.ts';
import { printResult } from './say.ts';

/** Flags of `gristmill report`. */
export interface ReportFlags {
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

/** The action of `gristmill report`. */
export function report(dir: string, flags: ReportFlags): Promise<void> {
  return untilInterrupted(INTERRUPT_WORDS, (signal) => write(dir, flags, signal));
}

async function write(dir: string, flags: ReportFlags, signal: AbortSignal): Promise<void> {
  const { dossier, form, out, title, sample: rows, seed, gallery, tokenizer, json } = flags;
  using line = progressLine(json);
  const options = {
    ...{ signal, tokenizer, onProgress: tellOn(line) },
    ...(rows !== undefined && { rows }),
    ...(seed !== undefined && { seed }),
    ...(gallery !== undefined && { gallery }),
  };
  const put = (file: string, text: string): void =>
    writeResultAs('REPORT_WRITE_FAILED', file, text);
  if (dossier) {
    const { data, markdown } = await dossierOfRun(dir, { ...options, form });
    line.stop();
    const file = out ?? DOSSIER;
    if (out !== undefined || !json) {
      put(file, markdown);
      put(file.replace(/(\.md)?$/, '.json'), `${JSON.stringify(data, null, 2)}\n`);
    }
    printResult(json, data, () => `${printable(file)}\n`);
    return;
  }
  const { data, html } = await reportRun(dir, {
    ...options,
    ...(title !== undefined && { title }),
  });
  line.stop();
  const file = out ?? PAGE;
  if (out !== undefined || !json) put(file, html);
  printResult(json, data, () => `${printable(file)}\n`);
}
