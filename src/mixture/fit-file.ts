/**
 * Fits as JSON files. Everything is checked on reading: sizes against domains, targets and runs, every surrogate by its
 * family; predictions after reading are bit-equal, as JSON keeps doubles.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import * as z from 'zod';
import { GristmillError, isGristmillError } from '../errors.ts';
import { version as packageVersion } from '../version.ts';
import { familyOf } from './fit.ts';
import { type FittedMixture, INTERVAL_LEVELS } from './fit-types.ts';
import { scaleFromJson } from './scale/scale-surrogate.ts';
import type { SurrogateFamilyName } from './types.ts';
import { writeWhole } from './write-whole.ts';

const FORMAT = 'gristmill-mixture-fit';
const VERSION = 1;

/** A file that a fit was made from. */
export interface FitInput {
  readonly file: string;
  readonly sha256: string;
}

/** What a file of a fit says beside it. */
export interface FitFile {
  readonly fit: FittedMixture;
  readonly inputs: readonly FitInput[];
  /** Version of the package that wrote it. */
  readonly writtenBy: string;
}

const finite = z.number().refine(Number.isFinite);
const name = z.string().min(1).max(10_000);
const names = z
  .array(name)
  .min(1)
  .refine((all) => new Set(all).size === all.length, 'names are not distinct');
const correlation = z.number().min(-1).max(1).nullable();
const shares = z.array(z.number().min(0).max(1)).length(INTERVAL_LEVELS.length);
const positive = z.number().min(0);
const measures = { spearman: correlation, pearson: correlation, rmse: positive, mae: positive };
const whole = z.number().int().min(0);
const aboveZero = finite.refine((value) => value > 0, 'expected a number above 0');
const range = z.tuple([aboveZero, aboveZero]);
const curvePoint = { spearman: correlation, rmse: positive };

const SCHEMA = z.strictObject({
  format: z.literal(FORMAT),
  version: z.literal(VERSION),
  writtenBy: z.string(),
  inputs: z.array(z.strictObject({ file: z.string(), sha256: z.string() })),
  model: name,
  seed: z.number().int(),
  domains: names,
  targets: names,
  surrogates: z.array(z.unknown()),
  calibration: z.array(
    z.strictObject({
      deviation: positive.nullable(),
      halfWidths: z.array(positive).length(INTERVAL_LEVELS.length).nullable(),
    }),
  ),
  sampled: z.strictObject({ mean: z.array(finite), min: z.array(finite), max: z.array(finite) }),
  runs: z.strictObject({
    ids: names,
    weights: z.array(finite),
    losses: z.array(finite),
    scales: z
      .strictObject({
        params: z.array(aboveZero),
        tokens: z.array(aboveZero),
        epochs: z.array(positive).nullable(),
      })
      .optional(),
  }),
  report: z.strictObject({
    nRuns: whole,
    constantTargets: z.array(name),
    notes: z.array(z.string()),
    crossValidation: z
      .strictObject({
        nFolds: whole,
        targets: z.array(
          z.strictObject({
            target: name,
            ...measures,
            coverage: z.strictObject({ raw: shares.nullable(), calibrated: shares }),
          }),
        ),
        mean: z.strictObject(measures),
        predicted: z.array(z.array(finite)),
        halfWidths90: z.array(z.array(positive)),
      })
      .nullable(),
    learningCurve: z
      .strictObject({
        nHeldOut: whole,
        points: z.array(
          z.strictObject({
            nRuns: whole,
            nRepeats: whole,
            ...curvePoint,
            targets: z.array(z.strictObject({ target: name, ...curvePoint })),
          }),
        ),
      })
      .nullable(),
    scale: z
      .strictObject({
        range: z.strictObject({ params: range, tokens: range }),
        nSizes: whole,
        repeatWorth: aboveZero.nullable(),
        blocks: z.array(
          z.strictObject({
            block: z.string(),
            nRuns: whole,
            errors: z.record(z.string(), positive),
            covered: z.number().min(0).max(1),
          }),
        ),
      })
      .optional(),
    seconds: positive,
  }),
});

/**
 * Writes a fit; the file is whole or not there.
 *
 * @throws MIXTURE_WRITE_FAILED
 */
export async function saveFit(
  path: string,
  fit: FittedMixture,
  inputs: readonly FitInput[] = [],
): Promise<void> {
  const { runs, surrogates, domains, targets, model, seed, calibration, sampled, report } = fit;
  const body: z.input<typeof SCHEMA> = {
    format: FORMAT,
    version: VERSION,
    writtenBy: packageVersion,
    inputs: inputs.map(({ file, sha256 }) => ({ file, sha256 })),
    model,
    seed,
    domains: [...domains],
    targets: [...targets],
    sampled: { mean: [...sampled.mean], min: [...sampled.min], max: [...sampled.max] },
    calibration: calibration.map(({ deviation, halfWidths }) => ({
      deviation,
      halfWidths: halfWidths && [...halfWidths],
    })),
    report: report as z.input<typeof SCHEMA>['report'],
    runs: {
      ids: [...runs.ids],
      weights: Array.from(runs.weights),
      losses: Array.from(runs.losses),
      ...(runs.scales && {
        scales: {
          params: Array.from(runs.scales.params),
          tokens: Array.from(runs.scales.tokens),
          epochs: runs.scales.epochs && Array.from(runs.scales.epochs),
        },
      }),
    },
    surrogates: surrogates.map((surrogate) => surrogate.toJson()),
  };
  let text: string;
  try {
    text = `${JSON.stringify(body)}\n`;
  } catch (cause) {
    // A string of more than 512 MB: hundreds of targets of trees.
    const details = { path, reason: `the fit is too large for one JSON text: ${cause}` };
    throw new GristmillError('MIXTURE_WRITE_FAILED', details, { cause });
  }
  await writeWhole(path, text);
}

