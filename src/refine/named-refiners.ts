/**
 * The options that a name of a refiner stands for (refiner-names.ts).
 *
 * Published refiners are not in the package: `gristmill models pull` brings and converts them, and they are found in the
 * cache without the network. What the caller gives explicitly (a model, stages, a profile) takes the place of what the
 * name says.
 */
import { GristmillError } from '../errors.ts';
import { pulledModel } from '../model/hub-cache.ts';
import type { RefineOptions, StageName } from './refine-options.ts';
import { NAMED_REFINERS, type NamedRefiner } from './refiner-names.ts';

/**
 * Options with a named refiner's models, stages and profile filled in where the caller gave none.
 *
 * @throws OPTION_INVALID for an unknown name, REFINER_NOT_PULLED with the command that brings the model,
 *   REFINER_NO_SYSTEM where the chat needs a system text and none is given
 */
export function withNamedRefiner(options: RefineOptions): RefineOptions {
  const { refiner: name } = options;
  if (name === undefined) return options;
  if (!Object.hasOwn(NAMED_REFINERS, name)) {
    throw new GristmillError('OPTION_INVALID', {
      option: 'refiner',
      expected: `one of ${Object.keys(NAMED_REFINERS).join(', ')}`,
      received: name,
    });
  }
  const refiner: NamedRefiner = NAMED_REFINERS[name];
  const model = (stage: StageName): string | undefined => {
    const given = stage === 'document' ? options.documentModel : options.chunkModel;
    const named = refiner[stage];
    const wanted = options.stages === undefined || options.stages.includes(stage);
    if (given !== undefined || named === undefined || !wanted) return given;
    return 'spec' in named ? named.spec : pulled(name, named.repo);
  };
  const documentModel = model('document');
  const chunkModel = model('chunk');
  const profile = options.profile ?? refiner.profile;
  const asksPublished = profile === refiner.profile && chunkModel !== undefined;
  if (refiner.systemFrom !== undefined && asksPublished && options.system === undefined) {
    throw new GristmillError('REFINER_NO_SYSTEM', { refiner: name, source: refiner.systemFrom });
  }
  return {
    ...options,
    ...(documentModel !== undefined && { documentModel }),
    ...(chunkModel !== undefined && { chunkModel }),
    ...(profile !== undefined && { profile }),
  };
}

function pulled(refiner: string, repo: string): string {
  const path = pulledModel({ repo });
  if (path === null) throw new GristmillError('REFINER_NOT_PULLED', { refiner, repo });
  return path;
}
