/** `gristmill mix sample`: parsing and printing around the mixture room. */
import { GristmillError, printable } from '../errors.ts';
import { count } from '../figures.ts';
import { countDomains } from '../mixture/count-domains.ts';
import { type DomainSpec, orderDomains } from '../mixture/domains.ts';
import { loadFit } from '../mixture/fit-file.ts';
import type { FittedMixture } from '../mixture/fit-types.ts';
import { digitsOf, targetsOf } from '../mixture/fitted-targets.ts';
import {
  type RepeatedDomain,
  type RepetitionPlan,
  repeatedDomains,
} from '../mixture/repetition/plan.ts';
import { repetitionPlan, writeRepetitionPlan } from '../mixture/repetition/plan-file.ts';
import type { DesignScale } from '../mixture/sample/active-scales.ts';
import { type SampledMixtures, type SampleWay, sampleMixtures } from '../mixture/sample/sample.ts';
import { alignDomains, readMixtures, writeMixtures } from '../mixture/tables.ts';
import type { MixtureTable, RunScales } from '../mixture/types.ts';
import { defined } from './flags.ts';
import { noticePrinter, untilInterrupted } from './interrupt.ts';
import { type BoundsFlags, boundsOf } from './mix-bounds.ts';
import { domainsFrom } from './mix-fitted.ts';
import { table } from './mix-output.ts';
import { type ProgressLine, progressLine, tellOn } from './progress-line.ts';
import { printResult, say } from './say.ts';

/** Flags of `mix sample`. */
export interface SampleFlags extends BoundsFlags {
  readonly domains?: string;
  readonly count?: readonly string[];
  readonly domainColumn?: string;
  readonly textColumn?: string;
  readonly tokenizer?: string;
  readonly n: number;
  readonly preset: SampleWay;
  readonly fit?: string;
  readonly existing?: string;
  readonly repetition?: string;
  readonly at?: DesignScale;
  readonly scales?: readonly DesignScale[];
  readonly proxyTokens?: number;
  readonly seed: number;
  readonly out: string;
  readonly json?: boolean;
}

/** The action of `mix sample`. */
export async function sample(flags: SampleFlags): Promise<void> {
  const { n, preset, seed, out, json } = flags;
  await untilInterrupted({ ending: 'stopping', ended: 'nothing was written' }, async (signal) => {
    if ((preset === 'active') !== (flags.fit !== undefined)) {
      throw new GristmillError('OPTION_INVALID', {
        option: '--fit',
        expected: preset === 'active' ? 'a fit, for --preset active' : '--preset active with it',
        received: flags.fit ?? 'none',
      });
    }
    const fit = flags.fit === undefined ? null : (await loadFit(flags.fit)).fit;
    using line = progressLine(json);
    const domains = await domainsOf(flags, fit, { line, signal });
    const names = domains.map(({ name }) => name);
    const repetition = repetitionOf(flags, domains);
    const existing =
      flags.existing === undefined ? undefined : await existingOf(flags.existing, names);
    const sampled = await sampleMixtures({
      ...{ domains, n, way: preset, seed, signal, existing },
      ...boundsOf(flags, names),
      ...(fit && { targets: targetsOf(fit) }),
      ...scalesOf(flags, fit),
      onProgress: tellOn(line),
    });
    line.stop();
    const digits = digitsOf(sampled.nUnits);
    await writeMixtures(out, { ...sampled, scales: columnsOf(sampled) }, { digits });
    if (repetition) await writeRepetitionPlan(flags.repetition!, repetition);
    const repeated = repetition && repeatedDomains(repetition, sampled, flags.proxyTokens);
    const { way, nUnits, counts, statistics, deviations, smallestDistance } = sampled;
    const summary = { way, seed, n, nUnits, counts, statistics, smallestDistance, deviations, out };
    const { design } = sampled;
    const planned = repeated && { repetition: flags.repetition, repeated };
    printResult(json, { ...summary, ...(design && { design }), ...planned }, () =>
      [
        sampleText(sampled, out),
        designText(sampled),
        ...(repeated ? [repeatedText(repeated, flags)] : []),
      ].join(''),
    );
  });
}

async function domainsOf(
  flags: SampleFlags,
  fit: FittedMixture | null,
  { line, signal }: { readonly line: ProgressLine; readonly signal: AbortSignal },
): Promise<DomainSpec[]> {
  const { domains: file, count: counts, domainColumn, textColumn, tokenizer } = flags;
  if (file !== undefined && counts !== undefined) {
    throw new GristmillError('OPTION_INVALID', {
      option: '--domains',
      expected: 'one of --domains and --count',
      received: 'both',
    });
  }
  if (counts !== undefined) {
    const options = defined({ domainColumn, textColumn, tokenizer });
    const onNotice = noticePrinter(false);
    const onProgress = tellOn(line);
    const counted = await countDomains({
      inputs: counts,
      ...options,
      onNotice,
      onProgress,
      signal,
    });
    const { nDocs, nSkipped, unit } = counted;
    const left = nSkipped > 0 ? `, ${nSkipped} left out` : '';
    say(`${counted.domains.length} domains in ${nDocs} documents${left}, by ${unit}`);
    return fit ? orderDomains(counted.domains, fit.domains) : [...counted.domains];
  }
  return domainsFrom(file, fit);
}

