/**
 * Frozen groups from a YAML or JSON file:
 *
 *     groups:
 *       - { name: code, domains: [python, rust], freeze: total }             # its share stays, its parts move
 *       - { name: web, domains: [news, forums], freeze: ratios, weights: { news: 2, forums: 1 } }
 */
import * as z from 'zod';
import { GristmillError } from '../../errors.ts';
import { byName, faultText } from '../../schema.ts';
import { readYaml } from '../../yaml-file.ts';
import { matchDomain } from '../domains.ts';
import type { FrozenGroup } from './space.ts';

const groups = z.array(
  z.strictObject({
    name: z.string().min(1),
    domains: z.array(z.string().min(1)).min(1),
    freeze: z.enum(['total', 'ratios']),
    total: z.number().min(0).max(1).optional(),
    weights: byName(z.number().min(0)).optional(),
  }),
);
const shape = z.union(
  [groups, z.strictObject({ groups }).transform(({ groups: inner }) => inner)],
  { error: 'expected a list of groups, or { groups: [...] }' },
);

/**
 * Reads frozen groups.
 *
 * @param domains names of the domains; `train_` of published tables may be missing in the file
 * @throws MIXTURE_DOMAINS_INVALID
 */
export function readFrozenGroups(path: string, domains: readonly string[]): FrozenGroup[] {
  const invalid = (reason: string): GristmillError =>
    new GristmillError('MIXTURE_DOMAINS_INVALID', { file: path, reason });
  const value = readYaml(path, 'MIXTURE_DOMAINS_INVALID');
  const parsed = shape.safeParse(value);
  if (!parsed.success) throw invalid(faultText(parsed.error, value, 'the file'));
  const nameOf = (name: string): string => {
    const known = matchDomain(domains, name);
    if (known === null) throw invalid(`${name} is none of ${domains.join(', ')}`);
    return known;
  };
  return parsed.data.map((group) => ({
    ...group,
    domains: group.domains.map(nameOf),
    weights:
      group.weights &&
      Object.fromEntries(Object.entries(group.weights).map(([name, part]) => [nameOf(name), part])),
  }));
}
