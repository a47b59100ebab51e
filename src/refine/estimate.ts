/**
 * What a run would take and give, from a seeded sample that is refined into nothing (estimate-sample.ts), with 90 %
 * intervals (intervals.ts).
 *
 * Small corpora are read whole, and only ranges of their rows are refined: then what there is to refine is known and not
 * guessed. Of large ones some units are read. Time is that of loading the models, of reading, and of refining; reading
 * overlaps with refining by an unknown part, so that the interval reaches from all of it to nothing of it.
 */
import type { CorpusPlan, CorpusUnit } from '../corpus/types.ts';
import { openUnit } from '../corpus/unit.ts';
import { native } from '../native/index.ts';
import { atLeast, checkOptions, given, type OptionTable, refuseOption, whole } from '../options.ts';
import { defaultModelFile } from '../paths.ts';
import { seededRandom, shuffle } from '../seeded.ts';
import { BATCH_BYTES, openSlabs } from './core.ts';
import { parseDevices } from './devices.ts';
import {
  RANGE_ROWS,
  refineSample,
  type Sample,
  type SampledRange,
  type SampleRequest,
  textBytes,
} from './estimate-sample.ts';
import { type Interval, product, ratioInterval, scaled, shareInterval } from './intervals.ts';
import { REFINE_CORPUS_TABLE } from './option-tables.ts';
import { planRun, prepare } from './run-here.ts';
import type { ListedInputs, RefineCorpusOptions } from './run-options.ts';
import { wantsSites } from './run-sites.ts';
import { totalRows } from './tally.ts';

/** Options of {@link estimateRefine}: those of the run, and these. `seed` is that of the sample too. */
export interface EstimateOptions extends RefineCorpusOptions {
  /** Share of the corpus to refine, 0..1; default 0.02. At least sixteen ranges of sixteen rows are. */
  readonly share?: number;
  /** Workers like this machine that the run is divided among; default 1. */
  readonly workersCount?: number;
  /** Price of one worker for an hour, in whatever currency; without it nothing is said of money. */
  readonly pricePerHour?: number;
}

/** What a run would take and give; intervals have 90 %. */
export interface RefineEstimate {
  readonly sample: {
    readonly seed: number;
    readonly ranges: number;
    readonly rows: number;
    /** Bytes of text. */
    readonly bytes: number;
    readonly unitsRead: number;
    readonly seconds: number;
  };
  readonly units: number;
  /** Of the whole corpus. */
  readonly rows: Interval;
  readonly textBytes: Interval;
  /** On one worker like this machine, from the start of the command to its end. */
  readonly hours: Interval;
  readonly workers: number;
  /** On all workers side by side. */
  readonly hoursOfWorkers: Interval;
  /** Null without a price. */
  readonly price: Interval | null;
  /** Shares that stay, 0..1. */
  readonly kept: {
    readonly rows: Interval;
    readonly characters: Interval;
    readonly tokens: Interval;
  };
  readonly tokensIn: Interval;
  readonly tokensOut: Interval;
  /** The file whose vocabulary counts tokens. */
  readonly vocabulary: string;
  readonly outputBytes: Interval;
  /** Free disk that the output folder should have. */
  readonly diskBytes: number;
}

const TABLE: OptionTable<EstimateOptions> = {
  ...REFINE_CORPUS_TABLE,
  share: {
    expected: 'a number above 0 and at most 1',
    accepts: (value) => typeof value === 'number' && value > 0 && value <= 1,
  },
  workersCount: whole(1),
  pricePerHour: atLeast(0),
};

/** Share of a corpus that is refined without being asked for another. */
export const DEFAULT_SHARE = 0.02;

const MIN_RANGES = 16;
/** Corpora up to so many bytes, or units, are read whole. */
const WHOLE_BYTES = 2 ** 30;
const WHOLE_UNITS = 32;
/** Rows that are looked at to guess how many there are. */
const PROBED_ROWS = 256;
/** What compression makes of text, about. */
const COMPRESSION = 3;
/** The output of a sample is packed in smaller pieces than that of a run: how far their sizes may be apart. */
const PACKING: Interval = { estimate: 1, low: 0.8, high: 1.1 };

/**
 * Estimates a run; nothing is written.
 *
 * @throws OPTION_INVALID, CORPUS_*, ENGINE_*, PROFILE_*; ABORTED when `signal` fires
 */
