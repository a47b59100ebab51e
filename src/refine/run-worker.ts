/**
 * The worker process of a run: it reads, judges, executes, writes and commits, all in one address space. Started by run.ts
 * through src/work; it leaves when its parent goes away. What llama.cpp prints before it aborts is kept by the parent.
 *
 * GRISTMILL_TRACE_BYTES names a file for the addresses at which stages find the bytes of documents; tests read it.
 */

import { GristmillError } from '../errors.ts';
import { native } from '../native/index.ts';
import { WorkerGuard } from '../work/guard.ts';
import { PHASE_OPENING, PHASE_RUNNING, PositionWriter } from '../work/position.ts';
import { type ServedCall, serve } from '../work/serve.ts';
import { STOP, type WorkerRequest, type WorkerTold } from '../work/supervisor.ts';
import { runHere } from './run-here.ts';
import type { RefinedRow } from './run-options.ts';
import {
  type FeedNote,
  type FeedRequest,
  type RunRequest,
  type RunTold,
  type SentRow,
  sentRow,
} from './run-protocol.ts';
import type { RunSummary } from './statistics.ts';
import { WorkerFeed } from './worker-feed.ts';

async function run(
  { request, suspicion }: WorkerRequest<RunRequest>,
  call: ServedCall,
): Promise<RunSummary> {
  const trace = process.env['GRISTMILL_TRACE_BYTES'];
  if (trace) native().traceBytes(trace);
  const { options, wantsDocuments, wantsProgress, wantsActivity, before } = request;
  if (request.feed) enter(request.feed);
  const tell = (told: RunTold): Promise<void> => call.tell({ told } satisfies WorkerTold<RunTold>);
  const stop = new AbortController();
  const feed = request.feed && new WorkerFeed(request.feed, (fed) => void tell({ fed }));
  call.onNote((note) => {
    if (note === STOP) {
      stop.abort();
      feed?.end();
    } else feed?.take(note as FeedNote);
  });
  const onOutputError = ({ message, code }: NodeJS.ErrnoException): void =>
    void tell({ output: { message, code } });
  if (options.out === '-') process.stdout.on('error', onOutputError);
  const position = new PositionWriter();
  const guard = new WorkerGuard(position, suspicion, (set) => void call.tell({ cleared: set }));
  let documents: SentRow[] = [];
  const onDocument = (document: RefinedRow): void => void documents.push(sentRow(document));
  return runHere(
    {
      ...options,
      signal: call.signal,
      stop: stop.signal,
      onNotice: (notice) => void tell({ notice }),
      ...(wantsProgress && { onProgress: (progress) => void tell({ progress }) }),
      ...(wantsActivity && { onActivity: (activity) => void tell({ activity }) }),
      ...(wantsDocuments && { onDocument }),
    },
    {
      guard,
      feed,
      before,
      onBegun: (begun) => void tell({ begun }),
      onOpening: () => position.enter(PHASE_OPENING),
      onRunning: () => position.enter(PHASE_RUNNING),
      onWritten: () => position.stepped(),
      onStreamed: (streamed) => void tell({ streamed }),
      onCommitted: () => position.committed(),
      async flushed() {
        if (documents.length === 0) return;
        const told = documents;
        documents = [];
        // The reader of these may be slow, and somebody's own.
        await position.waiting('output', () => tell({ documents: told }));
      },
      waiting: (side, others) => position.waiting(side, others),
    },
  );
}

/** @throws OPTION_INVALID for a folder that is not on this machine */
function enter({ cwd }: FeedRequest): void {
  try {
    process.chdir(cwd);
  } catch (cause) {
    const expected = 'the folder in which the run was submitted, on every machine';
    const received = `${cwd}: ${(cause as Error).message}`;
    throw new GristmillError('OPTION_INVALID', { option: 'cwd', expected, received }, { cause });
  }
}

serve({ run });