/** Scales of an active design; those of the runs, where none are named. @throws OPTION_INVALID */
function scalesOf(
  { at, scales, preset }: SampleFlags,
  fit: FittedMixture | null,
): { readonly at?: DesignScale; readonly scales?: readonly DesignScale[] } {
  if (at === undefined && scales === undefined) return {};
  const own = fit?.runs.scales;
  if (at === undefined || preset !== 'active' || !own) {
    const option = at === undefined ? '--scales' : '--at';
    const expected = `--preset active and a fit of model scale${at === undefined ? ', with --at' : ''}`;
    throw new GristmillError('OPTION_INVALID', { option, expected, received: preset });
  }
  const known = new Map(
    Array.from(own.params, (params, run) => ({ params, tokens: own.tokens[run]! })).map((scale) => [
      `${scale.params} ${scale.tokens}`,
      scale,
    ]),
  );
  return { at, scales: scales ?? [...known.values()] };
}

/** Size and tokens of a design as columns. */
function columnsOf({ design }: SampledMixtures): RunScales | undefined {
  if (!design) return undefined;
  return {
    params: Float64Array.from(design, ({ params }) => params),
    tokens: Float64Array.from(design, ({ tokens }) => tokens),
    epochs: null,
  };
}

/** Runs of a design by their scales, most telling first. */
function designText({ design }: SampledMixtures): string {
  if (!design) return '';
  const byScale = new Map<string, { nRuns: number; flops: number; gain: number }>();
  for (const { params, tokens, flops, gain } of design) {
    const key = `${params.toPrecision(3)} parameters, ${tokens.toPrecision(3)} tokens`;
    const known = byScale.get(key) ?? { nRuns: 0, flops: 0, gain: 0 };
    known.nRuns++;
    known.flops += flops;
    known.gain += gain;
    byScale.set(key, known);
  }
  const rows = [...byScale].map(([scale, { nRuns, flops, gain }]) => [
    ...[scale, `${nRuns}`, flops.toExponential(1).replace('e+', 'e')],
    `${(100 * gain).toPrecision(3)} %`,
  ]);
  return table([['scale', 'runs', 'FLOPs', 'variance they take'], ...rows]);
}

/** The plan that is asked for. @throws OPTION_INVALID */
function repetitionOf(
  { repetition, proxyTokens, budgetTokens }: SampleFlags,
  domains: readonly DomainSpec[],
): RepetitionPlan | null {
  if (repetition !== undefined && budgetTokens !== undefined) {
    return repetitionPlan(domains, budgetTokens);
  }
  const [option, received] =
    repetition === undefined ? ['--proxy-tokens', proxyTokens] : ['--repetition', repetition];
  if (received === undefined) return null;
  const expected =
    repetition === undefined ? '--repetition with it' : '--budget-tokens, the tokens of the target';
  throw new GristmillError('OPTION_INVALID', { option, expected, received });
}

function repeatedText(repeated: readonly RepeatedDomain[], flags: SampleFlags): string {
  const tokens = (value: number | null): string => (value === null ? '-' : count(value));
  const rows = repeated.map(({ name, tokens: there, subset, meanEpochs, mostEpochs }) => [
    printable(name),
    tokens(there),
    ...(flags.proxyTokens === undefined ? [] : [tokens(subset)]),
    meanEpochs.toFixed(2),
    mostEpochs.toFixed(2),
  ]);
  const heads = [
    ...['domain', 'tokens'],
    ...(flags.proxyTokens === undefined ? [] : ['for proxies']),
    ...['mean epochs', 'most'],
  ];
  return `${table([heads, ...rows])}repetition of the target: ${printable(flags.repetition!)}\n`;
}

async function existingOf(file: string, names: readonly string[]): Promise<MixtureTable> {
  const table = await readMixtures(file);
  return { domains: names, ids: table.ids, weights: alignDomains(table, names, file) };
}

function sampleText(sampled: SampledMixtures, out: string): string {
  const { way, ids, domains, nUnits, counts, statistics, deviations, smallestDistance } = sampled;
  const { zeros, effectiveDomains, largestWeight } = statistics;
  const lines = [
    `${ids.length} mixtures of ${domains.length} domains (${way}), multiples of 1/${nUnits}: ${printable(out)}`,
    `zero weights ${(100 * zeros).toFixed(1)} %, effective domains ${effectiveDomains.toFixed(2)}, mean largest weight ${largestWeight.toFixed(3)}`,
    ...(counts
      ? [`draws ${counts.nDrawn}, within bounds ${counts.nAccepted}, distinct ${counts.nDistinct}`]
      : []),
    ...(smallestDistance === null
      ? []
      : [`smallest Hellinger distance ${smallestDistance.toFixed(4)}`]),
    ...(deviations ?? []).map(
      ({ target, before, after }) =>
        `uncertainty of ${printable(target)}: ${before.toPrecision(4)} now, ${after.toPrecision(4)} after these runs`,
    ),
  ];
  return lines.map((line) => `${line}\n`).join('');
}
