/**
 * The model files of a run: found, fingerprinted, and for `random[:preset]` made.
 */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { GristmillError } from '../errors.ts';
import type { RetentionThreshold } from '../lines/calibration.ts';
import { unpackThresholds } from '../lines/encoder-file.ts';
import { makeFolder } from '../local-path.ts';
import { inspectScorer } from '../model/inspect.ts';
import type { RandomModelPreset } from '../model/random.ts';
import { cacheFolder, defaultModelFile } from '../paths.ts';
import type { ModelIdentity } from './run-identity.ts';

/** A model that is there, with what identifies it. */
export interface ModelFile extends ModelIdentity {
  /** `language`, `line-score` or `document-score`. */
  readonly kind: string;
  /** Set when the weights are random: its verdicts mean nothing. */
  readonly random: string | null;
  /** The encoder of a model that scores; null for others. */
  readonly encoder: Uint8Array | null;
}

/**
 * Finds a model, or makes a random one.
 *
 * @param spec a GGUF file, `default` (the package's refiner of the stage), `programs` (the package's chunk refiner
 *   that writes programs), or `random`, `random:tiny`, `random:20m`, `random:350m`, `random:qwen3-0.6b`
 * @param seed of a random model
 * @throws ENGINE_MODEL_MISSING, ENGINE_MODEL_INVALID, MODEL_WRITE_FAILED, OPTION_INVALID
 */
export async function resolveModel(
  spec: string,
  seed: number,
  stage: 'document' | 'chunk',
): Promise<ModelFile> {
  const random = /^random(?::(.*))?$/.exec(spec);
  const path = random
    ? await randomModel(random[1] ?? 'tiny', seed)
    : spec === 'default'
      ? defaultModelFile(stage)
      : spec === 'programs' && stage === 'chunk'
        ? defaultModelFile('programs')
        : resolve(spec);
  if (!existsSync(path) || !statSync(path).isFile()) {
    throw new GristmillError('ENGINE_MODEL_MISSING', { file: path });
  }
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk);
  const bytes = statSync(path).size;
  const { kind, encoder } = await inspectScorer(path);
  return { path, bytes, sha256: hash.digest('hex'), random: random ? spec : null, kind, encoder };
}

/** Thresholds by retention of a model that scores. @throws ENGINE_MODEL_INVALID */
export function thresholdsOf({ path, encoder }: ModelFile): readonly RetentionThreshold[] {
  if (encoder) return unpackThresholds(encoder, path);
  throw new GristmillError('ENGINE_MODEL_INVALID', {
    file: path,
    reason: 'it has no gristmill.encoder',
  });
}

async function randomModel(preset: string, seed: number): Promise<string> {
  const { RANDOM_MODEL_PRESETS, writeRandomModel } = await import('../model/random.ts');
  if (!Object.hasOwn(RANDOM_MODEL_PRESETS, preset)) {
    throw new GristmillError('OPTION_INVALID', {
      option: 'model',
      expected: `random:<one of ${Object.keys(RANDOM_MODEL_PRESETS).join(', ')}>`,
      received: `random:${preset}`,
    });
  }
  const folder = cacheFolder();
  const path = join(folder, `random-${preset}-${seed}.gguf`);
  try {
    makeFolder(folder);
  } catch (cause) {
    const reason = `${(cause as Error).message}; XDG_CACHE_HOME names a folder that can be written`;
    throw new GristmillError('MODEL_WRITE_FAILED', { path, reason }, { cause });
  }
  // Made anew every time: the weights follow from the preset and the seed, an old file may be of an older version.
  await writeRandomModel({ ...RANDOM_MODEL_PRESETS[preset as RandomModelPreset], path, seed });
  return path;
}
