/** The surrogates by name. */
import { GristmillError } from '../../errors.ts';
import type { SurrogateFamily, SurrogateFamilyName } from '../types.ts';
import { ridge } from './ridge.ts';

function pending(name: SurrogateFamilyName): SurrogateFamily {
  const refuse = () =>
    new GristmillError('OPTION_INVALID', { option: 'family', expected: 'ridge', received: name });
  return {
    name,
    minRuns: () => 8,
    fit: () => Promise.reject(refuse()),
    fromJson: () => {
      throw refuse();
    },
  };
}

/** Every family of surrogates. */
export const SURROGATE_FAMILIES: Readonly<Record<SurrogateFamilyName, SurrogateFamily>> = {
  ridge,
  gbdt: pending('gbdt'),
  'mixing-law': pending('mixing-law'),
  power1: pending('power1'),
  power2: pending('power2'),
  gp: pending('gp'),
  ensemble: pending('ensemble'),
};
