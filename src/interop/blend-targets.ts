/** The trainers that blends of domains are written for. */

/** Trainers by name. */
export const BLEND_TARGETS = Object.freeze([
  'gpt-neox',
  'megatron',
  'nanotron',
  'olmo-core',
  'torchtitan',
  'litgpt',
  'hf',
  'axolotl',
  'mosaicml-streaming',
] as const);

/** Name of a trainer. */
export type BlendTarget = (typeof BLEND_TARGETS)[number];