export async function estimateRefine(asked: EstimateOptions): Promise<RefineEstimate> {
  checkOptions('estimateRefine', asked, TABLE, ['inputs', 'out']);
  const { share = DEFAULT_SHARE, workersCount = 1, pricePerHour, ...run } = given(asked);
  const wanted: ListedInputs = { ...run, inputs: [run.inputs].flat() };
  for (const option of ['reuse', 'limit', 'keepScores', 'planOnly', 'worker'] as const) {
    if (wanted[option]) refuseOption(option, 'nothing beside an estimate', wanted[option]);
  }
  if (wanted.inputs.includes('-')) refuseOption('inputs', 'files, which can be sampled', '-');
  const started = performance.now();
  const { options, resolved } = await prepare(wanted, wanted.onNotice ?? (() => undefined));
  const { plan, output } = await planRun(options);
  if (wantsSites(options) || options.site) wanted.onNotice?.('the estimate does not look at sites');
  const [failed] = plan.failedFiles;
  if (failed) wanted.onNotice?.(`left out of the estimate: ${failed.path}: ${failed.message}`);
  const planSeconds = (performance.now() - started) / 1000;
  const seed = options.seed ?? 1;
  const device = parseDevices(options.device ?? 'cpu')[0]!;
  const vocabulary =
    [resolved.chunk, resolved.document].find((stage) => stage?.profile)?.model.path ??
    defaultModelFile('programs');
  const tokenizer = await native().openTokenizer(vocabulary);
  try {
    const { units, stride } = chooseUnits(plan, share, seed, await plannedRows(plan, options));
    const request: SampleRequest = {
      ...{ options, resolved, plan, output, units, stride, device, tokenizer },
      random: seededRandom(seed),
      batchBytes: BATCH_BYTES,
    };
    let sample = await refineSample(request);
    const nRanges = sample.units.reduce((sum, unit) => sum + unit.nRanges, 0);
    if (sample.ranges.length < MIN_RANGES && stride > 1) {
      // Rows were longer than guessed: now their number is known.
      const smaller = Math.max(1, Math.floor(nRanges / MIN_RANGES));
      sample = await refineSample({
        ...request,
        ...{ stride: Math.min(stride, smaller), random: seededRandom(seed) },
      });
    }
    const seconds = (performance.now() - started) / 1000;
    const workers = Math.min(workersCount, Math.max(1, plan.units.length));
    const fixed = planSeconds + sample.openingSeconds;
    return summed(sample, { plan, units, fixed, workers, seed, seconds, vocabulary, pricePerHour });
  } finally {
    tokenizer.dispose();
  }
}

/** Rows of a plan; guessed from its first ones where its formats do not tell. */
async function plannedRows(plan: CorpusPlan, options: ListedInputs): Promise<number> {
  const known = totalRows(plan.units);
  const [unit] = plan.units;
  if (known !== null || !unit) return known ?? 0;
  const bounds = { batchRows: PROBED_ROWS, batchBytes: BATCH_BYTES, reject: 'lines' } as const;
  const total = plan.units.reduce((sum, { bytes }) => sum + bytes, 0);
  for await (const { batch, carry, rejected } of openUnit(plan, unit, openSlabs(options), bounds)) {
    const rows = batch.nDocs + rejected.length;
    const bytes = textBytes(batch) + rejected.reduce((sum, { raw }) => sum + raw.byteLength, 0);
    batch.release();
    carry.release();
    const isPacked = plan.files[unit.fileIndex]!.format !== 'jsonl';
    return (total * (isPacked ? COMPRESSION : 1) * rows) / Math.max(1, bytes);
  }
  return 0;
}

/** Which units are read, and how many of their ranges are passed over for each that is refined. */
function chooseUnits(
  plan: CorpusPlan,
  share: number,
  seed: number,
  rows: number,
): { readonly units: readonly CorpusUnit[]; readonly stride: number } {
  const bytes = plan.units.reduce((sum, unit) => sum + unit.bytes, 0);
  const isWhole = plan.units.length <= WHOLE_UNITS || bytes <= WHOLE_BYTES;
  const nUnits = isWhole
    ? plan.units.length
    : Math.max(WHOLE_UNITS, Math.ceil(plan.units.length * share));
  const order = Int32Array.from(plan.units.keys());
  if (!isWhole) shuffle(order, seededRandom(seed + 1));
  const units = [...order.subarray(0, nUnits)].sort((left, right) => left - right);
  const read = nUnits / Math.max(1, plan.units.length);
  const wanted = Math.max(MIN_RANGES, (rows / RANGE_ROWS) * share);
  const stride = Math.max(1, Math.floor(((rows / RANGE_ROWS) * read) / wanted));
  return { units: units.map((unit) => plan.units[unit]!), stride };
}

interface Known {
  readonly plan: CorpusPlan;
  readonly units: readonly CorpusUnit[];
  /** Seconds before the first row is read. */
  readonly fixed: number;
  readonly workers: number;
  readonly seed: number;
  readonly seconds: number;
  readonly vocabulary: string;
  readonly pricePerHour: number | undefined;
}

