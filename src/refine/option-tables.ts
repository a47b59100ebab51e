/** What the options of refining must be; see src/options.ts. Ranges that depend on a model are checked where it is known. */
import { constants } from 'node:buffer';
import {
  abortSignal,
  atLeast,
  type Check,
  callback,
  either,
  flag,
  listOf,
  name,
  type OptionTable,
  objectOf,
  oneOf,
  share,
  text,
  whole,
} from '../options.ts';
import { EXECUTE_TABLE } from '../program/options.ts';
import { leaseOption } from '../work/lease.ts';
import { workerOption } from '../work/worker-share.ts';
import type { RefineOptions } from './refine-options.ts';
import { NAMED_REFINERS } from './refiner-names.ts';
import type { OpenRefinerOptions, RefineCallOptions } from './refiner-types.ts';
import type { RefineCorpusOptions } from './run-options.ts';

const { dialect: _dialect, executor: _executor, ...EXECUTE_INNER } = EXECUTE_TABLE;

const SLABS = { slabBytes: whole(1, 2 ** 31 - 1), nSlabs: whole(2, 2 ** 16) } as const;

const REFINE_TABLE: OptionTable<RefineOptions> = {
  refiner: oneOf(Object.keys(NAMED_REFINERS)),
  documentModel: name,
  chunkModel: name,
  stages: listOf(oneOf(['document', 'chunk']), 1),
  profile: name,
  system: text,
  dialect: oneOf(['prox', 'ultrax']),
  executor: oneOf(['strict', 'compat']),
  execute: objectOf(EXECUTE_INNER as OptionTable<NonNullable<RefineOptions['execute']>>),
  documentMode: oneOf(['score', 'generate']),
  documentThreshold: share,
  lineThreshold: share,
  retention: share,
  constrained: flag,
  device: name,
  threads: whole(1, 512),
  slots: whole(1, 256),
  workers: whole(0, 1024),
  seed: whole(0),
};

/** Of {@link openRefiner}. */
export const OPEN_REFINER_TABLE: OptionTable<OpenRefinerOptions> = {
  ...REFINE_TABLE,
  ...SLABS,
  sites: name,
  isolate: {
    expected:
      'false or nothing, as a refiner lives in the process that opens it (refineCorpus runs in a worker process)',
    accepts: (value) => value === false,
  },
};

/** Of a call on a refiner. */
export const REFINE_CALL_TABLE: OptionTable<RefineCallOptions> = { signal: abortSignal };

const paths: Check = either(name, listOf(name, 1));

/** Of {@link refineCorpus}. */
export const REFINE_CORPUS_TABLE: OptionTable<RefineCorpusOptions> = {
  ...REFINE_TABLE,
  ...SLABS,
  isolate: flag,
  watchdog: atLeast(0),
  lease: leaseOption,
  inputs: { ...paths, expected: 'a path, or an array of at least one' },
  out: { ...name, expected: 'a folder, or -' },
  textColumn: name,
  textPer: oneOf(['file', 'line']),
  idColumn: name,
  site: flag,
  siteColumn: name,
  sites: name,
  keepOriginal: flag,
  droppedText: flag,
  keepScores: either(flag, oneOf(['all'])),
  keepDropped: flag,
  reuse: name,
  statusPrefix: text,
  replaceStatus: flag,
  format: oneOf(['parquet', 'jsonl.zst']),
  rowGroupRows: whole(1, 2 ** 31),
  rowGroupBytes: whole(1, 2 ** 31),
  zstdLevel: whole(1, 19),
  unitRows: whole(1, 2 ** 31),
  worker: workerOption,
  limit: whole(0),
  inferLines: either(whole(1), oneOf(['all'])),
  maxLineBytes: whole(1, constants.MAX_STRING_LENGTH),
  zstdWindowLog: whole(10, 31),
  rejected: name,
  failFast: flag,
  planOnly: flag,
  signal: abortSignal,
  stop: abortSignal,
  onDocument: callback,
  documentLimit: whole(0),
  onProgress: callback,
  onActivity: callback,
  onStreamed: callback,
  onNotice: callback,
};
