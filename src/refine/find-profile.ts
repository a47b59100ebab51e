/** Finding the profile of a model: a built-in one (profiles.ts), or a file's. */
import { existsSync, readFileSync } from 'node:fs';
import { GristmillError } from '../errors.ts';
import { own } from '../own.ts';
import { type Profile, parseProfile } from './profile.ts';
import { PROFILES, PROX } from './profiles.ts';

/**
 * Finds the profile of a model.
 *
 * @param choice a built-in name, a path of a JSON file, or undefined to look beside the model
 * @param modelFile the model's file; `<modelFile>.profile.json` and `<stem>.profile.json` are looked for
 * @throws PROFILE_UNKNOWN, PROFILE_INVALID
 */
export function loadProfile(choice: string | undefined, modelFile: string | undefined): Profile {
  if (choice !== undefined) {
    const builtIn = own(PROFILES, choice);
    if (builtIn) return builtIn;
    if (existsSync(choice)) return readProfile(choice);
    throw new GristmillError('PROFILE_UNKNOWN', {
      profile: choice,
      known: Object.keys(PROFILES).join(', '),
    });
  }
  if (modelFile !== undefined) {
    const beside = [`${modelFile}.profile.json`, modelFile.replace(/\.gguf$/, '.profile.json')];
    const found = beside.find((file) => file !== modelFile && existsSync(file));
    if (found) return readProfile(found);
  }
  return PROX;
}

function readProfile(file: string): Profile {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new GristmillError(
      'PROFILE_INVALID',
      { file, reason: (cause as Error).message },
      { cause },
    );
  }
  const parsed = parseProfile(json);
  if ('fault' in parsed) {
    throw new GristmillError('PROFILE_INVALID', { file, reason: parsed.fault });
  }
  return parsed;
}
