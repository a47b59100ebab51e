/**
 * A chain as it is written, YAML or JSON, checked whole before anything runs.
 *
 *     name: villages
 *     corpora:
 *       letters: { inputs: [data/letters.jsonl] }
 *       ledgers: { inputs: [data/ledgers.jsonl] }
 *     refine: { corpora: [letters] }                 # what is not refined stays as it is
 *     tokenize: { tokenizer: { train: { vocabSize: 512 } } }
 *     mix: { runs: 16, proxy: { preset: tiny, steps: 60 } }
 *     continue: { model: …, batch: …, stages: [{ name: base, data: mixture, … }] }
 *
 * `continue` is a plan (continual/plan/config.ts) without datasets and tokenizer, which are the chain's; the word `mixture`
 * in its blends stands for the weights that `mix` found. Stages that are left out are not run.
 */
import * as z from 'zod';
import { checkPlan, type PlanConfig } from '../continual/plan/config.ts';
import { resolvePlan } from '../continual/plan/resolve.ts';
import { GristmillError } from '../errors.ts';
import { SURROGATE_FAMILIES } from '../mixture/surrogates/families.ts';
import type { SurrogateFamilyName } from '../mixture/types.ts';
import { byName, faultText } from '../schema.ts';
import { tokenizerSchema } from '../train/config-parts.ts';
import { readYaml } from '../yaml-file.ts';

/** Stages of a chain, in their order. */
export const CHAIN_STAGES = Object.freeze(['refine', 'tokenize', 'mix', 'continue'] as const);

/** Name of a stage. */
export type ChainStage = (typeof CHAIN_STAGES)[number];

/** What blends of the plan call the weights that `mix` found. */
export const MIXTURE = 'mixture';

/** `active` asks a fit that there is not yet. */
const SAMPLED = ['regmix', 'regmix-paper', 'space-filling'] as const;
const FAMILIES = Object.keys(SURROGATE_FAMILIES) as SurrogateFamilyName[];

const name = z.string().regex(/^[0-9A-Za-z][0-9A-Za-z_.-]{0,79}$/, {
  error: 'expected a letter or digit, then up to 79 letters, digits, dots, dashes and underscores',
});
const names = z.array(name).min(1);
const share = z.number().min(0).max(1);
const count = z.int().min(1);

const corpus = z.strictObject({
  /** Files, folders, globs and addresses of Parquet, JSONL and Arrow. */
  inputs: z.array(z.string().min(1)).min(1),
  textColumn: z.string().min(1).optional(),
  /** By column: values of which a row must have one. */
  where: byName(z.array(z.string()).min(1), z.string().min(1)).optional(),
});

/** As `gristmill refine` has them; what they mean is checked there. */
const refine = z.strictObject({
  /** Default: all. */
  corpora: names.optional(),
  refiner: z.string().optional(),
  documentModel: z.string().optional(),
  chunkModel: z.string().optional(),
  stages: z.array(z.enum(['document', 'chunk'])).optional(),
  profile: z.string().optional(),
  documentThreshold: share.optional(),
  lineThreshold: share.optional(),
  retention: share.optional(),
  executor: z.enum(['strict', 'compat']).optional(),
  unitRows: count.optional(),
  slots: count.optional(),
  seed: z.int().min(0).optional(),
});

const tokenize = z.strictObject({
  tokenizer: tokenizerSchema,
  /** Share of the documents that is held out. */
  validation: z.number().positive().max(0.5).default(0.05),
});

const mix = z.strictObject({
  /** Domains of the mixture. Default: all. */
  corpora: names.optional(),
  /** Proxies. */
  runs: count.max(100_000),
  sample: z.enum(SAMPLED).default('regmix'),
  seed: z
    .int()
    .min(0)
    .max(2 ** 32 - 1)
    .default(42),
  /** A preset, and what of it is changed; see `mix train`. */
  proxy: z.looseObject({ preset: z.enum(['1m', 'tiny']).default('tiny') }).prefault({}),
  model: z.enum(FAMILIES).default('ensemble'),
  folds: z.int().min(0).default(5),
  /** Weights of held-out losses. Default: those of the mixture's domains, all the same. */
  targets: byName(z.number().min(0), name).optional(),
  /** Weight of the distance from the prior. */
  kl: z.number().min(0).default(0),
  outside: z.enum(['refuse', 'allow', 'inside']).default('inside'),
});

const schema = z.strictObject({
  name: z.string().min(1).max(200).default('chain'),
  corpora: byName(corpus, name).refine((all) => Object.keys(all).length > 0, {
    error: 'expected at least one',
  }),
  refine: refine.optional(),
  tokenize: tokenize.optional(),
  mix: mix.optional(),
  continue: z.looseObject({}).optional(),
});

/** A checked chain. */
export type ChainConfig = z.infer<typeof schema>;

/**
 * Checks a chain, the plan of its last stage too.
 *
 * @param file named in errors
 * @throws CHAIN_INVALID; CONTINUAL_PLAN_INVALID and SCHEDULE_INVALID for its plan
 */
