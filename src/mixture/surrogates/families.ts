/** The surrogates by name. */
import type { SurrogateFamily, SurrogateFamilyName } from '../types.ts';
import { ensemble } from './ensemble.ts';
import { gaussianProcess } from './gaussian-process.ts';
import { gbdt } from './gbdt.ts';
import { mixingLaw } from './mixing-law.ts';
import { power1, power2 } from './power-law.ts';
import { ridge } from './ridge.ts';

/** Every family that is fitted to one target at one scale; `scale` is fitted to all targets at once (scale/fit-scale.ts). */
export const SURROGATE_FAMILIES: Readonly<
  Record<Exclude<SurrogateFamilyName, 'scale'>, SurrogateFamily>
> = {
  ridge,
  gbdt,
  'mixing-law': mixingLaw,
  power1,
  power2,
  gp: gaussianProcess,
  ensemble,
};
