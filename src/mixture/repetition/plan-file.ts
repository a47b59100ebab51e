/** The file of a plan of repetition: what the target has, as JSON that `mix sample` writes and `mix train` reads. */
import * as z from 'zod';
import { GristmillError } from '../../errors.ts';
import { faultText } from '../../schema.ts';
import { readYaml } from '../../yaml-file.ts';
import type { DomainSpec } from '../domains.ts';
import { domainName } from '../tables.ts';
import { writeWhole } from '../write-whole.ts';
import type { RepetitionPlan } from './plan.ts';

const shape = z.strictObject({
  format: z.literal(1),
  targetTokens: z.number().positive(),
  domains: z
    .array(z.strictObject({ name: z.string().min(1), tokens: z.number().positive().nullable() }))
    .min(1),
});

/** The plan of a target. @param domains their `tokens`, where they say so, are all that there are */
export function repetitionPlan(
  domains: readonly DomainSpec[],
  targetTokens: number,
): RepetitionPlan {
  return {
    targetTokens,
    domains: domains.map(({ name, tokens }) => ({
      name: domainName(name),
      tokens: tokens === undefined || tokens === 0 ? null : tokens,
    })),
  };
}

/** @throws MIXTURE_WRITE_FAILED */
export async function writeRepetitionPlan(path: string, plan: RepetitionPlan): Promise<void> {
  await writeWhole(path, `${JSON.stringify({ format: 1, ...plan }, null, 2)}\n`);
}

/** Reads a plan. @throws MIXTURE_DOMAINS_INVALID */
export function readRepetitionPlan(path: string): RepetitionPlan {
  const value = readYaml(path, 'MIXTURE_DOMAINS_INVALID');
  const parsed = shape.safeParse(value);
  const invalid = (reason: string): GristmillError =>
    new GristmillError('MIXTURE_DOMAINS_INVALID', { file: path, reason });
  if (!parsed.success) throw invalid(faultText(parsed.error, value, 'the file'));
  const { targetTokens, domains } = parsed.data;
  const seen = new Set<string>();
  for (const { name } of domains) {
    if (seen.has(domainName(name))) throw invalid(`domain ${name} is there twice`);
    seen.add(domainName(name));
  }
  return { targetTokens, domains };
}
