/**
 * What a proxy is: its shape, data order, steps and measurements. Presets and overrides.
 *
 * `1m` is the published proxy (RegMix's `tinyllama_1M`): 2 layers, 256 wide, 8 heads, SwiGLU 512, untied, 2,048 tokens
 * of context, 512 sequences a step, AdamW 0.9/0.95, weight decay 0.1, clipping at 1, learning rate 4e-4 after 100 steps
 * of warm-up. Deviations: the loss is taken after exactly 1,000 steps; initial weights are normal with one deviation for
 * embeddings and linear maps (published: √(2/5/fan-in) for both, which is the same at this width), divided by
 * √(2 · nLayer) where they write to the residual stream (published: 1/√width/nLayer, 0.031 against 0.020); the
 * published evaluation took 50 batches of 16 blocks, here they are the same windows in every run.
 *
 * `tiny` is made for one CPU core (docs/commands/mix-train.md has its time); how far its ranks hold for larger models is not measured.
 */
import * as z from 'zod';
import { GristmillError } from '../../errors.ts';

const positive = z.int().min(1);

const schema = z.strictObject({
  nLayer: positive,
  nEmbd: positive,
  nHead: positive,
  nFf: positive,
  tied: z.boolean(),
  /** Tokens of a sequence; every one of them predicts the next. */
  nCtx: z.int().min(2),
  /** Sequences of a step. */
  batch: positive,
  /** Sequences of a pass through the model; divides `batch`. Memory, not meaning, but the last bits depend on it. */
  microBatch: positive,
  steps: positive,
  peakLr: z.number().min(0),
  /** Steps of linear warm-up; the rate is constant behind them. */
  warmupSteps: z.int().min(0),
  beta1: z.number().min(0).max(0.99999),
  beta2: z.number().min(0).max(0.9999999),
  weightDecay: z.number().min(0),
  clipNorm: z.number().min(0),
  initDeviation: z.number().positive(),
  /** Steps between measurements; 0 for the end only. */
  evalEvery: z.int().min(0),
  /** Validation windows of a domain, at most; spread evenly over what it holds out. */
  evalWindows: positive,
  /** How domains are drawn, see tokens/blend.ts. */
  blend: z.enum(['exact', 'iid']),
  /** Of initial weights and of the order of the data; the same in all runs of a sweep. */
  seed: z.int().min(0),
});

/** Settings of a proxy; see {@link PROXY_PRESETS}. */
export type ProxySettings = Readonly<z.infer<typeof schema>>;

const common = {
  nLayer: 2,
  beta1: 0.9,
  beta2: 0.95,
  weightDecay: 0.1,
  clipNorm: 1,
  evalEvery: 100,
  blend: 'exact',
  seed: 0,
} as const;

/** Settings by name. @see RegMix, arXiv 2407.01492, and its public configuration `tinyllama_1M` */
export const PROXY_PRESETS = Object.freeze({
  '1m': {
    ...common,
    nEmbd: 256,
    nHead: 8,
    nFf: 512,
    tied: false,
    nCtx: 2048,
    batch: 512,
    microBatch: 16,
    steps: 1000,
    peakLr: 4e-4,
    warmupSteps: 100,
    initDeviation: Math.sqrt(2 / 5 / 256),
    evalWindows: 800,
  },
  tiny: {
    ...common,
    nEmbd: 64,
    nHead: 4,
    nFf: 192,
    tied: true,
    nCtx: 128,
    batch: 16,
    microBatch: 16,
    steps: 300,
    peakLr: 3e-3,
    warmupSteps: 30,
    initDeviation: 0.02,
    evalWindows: 32,
  },
} as const satisfies Record<string, ProxySettings>);

/** Name of a preset. */
export type ProxyPreset = keyof typeof PROXY_PRESETS;

/**
 * A preset with overrides, checked. Fewer sequences a step than a pass holds make the pass smaller.
 *
 * @throws OPTION_INVALID naming the setting
 */
export function proxySettings(
  preset: ProxyPreset,
  overrides: Partial<ProxySettings> = {},
): ProxySettings {
  if (!Object.hasOwn(PROXY_PRESETS, preset)) {
    const expected = Object.keys(PROXY_PRESETS).join(' or ');
    throw new GristmillError('OPTION_INVALID', { option: 'preset', expected, received: preset });
  }
  const given = Object.fromEntries(
    Object.entries(overrides).filter(([, value]) => value !== undefined),
  );
  const wished: ProxySettings = { ...PROXY_PRESETS[preset], ...given };
  const parsed = schema.safeParse({
    ...wished,
    microBatch: overrides.microBatch ?? Math.min(wished.microBatch, wished.batch),
    warmupSteps: overrides.warmupSteps ?? Math.min(wished.warmupSteps, wished.steps),
  });
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0]!;
    const received = (wished as unknown as Record<string, unknown>)[String(path[0])];
    throw new GristmillError('OPTION_INVALID', {
      option: path.join('.'),
      expected: message,
      received,
    });
  }
  const settings = parsed.data;
  require(settings.batch % settings.microBatch ===
    0, 'batch', 'a multiple of the micro-batch', settings.batch);
  require(settings.nEmbd % (2 * settings.nHead) ===
    0, 'nEmbd', 'a multiple of 2 · nHead', settings.nEmbd);
  require(settings.warmupSteps <=
    settings.steps, 'warmupSteps', `0..${settings.steps}`, settings.warmupSteps);
  return settings;
}

function require(holds: boolean, option: string, expected: string, received: unknown): void {
  if (!holds) throw new GristmillError('OPTION_INVALID', { option, expected, received });
}
