/** Scoring models without a network: a GGUF file of metadata, read by native/engine/line_scorer.cc. */
import { packEncoder, type ScoringEncoder } from '../../lines/encoder-file.ts';
import type { LineStack } from '../../lines/stack.ts';
import { writeGgufMetadata } from '../../model/gguf-write.ts';

/** What a stack needs to give verdicts. */
export interface StackScorer extends Omit<ScoringEncoder, 'head' | 'encoder'> {
  readonly stack: LineStack;
  /** Shown by `gristmill models inspect`. */
  readonly name: string;
}

/** Writes it. @throws MODEL_WRITE_FAILED */
export function writeStackScorer(path: string, { name, stack, ...scorer }: StackScorer): void {
  const bins = { nFeatures: 0, maxBins: 2, cuts: [] };
  const encoder = packEncoder({
    ...scorer,
    head: 'stack',
    encoder: { bins, hashBits: 1, stack },
  });
  writeGgufMetadata(path, {
    'general.architecture': { type: 'string', value: 'gristmill-scorer' },
    'general.name': { type: 'string', value: name },
    'gristmill.kind': { type: 'string', value: scorer.kind },
    'gristmill.encoder': { type: 'u8s', value: encoder },
  });
}
