/**
 * MosaicML Streaming, which streams data and makes no rates: a table for any optimizer of PyTorch, stepped after it.
 */
import type { Vocabulary } from './shape.ts';
import { decimal, type ExportFile, type TableFacts, type TrainerSchedules } from './target.ts';

const vocabulary: Vocabulary = {
  trainer: 'MosaicML Streaming',
  shapes: [],
  holdShapes: [],
  tail: false,
  startLr: false,
  composes: false,
  laws: [],
};

/** MosaicML Streaming. */
export const mosaicmlStreaming: TrainerSchedules = {
  vocabulary,
  convention: 'LambdaLR counts the steps that were made',
  countsOn: false,
  without: 'MosaicML Streaming has no schedules of its own',
  candidates: () => [],
  write: () => {
    throw new Error('MosaicML Streaming has no schedules');
  },
  loader,
};

function loader({ peakLr, nSteps, sequencesPerStep, nCtx }: TableFacts): ExportFile[] {
  const text = `"""Rates from a table for an optimizer of PyTorch whose rate is PEAK_LR."""

from lr_table import rate
from torch.optim.lr_scheduler import LambdaLR

PEAK_LR = ${decimal(peakLr)}
STEPS = ${nSteps}
# Over all devices.
SEQUENCES_PER_STEP = ${sequencesPerStep}
SEQUENCE_LENGTH = ${nCtx}


def table_scheduler(optimizer):
    # LambdaLR counts the steps that were made.
    return LambdaLR(optimizer, lambda made: rate(made + 1) / PEAK_LR)
`;
  return [{ name: 'torch_lr_table.py', text }];
}