/**
 * Reads a fit.
 *
 * @throws MIXTURE_FIT_INVALID naming the file and the field; CORPUS_READ_FAILED
 */
export async function loadFit(file: string): Promise<FitFile> {
  const invalid = (reason: string, cause?: unknown): GristmillError =>
    new GristmillError('MIXTURE_FIT_INVALID', { file, reason }, { cause });
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    const reason = (cause as Error).message;
    throw new GristmillError('CORPUS_READ_FAILED', { file, reason }, { cause });
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw invalid('it is no JSON', cause);
  }
  const parsed = SCHEMA.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    throw invalid(`${issue.path.join('.') || 'the file'}: ${issue.message}`);
  }
  const body = parsed.data;
  const wrong = sizeFault(body);
  if (wrong !== null) throw invalid(wrong);
  const { domains, targets, report, inputs, writtenBy } = body;
  try {
    const model = body.model as SurrogateFamilyName;
    const read = model === 'scale' ? scaleFromJson : familyOf(model).fromJson;
    const surrogates = body.surrogates.map((surrogate) => read(surrogate));
    const other = surrogates.findIndex(({ nDomains }) => nDomains !== domains.length);
    if (other >= 0) throw invalid(`surrogates.${other}: it is not of ${domains.length} domains`);
    const runs = {
      domains,
      targets,
      ids: body.runs.ids,
      weights: Float64Array.from(body.runs.weights),
      losses: Float64Array.from(body.runs.losses),
      ...(body.runs.scales && {
        scales: {
          params: Float64Array.from(body.runs.scales.params),
          tokens: Float64Array.from(body.runs.scales.tokens),
          epochs: body.runs.scales.epochs && Float64Array.from(body.runs.scales.epochs),
        },
      }),
    };
    const { seed, calibration, sampled } = body;
    const fit = { model, seed, domains, targets, surrogates, calibration, sampled, runs, report };
    return { fit, inputs, writtenBy };
  } catch (cause) {
    if (!isGristmillError(cause) || cause.details['file'] === file) throw cause;
    throw invalid(cause.message, cause);
  }
}

/** The first table whose size is not what the names say; null when all are. */
function sizeFault({
  domains,
  targets,
  surrogates,
  calibration,
  sampled,
  runs,
  report,
}: z.output<typeof SCHEMA>): string | null {
  const nDomains = domains.length;
  const nTargets = targets.length;
  const nRuns = runs.ids.length;
  const validation = report.crossValidation;
  const sizes: [field: string, length: number, expected: number][] = [
    ['surrogates', surrogates.length, nTargets],
    ['calibration', calibration.length, nTargets],
    ['sampled.mean', sampled.mean.length, nDomains],
    ['sampled.min', sampled.min.length, nDomains],
    ['sampled.max', sampled.max.length, nDomains],
    ['runs.weights', runs.weights.length, nRuns * nDomains],
    ['runs.losses', runs.losses.length, nRuns * nTargets],
    ['report.nRuns', report.nRuns, nRuns],
  ];
  if (runs.scales) {
    sizes.push(['runs.scales.params', runs.scales.params.length, nRuns]);
    sizes.push(['runs.scales.tokens', runs.scales.tokens.length, nRuns]);
    if (runs.scales.epochs) {
      sizes.push(['runs.scales.epochs', runs.scales.epochs.length, nRuns * nDomains]);
    }
  }
  if (validation) {
    sizes.push(['report.crossValidation.targets', validation.targets.length, nTargets]);
    for (const field of ['predicted', 'halfWidths90'] as const) {
      sizes.push([`report.crossValidation.${field}`, validation[field].length, nTargets]);
      for (const [target, row] of validation[field].entries()) {
        sizes.push([`report.crossValidation.${field}.${target}`, row.length, nRuns]);
      }
    }
  }
  for (const [place, point] of (report.learningCurve?.points ?? []).entries()) {
    sizes.push([`report.learningCurve.points.${place}.targets`, point.targets.length, nTargets]);
  }
  const wrong = sizes.find(([, length, expected]) => length !== expected);
  return wrong ? `${wrong[0]}: expected ${wrong[2]}, found ${wrong[1]}` : null;
}

/** SHA-256 of a file. @throws CORPUS_READ_FAILED */
export async function fitInput(file: string): Promise<FitInput> {
  const hash = createHash('sha256');
  try {
    for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  } catch (cause) {
    const reason = (cause as Error).message;
    throw new GristmillError('CORPUS_READ_FAILED', { file, reason }, { cause });
  }
  return { file, sha256: hash.digest('hex') };
}