type Measure = (range: SampledRange) => number;

function summed(sample: Sample, known: Known): RefineEstimate {
  const { plan, units, fixed, workers } = known;
  const { ranges } = sample;
  const isWhole = units.length === plan.units.length;
  const nRanges = sample.units.reduce((sum, unit) => sum + unit.nRanges, 0);
  // Of a corpus that was read whole ranges were drawn, else units.
  const clusters = isWhole ? ranges.map((range) => [range]) : byUnit(sample);
  const sampledShare = isWhole
    ? ranges.length / Math.max(1, nRanges)
    : units.length / plan.units.length;
  const ofClusters = (measure: Measure): number[] =>
    clusters.map((cluster) => cluster.reduce((sum, range) => sum + measure(range), 0));
  const per = (value: Measure, size: Measure): Interval =>
    ratioInterval({ values: ofClusters(value), sizes: ofClusters(size), sampledShare });
  const shareOf = (value: Measure, size: Measure): Interval =>
    shareInterval(
      { values: ofClusters(value), sizes: ofClusters(size), sampledShare },
      ranges.reduce((sum, { rows }) => sum + rows, 0),
    );
  const planned = plan.units.reduce((sum, { bytes }) => sum + bytes, 0);
  const readBytes = units.reduce((sum, { bytes }) => sum + bytes, 0);
  /** A total over all units from what was counted in those that were read. */
  const total = (count: (unit: Sample['units'][number]) => number): Interval => {
    const values = sample.units.map(count);
    const sizes = units.map(({ bytes }) => bytes);
    const share = isWhole ? 1 : sampledShare;
    return scaled(ratioInterval({ values, sizes, sampledShare: share }), planned);
  };
  const textBytes = total(({ bytes }) => bytes);
  const nRows = totalRows(plan.units);
  const rows = nRows === null ? total((unit) => unit.rows) : exactly(nRows);
  const refining = product(
    per(
      ({ seconds }) => seconds,
      ({ bytesIn }) => bytesIn,
    ),
    textBytes,
  );
  const readSeconds = sample.units.reduce((sum, { seconds }) => sum + seconds, 0);
  const reading = readBytes === 0 ? 0 : (readSeconds * planned) / readBytes;
  const onOne = {
    estimate: fixed + refining.estimate + reading / 2,
    low: fixed + refining.low,
    high: fixed + refining.high + reading,
  };
  const onAll = {
    estimate: fixed + (onOne.estimate - fixed) / workers,
    low: fixed + (onOne.low - fixed) / workers,
    high: fixed + (onOne.high - fixed) / workers,
  };
  const hoursOfWorkers = scaled(onAll, 1 / 3600);
  const tokensIn = product(
    per(
      (range) => range.tokensIn,
      ({ bytesIn }) => bytesIn,
    ),
    textBytes,
  );
  const tokensOut = product(
    per(
      (range) => range.tokensOut,
      ({ bytesIn }) => bytesIn,
    ),
    textBytes,
  );
  const bytesOut = product(
    per(
      (range) => range.bytesOut,
      ({ bytesIn }) => bytesIn,
    ),
    textBytes,
  );
  const sampledOut = ranges.reduce((sum, range) => sum + range.bytesOut, 0);
  const packed = sampledOut === 0 ? 0 : sample.bytesWritten / sampledOut;
  const outputBytes = scaled(product(bytesOut, PACKING), packed);
  const { pricePerHour, seed, seconds, vocabulary } = known;
  return {
    sample: {
      seed,
      ranges: ranges.length,
      rows: ranges.reduce((sum, range) => sum + range.rows, 0),
      bytes: ranges.reduce((sum, { bytesIn }) => sum + bytesIn, 0),
      unitsRead: units.length,
      seconds,
    },
    units: plan.units.length,
    rows,
    textBytes,
    hours: scaled(onOne, 1 / 3600),
    workers,
    hoursOfWorkers,
    price: pricePerHour === undefined ? null : scaled(hoursOfWorkers, workers * pricePerHour),
    kept: {
      rows: shareOf(
        ({ staying }) => staying,
        (range) => range.rows,
      ),
      characters: shareOf(
        ({ charsOut }) => charsOut,
        ({ charsIn }) => charsIn,
      ),
      tokens: shareOf(
        (range) => range.tokensOut,
        (range) => range.tokensIn,
      ),
    },
    tokensIn,
    tokensOut,
    vocabulary,
    outputBytes,
    diskBytes: Math.ceil(outputBytes.high),
  };
}

function exactly(value: number): Interval {
  return { estimate: value, low: value, high: value };
}

function byUnit({ units, ranges }: Sample): SampledRange[][] {
  return units.map(({ unit }) => ranges.filter((range) => range.unit === unit));
}
