/**
 * Refiners by name: which models a name stands for, how they are asked, and which stages they have.
 *
 * Repositories: ProX (arXiv 2409.17115) names gair-prox/{web,math}-{doc,chunk}-refining-lm in its scripts; UltraX
 * (arXiv 2607.08646) links openbmb/UltraX-0.6B-Preview from its README (github.com/openbmb/UltraX).
 */

/** What a name stands for. */
export interface NamedRefiner {
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
