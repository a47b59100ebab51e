/** `gristmill mix apply`: a mixed corpus, or the weights in another trainer's form. */
import type { Command } from 'commander';
import type { SinkFormat } from '../corpus/types.ts';
import { count } from '../figures.ts';
import type { BlendTarget } from '../interop/blend-targets.ts';
import { exportBlend, leftOutOfBlend } from '../interop/blends.ts';
import { TRIED_WITH } from '../interop/releases.ts';
import { type AppliedMixture, applyMixture } from '../mixture/apply/apply.ts';
import { chosenMixture, type Mixture } from '../mixture/apply/chosen-mixture.ts';
import type { PickOptions } from '../mixture/apply/picks.ts';
import { writeWhole } from '../mixture/write-whole.ts';
import { readSources } from '../tokens/sources.ts';
import { defined } from './flags.ts';
import { noticePrinter, onInterrupt } from './interrupt.ts';
import { note, table, warn } from './mix-output.ts';
import { progressLine } from './progress-line.ts';
import { printResult } from './say.ts';

/** Flags of `mix apply`. */
export interface ApplyFlags {
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

/** The action of `mix apply`. */
export async function apply(file: string, flags: ApplyFlags, command: Command): Promise<void> {
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
  const line = progressLine(json, { atOnce: true });
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
        line.update(total === 0 ? phase : `${phase} | ${count(nRows)} of ${count(total)} rows`, {
          done: nRows,
          total,
        }),
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
}

function quotaOf({ rows, chars, tokens }: ApplyFlags): Pick<PickOptions, 'unit' | 'total'> | null {
  if (rows !== undefined) return { unit: 'rows', total: rows };
  if (chars !== undefined) return { unit: 'chars', total: chars };
  return tokens === undefined ? null : { unit: 'tokens', total: tokens };
}

async function mixtureOf(
  file: string,
  { row, ignore, indexColumn, relative }: ApplyFlags,
): Promise<Mixture> {
  const mixture = await chosenMixture(file, row, defined({ ignore, indexColumn, relative }));
  for (const each of mixture.notes ?? []) note(each);
  return mixture;
}

async function exportTo(target: BlendTarget, file: string, flags: ApplyFlags): Promise<void> {
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
