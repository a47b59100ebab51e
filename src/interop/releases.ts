/**
 * The releases that exports were tried with: `npm run check:trainers` runs them through the classes of the newest ones and
 * says where those are others.
 */
import type { BlendTarget } from './blend-targets.ts';

/** Package and version on PyPI, or the revision of a repository that is no package. */
export const TRIED_WITH: Readonly<Record<BlendTarget, string>> = Object.freeze({
  'gpt-neox': 'gpt-neox ea7aefd8',
  megatron: 'megatron-core 0.16.1',
  nanotron: 'nanotron 0.4',
  'olmo-core': 'ai2-olmo-core 3.0.0',
  torchtitan: 'torchtitan 0.3.0',
  litgpt: 'litgpt 0.5.13, litdata 0.2.76',
  hf: 'transformers 5.24.0, datasets 5.2.0',
  axolotl: 'axolotl 0.19.0',
  'mosaicml-streaming': 'mosaicml-streaming 0.13.0',
});
