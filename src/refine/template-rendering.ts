/**
 * Rendering of chat templates in a thread with bounds: they come with models of others, and a loop or a list without
 * end must not take the host along. The call itself waits: a prompt is rendered once a profile.
 *
 * The thread is started at the first template and kept; one that does not answer in time, or has run out of its memory,
 * is ended, and the next template gets another.
 */
import {
  MessageChannel,
  type MessagePort,
  receiveMessageOnPort,
  Worker,
} from 'node:worker_threads';
import { distFile } from '../paths.ts';
import type { TemplateReply, TemplateRequest } from './template-worker.ts';

/** Starting the thread on a busy machine is the most of it. */
const MAX_MS = 10_000;
const MAX_HEAP_MB = 256;

interface Renderer {
  readonly worker: Worker;
  readonly port: MessagePort;
  readonly flag: Int32Array;
}

let renderer: Renderer | null = null;

/** Renders a template, or says why not. */
export function renderTemplate(request: TemplateRequest): TemplateReply {
  renderer ??= startRenderer();
  const { worker, port, flag } = renderer;
  Atomics.store(flag, 0, 0);
  port.postMessage(request);
  Atomics.wait(flag, 0, 0, MAX_MS);
  const answer = receiveMessageOnPort(port)?.message as TemplateReply | undefined;
  if (answer) return answer;
  renderer = null;
  void worker.terminate();
  port.close();
  return { reason: `it takes more than ${MAX_MS / 1000} s or ${MAX_HEAP_MB} MB` };
}

function startRenderer(): Renderer {
  const { port1, port2 } = new MessageChannel();
  const flag = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(distFile('refine/template-worker.js'), {
    workerData: { port: port2, flag },
    transferList: [port2],
    resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB, stackSizeMb: 4 },
    execArgv: [],
  });
  // A thread that runs out of memory is noticed by its silence.
  worker.on('error', () => undefined);
  worker.unref();
  port1.unref();
  return { worker, port: port1, flag };
}
