/**
 * Where pulled models lie: converted GGUF files in the user's cache folder, found again without the network.
 *
 *     <cache>/models/<owner>--<name>/refs/<revision>          the commit that the revision named, when it was pulled
 *     <cache>/models/<owner>--<name>/<commit>/model.<type>.gguf
 *     <cache>/models/<owner>--<name>/<commit>/lock            held by the one that pulls; readers need none, as what has
 *                                                             its name is whole
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder } from '../paths.ts';

/** Storage type of the matrices of a converted model. */
export type ConvertedType = 'f32' | 'f16' | 'bf16' | 'q8_0';

/** A repository of the Hugging Face hub at a revision. */
export interface HubModel {
  /** `owner/name`. */
  readonly repo: string;
  /** Branch, tag or commit. Default `main`. */
  readonly revision?: string;
  /** Default `bf16`. */
  readonly type?: ConvertedType;
}

/** Folder of everything that was pulled from a repository. */
export function hubFolder(repo: string): string {
  return join(cacheFolder(), 'models', repo.replace('/', '--'));
}

/** The file a converted model has in the cache, whether it is there or not. */
export function hubModelPath(repo: string, commit: string, type: ConvertedType): string {
  return join(hubFolder(repo), commit, `model.${type}.gguf`);
}

/** A pulled and converted model, or null when it has not been pulled. */
export function pulledModel({ repo, revision = 'main', type = 'bf16' }: HubModel): string | null {
  const ref = join(hubFolder(repo), 'refs', revision.replaceAll('/', '--'));
  const commit = existsSync(ref) ? readFileSync(ref, 'utf8').trim() : revision;
  const path = hubModelPath(repo, commit, type);
  return existsSync(path) ? path : null;
}
