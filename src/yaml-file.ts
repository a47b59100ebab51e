/** Files of settings in YAML (or JSON, which is YAML too), whose rooms check what they hold. */
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { GristmillError } from './errors.ts';

/** Codes of files that cannot be read as YAML. */
export type YamlFault =
  | 'CHAIN_INVALID'
  | 'CONTINUAL_PLAN_INVALID'
  | 'MIXTURE_DOMAINS_INVALID'
  | 'TRAIN_CONFIG_INVALID'
  | 'TRAIN_SOURCES_INVALID';

/** @throws `code`, with the file and the reason */
export function readYaml(file: string, code: YamlFault): unknown {
  try {
    return parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new GristmillError(code, { file, reason: (cause as Error).message }, { cause });
  }
}
