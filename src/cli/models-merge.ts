/** `gristmill models merge`: parsing and printing around mergeModels(). */
import { GristmillError } from '../errors.ts';
import type { SourceType } from '../model/convert/safetensors.ts';
import { mergeModels } from '../model/merge/merge.ts';
import { mergeWeights } from '../schedules/merge-weights.ts';
import type { DecayShape } from '../schedules/spec.ts';
import { defined } from './flags.ts';
import { table } from './mix-output.ts';
import { interruptible, reporter } from './models.ts';
import { progressLine } from './progress-line.ts';
import { printResult } from './say.ts';

/** Flags of `models merge`. */
export interface MergeFlags {
  readonly out: string;
  readonly weights?: readonly number[];
  readonly shape?: DecayShape;
  readonly end?: number;
  readonly every?: number;
  readonly timescale?: number;
  readonly type?: SourceType;
  readonly name?: string;
  readonly json?: boolean;
}

/** The action of `models merge`. */
export async function merge(inputs: readonly string[], flags: MergeFlags): Promise<void> {
  const { out, json = false, type, name } = flags;
  const weights = weightsFrom(inputs.length, flags);
  using line = progressLine(json);
  const report = reporter(line);
  const summary = await interruptible((signal) =>
    mergeModels({
      ...{ inputs, out, signal },
      ...defined({ weights, type, name }),
      onProgress: ({ bytesDone, bytes, tensor }) => report('merge', tensor, bytesDone, bytes),
    }),
  );
  line.stop();
  printResult(json, summary, () =>
    table([
      ['model', 'weight'],
      ...summary.inputs.map(({ path, weight }) => [path, weight.toPrecision(4)]),
      [out, `${summary.nTensors} tensors, ${(summary.bytes / 1e6).toFixed(1)} MB`],
    ]),
  );
}

/** @throws OPTION_INVALID */
function weightsFrom(
  nInputs: number,
  { weights, shape, end, every, timescale }: MergeFlags,
): readonly number[] | undefined {
  const refuse = (option: string, expected: string, received: unknown): never => {
    throw new GristmillError('OPTION_INVALID', { option, expected, received });
  };
  if (shape === undefined) {
    for (const [option, value] of Object.entries({ end, every, timescale })) {
      if (value !== undefined) refuse(`--${option}`, 'only beside --shape', value);
    }
    return weights;
  }
  if (weights) refuse('--shape', 'only without --weights', shape);
  if (nInputs < 2) refuse('models', 'at least 2', nInputs);
  const more = defined({ end, stepsBetween: every, timescale });
  return [...mergeWeights({ shape, nCheckpoints: nInputs, ...more })];
}
