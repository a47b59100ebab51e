/** A chain of seconds over the corpora of examples/chain, cut small. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const make = fileURLToPath(new URL('../../examples/chain/make-corpora.mjs', import.meta.url));

/** Writes the corpora into `folder`/data. */
export function writeCorpora(folder: string, nPages = 60): void {
  execFileSync(process.execPath, [make, join(folder, 'data'), String(nPages), '1']);
}

/** A chain over them as it is written. */
export function writtenChain(folder: string) {
  const data = (name: string) => ({ inputs: [join(folder, 'data', `${name}.jsonl`)] });
  const heldOut = (name: string) => ({
    inputs: [join(folder, 'data', 'held-out', `${name}.jsonl`)],
  });
  return {
    name: 'a test',
    corpora: { tides: data('tides'), kitchen: data('kitchen'), garden: data('garden') },
    refine: { corpora: ['kitchen', 'garden'] },
    tokenize: { tokenizer: { train: { vocabSize: 300 } }, validation: 0.2 },
    mix: {
      corpora: ['kitchen', 'garden'],
      ...{ runs: 4, sample: 'space-filling', seed: 1, model: 'ridge', kl: 20, folds: 0 },
      proxy: {
        preset: 'tiny',
        nEmbd: 16,
        nHead: 2,
        nFf: 32,
        nCtx: 32,
        batch: 4,
        microBatch: 4,
        steps: 4,
        warmupSteps: 1,
        evalEvery: 0,
        evalWindows: 8,
      },
    },
    continue: {
      model: { shape: { nEmbd: 16, nLayer: 1, nHead: 2 } },
      batch: { nSeq: 4, nCtx: 16 },
      validation: { share: 0.1, every: 0, windows: 8, sets: { 'clean-garden': heldOut('garden') } },
      checkpointEvery: 5,
      stages: [
        {
          name: 'base',
          data: 'tides',
          steps: 30,
          schedule: { kind: 'constant', peakLr: 3e-3 },
          merge: { shape: 'linear', window: '50 %', every: '5 steps' },
        },
        {
          name: 'next',
          data: { mixture: '80 %', tides: '20 %' },
          steps: 30,
          replay: 0.25,
          schedule: { kind: 'constant', peakLr: 1e-3 },
        },
      ],
    },
  };
}
