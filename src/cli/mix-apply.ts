/** `gristmill mix apply`: a mixed corpus, or the weights in another trainer's form. */
import { type Command, Option } from 'commander';
import type { SinkFormat } from '../corpus/types.ts';
import { count } from '../figures.ts';
import { BLEND_TARGETS, type BlendTarget } from '../interop/blend-targets.ts';
import { exportBlend, leftOutOfBlend } from '../interop/blends.ts';
import { TRIED_WITH } from '../interop/releases.ts';
import { type AppliedMixture, applyMixture } from '../mixture/apply/apply.ts';
import { chosenMixture, type Mixture } from '../mixture/apply/chosen-mixture.ts';
import type { PickOptions } from '../mixture/apply/picks.ts';
import { writeWhole } from '../mixture/write-whole.ts';
import { readSources } from '../tokens/sources.ts';
import { defined, list } from './flags.ts';
import { noticePrinter, onInterrupt } from './interrupt.ts';
import { note, progressLine, table, toCount, toNumber, warn } from './mix-output.ts';
import { printResult } from './say.ts';

interface Flags {
  readonly row?: string;
  readonly ignore?: readonly string[];
  readonly indexColumn?: string;
  readonly relative?: boolean;
  readonly domains?: string;
  readonly out?: string;
  readonly rows?: number;
  readonly chars?: number;
  readonly tokens?: number;
  readonly tokenizer?: string;
  readonly maxEpochs: number;
  readonly seed: number;
  readonly format: SinkFormat;
  readonly fileRows: number;
  readonly export?: BlendTarget;
  readonly paths: string;
  readonly json?: boolean;
}

/** Adds `apply` to `mix`. */
export function addApplyCommand(mix: Command): void {
  mix
    .command('apply')
    .description('make a corpus in which every domain has its share, or export the weights')
    .argument('<mixture>', 'weights by domain: JSON, YAML, or a table (.csv, .parquet)')
    .option('--row <index>', 'which mixture of a table')
    .option('--index-column <name>', 'column of a table that names the mixtures (index)')
    .option('--ignore <names>', 'columns of a table to leave out, by comma', list)
    .option('--relative', 'weights of a table have any sum, and are divided by it')
    .option('--domains <file>', 'where the texts of each domain are: YAML, see README.md')
    .option('--out <dir>', 'folder of the corpus; with --export the file')
    .addOption(
      new Option('--rows <n>', 'documents in all')
        .argParser(toCount)
        .conflicts(['chars', 'tokens']),
    )
    .addOption(
      new Option('--chars <n>', 'characters in all').argParser(toCount).conflicts('tokens'),
    )
    .option('--tokens <n>', 'tokens in all; with --tokenizer', toCount)
    .option('--tokenizer <gguf>', 'GGUF file whose tokens are counted')
    .option('--max-epochs <n>', 'how often a document may appear', toCount, 4)
    .option('--seed <n>', 'of the choice and the order', toNumber, 0)
    .addOption(
      new Option('--format <name>', 'of the corpus')
        .choices(['parquet', 'jsonl.zst', 'arrow'])
        .default('parquet'),
    )
    .option('--file-rows <n>', 'rows of a file, at most', toCount, 500_000)
    .addOption(
      new Option('--export <trainer>', 'print the weights in its form instead').choices([
        ...BLEND_TARGETS,
      ]),
    )
    .option('--paths <template>', 'with --export: path of a domain’s data', 'data/{domain}')
    .option('--json', 'print one JSON object instead of lines')
    .action(async (file: string, flags: Flags, command: Command) => {
      if (flags.export !== undefined) return exportTo(flags.export, file, flags);
      const { domains, out } = flags;
      const quota = quotaOf(flags);
      if (domains === undefined || out === undefined || quota === null) {
        return command.error(
          'error: --domains, --out and one of --rows, --chars and --tokens are needed',
        );
      }
      const { json = false } = flags;
      const controller = new AbortController();
      const restore = onInterrupt(controller, 'stopping; nothing is left behind');
      const line = progressLine(json);
      try {
        const applied = await applyMixture({
          mixture: await mixtureOf(file, flags),
          mixtureName: file,
          sources: readSources(domains),
          out,
          quota,
          tokenizer: flags.tokenizer,
          maxEpochs: flags.maxEpochs,
          seed: flags.seed,
          format: flags.format,
          fileRows: flags.fileRows,
          onProgress: (phase, nRows, total) =>
            line.update(total === 0 ? phase : `${phase} | ${count(nRows)} of ${count(total)} rows`),
          onNotice: noticePrinter(json),
          signal: controller.signal,
        });
        line.stop();
        printResult(json, { out, ...applied }, () => appliedText(applied));
        for (const note of json ? [] : applied.notes) warn(note);
      } finally {
        line.stop();
        restore();
      }
    });
}

function quotaOf({ rows, chars, tokens }: Flags): Pick<PickOptions, 'unit' | 'total'> | null {
  if (rows !== undefined) return { unit: 'rows', total: rows };
  if (chars !== undefined) return { unit: 'chars', total: chars };
  return tokens === undefined ? null : { unit: 'tokens', total: tokens };
}

async function mixtureOf(
  file: string,
  { row, ignore, indexColumn, relative }: Flags,
): Promise<Mixture> {
  const mixture = await chosenMixture(file, row, defined({ ignore, indexColumn, relative }));
  for (const each of mixture.notes ?? []) note(each);
  return mixture;
}

async function exportTo(target: BlendTarget, file: string, flags: Flags): Promise<void> {
  const { out, paths, seed, json } = flags;
  const { domains, weights } = await mixtureOf(file, flags);
  const entries = domains.map((name, domain) => ({
    name,
    weight: weights[domain]!,
    path: paths.split('{domain}').join(name),
  }));
  const text = exportBlend(target, { entries, seed });
  const left = leftOutOfBlend(entries);
  if (left.length > 0)
    warn(`weights below 0.0000005 are left out of the blend: ${left.join(', ')}`);
  if (out !== undefined) await writeWhole(out, text);
  else if (!json) process.stdout.write(text);
  if (json)
    process.stdout.write(
      `${JSON.stringify({ target, triedWith: TRIED_WITH[target], out: out ?? null, text })}\n`,
    );
}

function appliedText({ domains, rows, unit, files, nSkipped }: AppliedMixture): string {
  const lines = domains.map((domain) => [
    domain.name,
    domain.weight.toFixed(4),
    domain.share.toFixed(4),
    count(domain.rows),
    count(domain.chars),
    domain.tokens === null ? '-' : count(domain.tokens),
    domain.epochs.toFixed(2),
  ]);
  const header = ['domain', 'weight', `share of ${unit}`, 'rows', 'chars', 'tokens', 'epochs'];
  const skipped = nSkipped > 0 ? `, ${count(nSkipped)} rows without a text or a domain` : '';
  return `${table([header, ...lines])}${count(rows)} rows in ${files.length} files${skipped}\n`;
}
