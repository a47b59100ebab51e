/** The domains that `mix sample` and `mix optimize` work with. */
import { GristmillError } from '../errors.ts';
import { type DomainSpec, orderDomains, readDomains } from '../mixture/domains.ts';
import type { FittedMixture } from '../mixture/fit-types.ts';
import { say } from './say.ts';

/**
 * Domains of a file in the order of a fit; without a file, those of the fit with the mean of its runs as prior.
 *
 * @throws OPTION_INVALID where there is neither
 */
export function domainsFrom(file: string | undefined, fit: FittedMixture | null): DomainSpec[] {
  if (file !== undefined) {
    const domains = readDomains(file);
    return fit ? orderDomains(domains, fit.domains) : domains;
  }
  if (fit === null) {
    throw new GristmillError('OPTION_INVALID', {
      option: '--domains',
      expected: 'a file of domains, or --count',
      received: 'none',
    });
  }
  say('no --domains: the prior is the mean of the fitted mixtures');
  return fit.domains.map((name, at) => ({ name, prior: fit.sampled.mean[at]! }));
}
