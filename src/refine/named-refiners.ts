/**
 * Refiners by name: which models a name stands for, how they are asked, and which stages they have.
 *
 * The published ones are not in the package: `gristmill models pull` brings and converts them, and they are found in the
 * cache without the network. Repositories: ProX (arXiv 2409.17115) names gair-prox/{web,math}-{doc,chunk}-refining-lm in
 * its scripts; UltraX (arXiv 2607.08646) links openbmb/UltraX-0.6B-Preview from its README (github.com/openbmb/UltraX).
 *
 * What the caller gives explicitly (a model, stages, a profile) takes the place of what the name says.
 */
import { GristmillError } from '../errors.ts';
import { pulledModel } from '../model/hub-cache.ts';
import type { RefineOptions, StageName } from './core.ts';

interface NamedRefiner {
  /** Hub repository, or the spec of a model of the package. */
  readonly document?: { readonly repo: string } | { readonly spec: string };
  readonly chunk?: { readonly repo: string } | { readonly spec: string };
  /** Undefined: the file beside each model. */
  readonly profile?: string;
  /** Where the system text stands that its chat needs and this package does not hold. */
  readonly systemFrom?: string;
}

const prox = (domain: 'web' | 'math'): NamedRefiner => ({
  document: { repo: `gair-prox/${domain}-doc-refining-lm` },
  chunk: { repo: `gair-prox/${domain}-chunk-refining-lm` },
  profile: `prox-${domain}`,
});

/** Refiners by name. */
export const NAMED_REFINERS = Object.freeze({
  default: { document: { spec: 'default' }, chunk: { spec: 'default' } },
  programs: { document: { spec: 'default' }, chunk: { spec: 'programs' } },
  'prox-web': prox('web'),
  'prox-math': prox('math'),
  ultrax: {
    chunk: { repo: 'openbmb/UltraX-0.6B-Preview' },
    profile: 'ultrax',
    // SHA-256 of the text: ee25baec3b9412fbf47c334c02daa915b0f99b40ac8e4a7fed9dd0d8fc85f32c (1,410 bytes of UTF-8).
    systemFrom:
      'SYSTEM_INSTRUCTION in stage2_large_scale_execution/inference/inference.py of github.com/openbmb/UltraX',
  },
} as const satisfies Record<string, NamedRefiner>);

/** Name of a refiner. */
export type RefinerName = keyof typeof NAMED_REFINERS;

/**
 * Options with a named refiner's models, stages and profile filled in where the caller gave none.
 *
 * @throws OPTION_INVALID for an unknown name, REFINER_NOT_PULLED with the command that brings the model,
 *   REFINER_NO_SYSTEM where the chat needs a system text and none is given
 */
export function withNamedRefiner(options: RefineOptions): RefineOptions {
  const { refiner: name } = options;
  if (name === undefined) return options;
  if (!Object.hasOwn(NAMED_REFINERS, name)) {
    throw new GristmillError('OPTION_INVALID', {
      option: 'refiner',
      expected: `one of ${Object.keys(NAMED_REFINERS).join(', ')}`,
      received: name,
    });
  }
  const refiner: NamedRefiner = NAMED_REFINERS[name];
  const model = (stage: StageName): string | undefined => {
    const given = stage === 'document' ? options.documentModel : options.chunkModel;
    const named = refiner[stage];
    const wanted = options.stages === undefined || options.stages.includes(stage);
    if (given !== undefined || named === undefined || !wanted) return given;
    return 'spec' in named ? named.spec : pulled(name, named.repo);
  };
  const documentModel = model('document');
  const chunkModel = model('chunk');
  const profile = options.profile ?? refiner.profile;
  const asksPublished = profile === refiner.profile && chunkModel !== undefined;
  if (refiner.systemFrom !== undefined && asksPublished && options.system === undefined) {
    throw new GristmillError('REFINER_NO_SYSTEM', { refiner: name, source: refiner.systemFrom });
  }
  return {
    ...options,
    ...(documentModel !== undefined && { documentModel }),
    ...(chunkModel !== undefined && { chunkModel }),
    ...(profile !== undefined && { profile }),
  };
}

function pulled(refiner: string, repo: string): string {
  const path = pulledModel({ repo });
  if (path === null) throw new GristmillError('REFINER_NOT_PULLED', { refiner, repo });
  return path;
}
