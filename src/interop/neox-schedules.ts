/**
 * Infinite schedules from configurations of gpt-neox, of which there are two kinds under nearly one name.
 *
 *     the paper's experiments  `cosine_cooldown_infinite`, `inverse_sqrt_infinite`
 *     (6ff3ae6c)               `cooldown_iters_percent`, `constant_iters_percent`: where phases END, shares of the whole
 *     branch `infinite_lr`     `infinite_cosine`, `infinite_inv_sqrt`
 *     (38152424)               `cooldown_iters_perc`, `constant_iters_perc`: how LONG phases are, shares of the whole
 *
 * The caller says which one it is; a configuration that speaks the other one, or both, is refused.
 *
 * @see arXiv 2403.08763, section 7
 */
import { parse } from 'yaml';
import { GristmillError } from '../errors.ts';
import { infiniteFromEnds } from '../schedules/cumulative.ts';
import { checkSchedule, type ScheduleSpec } from '../schedules/spec.ts';

const ENDS = {
  styles: { cosine_cooldown_infinite: 'cosine', inverse_sqrt_infinite: 'inverse-sqrt' },
  keys: ['cooldown_iters_percent', 'constant_iters_percent'],
} as const;
const LENGTHS = {
  styles: { infinite_cosine: 'cosine', infinite_inv_sqrt: 'inverse-sqrt' },
  keys: ['cooldown_iters_perc', 'constant_iters_perc'],
} as const;

/**
 * The schedule of a gpt-neox configuration whose percents are where phases end.
 *
 * @param text YAML or JSON of one file; `lr` in `optimizer.params`
 * @throws SCHEDULE_INVALID for keys of the other kind, missing keys, ends that do not ascend
 */
export function scheduleFromNeoxEnds(text: string, where = 'the configuration'): ScheduleSpec {
  const config = new NeoxConfig(text, where);
  const shape = config.style(ENDS, LENGTHS);
  const ends = {
    ...config.rates(),
    warmupEnd: config.share('warmup'),
    cooldownEnd: config.share('cooldown_iters_percent'),
    constantEnd: config.share('constant_iters_percent'),
    cooldown: shape,
  };
  return infiniteFromEnds(
    shape === 'inverse-sqrt' ? { ...ends, timescale: config.number('timescale') } : ends,
  );
}

/**
 * The schedule of a gpt-neox configuration whose percents are how long phases are; the anneal takes what remains.
 *
 * @param text YAML or JSON of one file; `lr` in `optimizer.params`
 * @throws SCHEDULE_INVALID for keys of the other kind, missing keys, phases longer than the whole
 */
export function scheduleFromNeoxLengths(text: string, where = 'the configuration'): ScheduleSpec {
  const config = new NeoxConfig(text, where);
  const shape = config.style(LENGTHS, ENDS);
  const warmup = config.share('warmup');
  const cooldown = config.share('cooldown_iters_perc');
  const constant = config.share('constant_iters_perc');
  const rest = 1 - warmup - cooldown - constant;
  if (rest < -1e-9) config.refuse(`warmup, cooldown and constant are ${1 - rest} of the whole`);
  const { peakLr, constantLr, minLr } = config.rates();
  return checkSchedule(
    {
      kind: 'infinite',
      peakLr,
      constantLr,
      minLr,
      warmup: { fraction: warmup },
      cooldown: {
        shape,
        length: { fraction: cooldown },
        ...(shape === 'inverse-sqrt' && { timescale: config.number('timescale') }),
      },
      ...(rest > 1e-9
        ? { constant: { fraction: constant }, anneal: { shape: 'exponential' } }
        : {}),
    },
    where,
  );
}

interface Kind {
  readonly styles: Readonly<Record<string, 'cosine' | 'inverse-sqrt'>>;
  readonly keys: readonly string[];
}

class NeoxConfig {
  readonly #values = new Map<string, unknown>();
  readonly #where: string;

  constructor(text: string, where: string) {
    this.#where = where;
    let config: unknown;
    try {
      config = parse(text);
    } catch (error) {
      this.refuse((error as Error).message);
    }
    if (config === null || typeof config !== 'object') this.refuse('expected keys and values');
    for (const [key, value] of Object.entries(config as object)) {
      // gpt-neox reads both.
      const name = key.replaceAll('-', '_');
      if (this.#values.has(name)) this.refuse(`${name} is there twice, with - and with _`);
      this.#values.set(name, value);
    }
  }

  /** Shape of the cooldown; refuses what belongs to the other kind. */
  style(mine: Kind, other: Kind): 'cosine' | 'inverse-sqrt' {
    const foreign = other.keys.filter((key) => this.#values.has(key));
    if (foreign.length > 0) {
      this.refuse(
        `${foreign.join(' and ')} ${other.keys === ENDS.keys ? 'say where phases end' : 'say how long phases are'}, unlike ${mine.keys.join(' and ')}; which of the two functions reads it must be clear`,
      );
    }
    const style = this.#values.get('lr_decay_style');
    const known = Object.keys(mine.styles);
    if (typeof style !== 'string' || !Object.hasOwn(mine.styles, style)) {
      this.refuse(`lr-decay-style: expected ${known.join(' or ')}, received ${String(style)}`);
    }
    const repeats = this.#values.get('num_repeats') ?? 1;
    if (repeats !== 1) this.refuse(`num_repeats: expected 1, received ${String(repeats)}`);
    return mine.styles[style as string]!;
  }

  rates(): { readonly peakLr: number; readonly constantLr: number; readonly minLr: number } {
    const optimizer = this.#values.get('optimizer') as { params?: { lr?: unknown } } | undefined;
    const peakLr = optimizer?.params?.lr;
    if (typeof peakLr !== 'number') this.refuse('optimizer.params.lr: expected a number');
    return {
      peakLr: peakLr as number,
      constantLr: this.number('constant_lr'),
      minLr: this.number('min_lr'),
    };
  }

  number(key: string): number {
    const value = this.#values.get(key);
    if (typeof value === 'number' && Number.isFinite(value)) return value;
    return this.refuse(
      `${key}: expected a number, received ${value === undefined ? 'nothing' : String(value)}`,
    );
  }

  share(key: string): number {
    const value = this.number(key);
    return value >= 0 && value <= 1
      ? value
      : this.refuse(`${key}: expected a share in 0..1, received ${value}`);
  }

  refuse(reason: string): never {
    throw new GristmillError('SCHEDULE_INVALID', { where: this.#where, reason });
  }
}
