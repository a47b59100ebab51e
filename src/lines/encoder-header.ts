/**
 * The header of an encoder (encoder-file.ts) and its check.
 *
 * Written out by hand: every run of the default refiners reads two such headers, and a library of schemas costs a small run
 * as much as everything else that it loads.
 */
import type { Calibration, RetentionThreshold } from './calibration.ts';

/** Raised when the meaning of a feature changes: an older encoder would then be fed other numbers. */
export const ENCODER_VERSION = 2;

/** Types of arrays by their names in a header. */
export const ARRAYS = {
  f32: Float32Array,
  i32: Int32Array,
  u16: Uint16Array,
  i16: Int16Array,
  u8: Uint8Array,
} as const;

/** Name of a type of arrays. */
export type ArrayType = keyof typeof ARRAYS;

/** Sizes of bins; their cuts are arrays. */
export interface BinSizes {
  readonly nFeatures: number;
  readonly maxBins: number;
}

/** See ScoringEncoder for what is not said here. */
export interface EncoderHeader {
  readonly version: typeof ENCODER_VERSION;
  readonly kind: 'line-score' | 'document-score';
  readonly head: 'network' | 'stack';
  readonly treeShare: number;
  readonly hashBits: number;
  readonly bins: BinSizes;
  readonly stack: {
    readonly logisticBins: BinSizes;
    readonly treeBins: BinSizes;
    readonly base: number;
    readonly nTreeFeatures: number;
  } | null;
  readonly calibration: Calibration;
  readonly thresholds: readonly RetentionThreshold[];
  /** Offsets are bytes from the end of the header. */
  readonly arrays: Readonly<
    Record<string, { readonly type: ArrayType; readonly length: number; readonly offset: number }>
  >;
}

/** A value that is not what it should be. */
export class HeaderFault extends Error {}

type Reader<T> = (value: unknown, at: string) => T;

const MAX_FEATURES = 4096;

function refuse(at: string, expected: string, value: unknown): never {
  const shown = JSON.stringify(value) ?? 'nothing';
  throw new HeaderFault(`${at} is ${shown.slice(0, 40)}, expected ${expected}`);
}

const number =
  (low = Number.NEGATIVE_INFINITY, high = Number.POSITIVE_INFINITY): Reader<number> =>
  (value, at) => {
    if (typeof value === 'number' && Number.isFinite(value) && value >= low && value <= high) {
      return value;
    }
    const range = Number.isFinite(low) ? ` in ${low}..${high}` : '';
    return refuse(at, `a number${range}`, value);
  };

const whole =
  (low: number, high = Number.MAX_SAFE_INTEGER): Reader<number> =>
  (value, at) =>
    Number.isSafeInteger(value) && (value as number) >= low && (value as number) <= high
      ? (value as number)
      : refuse(at, `a whole number in ${low}..${high}`, value);

const oneOf =
  <const T extends string | number>(...values: readonly T[]): Reader<T> =>
  (value, at) =>
    values.includes(value as T) ? (value as T) : refuse(at, values.join(' or '), value);

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** An object of these fields and no others; a reader that takes undefined makes its field one that may be missing. */
const object =
  <T extends object>(fields: { readonly [Key in keyof T]-?: Reader<T[Key]> }): Reader<T> =>
  (value, at) => {
    if (!isObject(value)) return refuse(at, 'an object', value);
    const below = (name: string): string => (at === HEADER ? name : `${at}.${name}`);
    const unknown = Object.keys(value).find((name) => !Object.hasOwn(fields, name));
    if (unknown !== undefined) refuse(below(unknown), 'nothing', value[unknown]);
    const read = Object.entries<Reader<unknown>>(fields).map(([name, reader]) => {
      const own = Object.hasOwn(value, name) ? value[name] : undefined;
      return [name, reader(own, below(name))] as const;
    });
    return Object.fromEntries(read.filter(([, own]) => own !== undefined)) as T;
  };

const optional =
  <T>(reader: Reader<T>): Reader<T | undefined> =>
  (value, at) =>
    value === undefined ? undefined : reader(value, at);

const nullable =
  <T>(reader: Reader<T>): Reader<T | null> =>
  (value, at) =>
    value === null ? null : reader(value, at);

const listOf =
  <T>(reader: Reader<T>): Reader<T[]> =>
  (value, at) =>
    Array.isArray(value)
      ? value.map((each: unknown, index) => reader(each, `${at}[${index}]`))
      : refuse(at, 'an array', value);

const byName =
  <T>(reader: Reader<T>): Reader<Record<string, T>> =>
  (value, at) => {
    if (!isObject(value)) return refuse(at, 'an object', value);
    const entries = Object.entries(value).map(
      ([name, each]) => [name, reader(each, `${at}.${name}`)] as const,
    );
    return Object.fromEntries(entries);
  };

const HEADER = 'the header';
const sizes = object<BinSizes>({ nFeatures: whole(0, MAX_FEATURES), maxBins: whole(2, 256) });
const slope = { slope: number(), intercept: number() };

/** @throws HeaderFault */
export const readHeader: (json: unknown) => EncoderHeader = (json) => header(json, HEADER);

const header = object<EncoderHeader>({
  version: oneOf(ENCODER_VERSION),
  kind: oneOf('line-score', 'document-score'),
  head: oneOf('network', 'stack'),
  treeShare: number(0, 1),
  hashBits: whole(1, 24),
  bins: sizes,
  stack: nullable(
    object<NonNullable<EncoderHeader['stack']>>({
      logisticBins: sizes,
      treeBins: sizes,
      base: number(),
      nTreeFeatures: whole(1, MAX_FEATURES),
    }),
  ),
  calibration: object<Calibration>({ ...slope, byDoubt: optional(object(slope)) }),
  thresholds: listOf(
    object<RetentionThreshold>({
      retention: number(),
      threshold: number(),
      noiseRemoved: number(),
    }),
  ),
  arrays: byName(
    object<EncoderHeader['arrays'][string]>({
      type: oneOf(...(Object.keys(ARRAYS) as ArrayType[])),
      length: whole(0),
      offset: whole(0),
    }),
  ),
});