export function checkChain(input: unknown, file = 'the chain'): ChainConfig {
  const parsed = schema.safeParse(input);
  const refuse = (reason: string): never => {
    throw new GristmillError('CHAIN_INVALID', { file, reason });
  };
  if (!parsed.success) return refuse(faultText(parsed.error, input, 'chain'));
  const chain = parsed.data;
  if (Object.hasOwn(chain.corpora, MIXTURE)) {
    refuse(`corpora.${MIXTURE}: the word stands for the weights of the mix`);
  }
  for (const stage of ['refine', 'mix'] as const) {
    const unknown = chain[stage]?.corpora?.find((one) => !Object.hasOwn(chain.corpora, one));
    if (unknown !== undefined) {
      refuse(
        `${stage}.corpora: no corpus ${unknown}; those are: ${Object.keys(chain.corpora).join(', ')}`,
      );
    }
  }
  const target = Object.keys(chain.mix?.targets ?? {}).find(
    (one) => !Object.hasOwn(chain.corpora, one),
  );
  if (target !== undefined) refuse(`mix.targets: no corpus ${target}`);
  if (!CHAIN_STAGES.some((stage) => chain[stage])) refuse('chain: expected at least one stage');
  for (const stage of ['mix', 'continue'] as const) {
    if (chain[stage] && !chain.tokenize) refuse(`${stage}: tokenize is needed in front of it`);
  }
  if (chain.continue) {
    for (const key of ['datasets', 'tokenizer']) {
      if (Object.hasOwn(chain.continue, key)) {
        refuse(`continue.${key}: the chain's own take its place; see corpora and tokenize`);
      }
    }
    if (usesMixture(chain) && !chain.mix) refuse(`continue: ${MIXTURE}, but the chain has no mix`);
    const all = mixtureDomains(chain);
    const even = Object.fromEntries(all.map((domain) => [domain, 1 / all.length]));
    resolvePlan(planOf(chain, { path: 'tokenizer' }, even, file), { file });
  }
  return chain;
}

/** Reads a chain. @throws CHAIN_INVALID, CONTINUAL_PLAN_INVALID, SCHEDULE_INVALID */
export function readChain(file: string): ChainConfig {
  return checkChain(readYaml(file, 'CHAIN_INVALID'), file);
}

/** Domains of the mixture. */
export function mixtureDomains({ mix: own, corpora }: ChainConfig): string[] {
  return own?.corpora ?? Object.keys(corpora);
}

type Blend = string | Readonly<Record<string, unknown>>;

/**
 * The plan of the chain's last stage.
 *
 * @param weights of the mixture by domain
 * @param inputsOf files of a corpus as it is trained on. Default: as it is written
 * @throws CONTINUAL_PLAN_INVALID
 */
export function planOf(
  chain: ChainConfig,
  tokenizer: { readonly path: string },
  weights: Readonly<Record<string, number>>,
  file: string,
  inputsOf: (corpus: string) => readonly string[] = (one) => chain.corpora[one]!.inputs,
): PlanConfig {
  const used = new Set<string>();
  const taken = (blend: unknown): unknown => {
    const expanded = isBlend(blend) ? expand(blend, weights) : blend;
    if (typeof expanded === 'string') used.add(expanded);
    else if (isObject(expanded)) for (const one of Object.keys(expanded)) used.add(one);
    return expanded;
  };
  const written = chain.continue as { readonly stages?: unknown };
  const stages = Array.isArray(written.stages)
    ? written.stages.map((stage: unknown) => {
        if (!isObject(stage)) return stage;
        const { data } = stage;
        const own = Array.isArray(data)
          ? data.map((part: unknown) =>
              isObject(part) ? { ...part, data: taken(part['data']) } : part,
            )
          : taken(data);
        return { ...stage, data: own };
      })
    : written.stages;
  const datasets = Object.fromEntries(
    Object.entries(chain.corpora)
      .filter(([corpusName]) => used.has(corpusName))
      .map(([corpusName, { textColumn, where }]) => [
        corpusName,
        {
          inputs: [...inputsOf(corpusName)],
          ...(textColumn && { textColumn }),
          ...(where && { where }),
        },
      ]),
  );
  return checkPlan({ name: chain.name, ...written, stages, datasets, tokenizer }, file);
}

/** Whether a blend of the plan names the mixture. */
export function usesMixture({ continue: plan }: ChainConfig): boolean {
  const { stages } = (plan ?? {}) as { readonly stages?: unknown };
  const blends = Array.isArray(stages)
    ? stages.flatMap((stage: unknown) => {
        const data = isObject(stage) ? stage['data'] : undefined;
        return Array.isArray(data)
          ? data.map((part: unknown) => (isObject(part) ? part['data'] : undefined))
          : [data];
      })
    : [];
  return blends.some(
    (blend) => blend === MIXTURE || (isObject(blend) && Object.hasOwn(blend, MIXTURE)),
  );
}

/** A blend with the mixture's own weights in the place of its name. */
function expand(blend: Blend, weights: Readonly<Record<string, number>>): Blend {
  const shares = Object.entries(weights).filter(([, weight]) => weight > 0);
  if (blend === MIXTURE) return Object.fromEntries(shares);
  if (typeof blend === 'string' || !Object.hasOwn(blend, MIXTURE)) return blend;
  const { [MIXTURE]: whole, ...others } = blend;
  const scale = numberOf(whole);
  const found = new Map<string, unknown>(Object.entries(others));
  // What is no weight is left to the plan, which says so.
  if (scale === null) return blend;
  for (const [domain, weight] of shares) {
    const before = found.has(domain) ? numberOf(found.get(domain)) : 0;
    if (before === null) return blend;
    found.set(domain, before + scale * weight);
  }
  return Object.fromEntries(
    [...found].map(([domain, weight]) => [domain, numberOf(weight) ?? weight]),
  );
}

/** A weight, also in percent; null where it is none. */
function numberOf(value: unknown): number | null {
  if (typeof value === 'number' && value >= 0) return value;
  const percent =
    typeof value === 'string' ? /^\s*(\d+(?:\.\d+)?)\s*%\s*$/.exec(value.slice(0, 40)) : null;
  return percent ? Number(percent[1]) / 100 : null;
}

function isBlend(value: unknown): value is Blend {
  return typeof value === 'string' || isObject(value);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
