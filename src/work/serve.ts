/**
 * The child's side of a service (service.ts): methods by name, each of which may tell its caller things while it works.
 * child-life.ts is imported first, so that the child ends with its parent.
 */
import './child-life.ts';
import type { ServiceMessage, ServiceReply } from './service.ts';
import { wireOf } from './wire-error.ts';

/** What a method has besides its request. */
export interface ServedCall {
  /** Fires when the caller cancels. */
  readonly signal: AbortSignal;
  /** Tells the caller something; resolves when it is on its way. */
  tell(told: unknown): Promise<void>;
  /** Told what the caller says while the call works; what was said before is told at once. */
  onNote(listener: (note: unknown) => void): void;
}

/** Methods of a child. */
export type ServedMethods = Readonly<
  Record<string, (request: never, call: ServedCall) => Promise<unknown>>
>;

interface OpenCall {
  readonly controller: AbortController;
  readonly notes: unknown[];
  listener: ((note: unknown) => void) | null;
}

/** Answers calls until the parent closes the channel. */
export function serve(methods: ServedMethods): void {
  const open = new Map<number, OpenCall>();

  async function answer(id: number, method: string, request: unknown): Promise<unknown> {
    const call: OpenCall = { controller: new AbortController(), notes: [], listener: null };
    open.set(id, call);
    try {
      const served = methods[method];
      if (!served) throw new Error(`no method ${method}`);
      return await served(request as never, {
        signal: call.controller.signal,
        tell: (told) => reply({ id, told }),
        onNote(listener) {
          call.listener = listener;
          for (const note of call.notes.splice(0)) listener(note);
        },
      });
    } finally {
      open.delete(id);
    }
  }

  process.on('message', (message: ServiceMessage) => {
    const { id } = message;
    if (message.kind === 'cancel') return open.get(id)?.controller.abort();
    if (message.kind === 'note') {
      const call = open.get(id);
      if (call?.listener) call.listener(message.note);
      else call?.notes.push(message.note);
      return;
    }
    answer(id, message.method, message.request).then(
      (value) => reply({ id, value }),
      (error: unknown) => reply({ id, error: wireOf(error) }),
    );
  });
  // Nobody's call failed of it in particular: it is told to all, as the failure that it is and not as a death.
  process.on('uncaughtException', (error) => {
    for (const id of open.keys()) void reply({ id, error: wireOf(error) });
    if (open.size === 0) throw error;
  });
}

function reply(value: ServiceReply): Promise<void> {
  return new Promise((resolve) => {
    if (!process.connected) return resolve();
    process.send!(value, undefined, undefined, () => resolve());
  });
}
