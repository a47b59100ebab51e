/**
 * A child process that answers calls: the one place where children are started, spoken to, found dead and replaced.
 *
 * It is started by the first call, and again by the first one after a death; the calls under which it dies reject with
 * {@link ChildDied}. What a death means is its owner's to say: documents are tried by halves ({@link inHalves}), proxies
 * once more (mixture/proxies), runs go on from their ledger (supervisor.ts). The child's side is serve.ts.
 */
import { GristmillError, isGristmillError, throwIfAborted } from '../errors.ts';
import { type Child, type ChildOptions, startChild } from './child.ts';
import { errorOf, type WireError } from './wire-error.ts';

/** What a child is sent. */
export type ServiceMessage =
  | {
      readonly kind: 'call';
      readonly id: number;
      readonly method: string;
      readonly request: unknown;
    }
  /** Ends the call with ABORTED. */
  | { readonly kind: 'cancel'; readonly id: number }
  /** Something for the call to know while it works. */
  | { readonly kind: 'note'; readonly id: number; readonly note: unknown };

/** What a child sends; `told` comes any number of times before the end of a call. */
export type ServiceReply =
  | { readonly id: number; readonly told: unknown }
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: WireError };

/** The child ended under a call. */
export class ChildDied extends Error {
  readonly exit: string;
  readonly lastWords: string;

  constructor(exit: string, lastWords: string) {
    super(exit);
    this.exit = exit;
    this.lastWords = lastWords;
  }
}

/** Options of {@link Service}. */
export interface ServiceOptions extends ChildOptions {
  /** The compiled script of the child. */
  readonly file: string;
}

/** Options of {@link Service.call}. */
export interface ServiceCallOptions {
  /** Cancels the call: the child is told, and answers ABORTED. */
  readonly signal?: AbortSignal | undefined;
  /** Told what the child says before it is done. */
  readonly onTold?: (told: unknown) => void;
}

interface Pending {
  resolve(value: unknown): void;
  reject(error: Error): void;
  told(told: unknown): void;
}

interface Running {
  readonly child: Child;
  readonly pending: Map<number, Pending>;
}

const DISPOSE_MS = 2_000;
const WHAT = 'the call';

/** See the file's header. */
export class Service {
  readonly #options: ServiceOptions;
  #running: Running | null = null;
  #lastId = 0;
  #isDisposed = false;

  constructor(options: ServiceOptions) {
    this.#options = options;
  }

  /** Whether a child is there that has not ended. */
  get isRunning(): boolean {
    return this.#running !== null && this.#running.child.exit === null;
  }

  /**
   * @throws ChildDied when the child ends first, ABORTED, DISPOSED, and what the child's method throws
   */
  async call(
    method: string,
    request: unknown,
    { signal, onTold }: ServiceCallOptions = {},
  ): Promise<unknown> {
    if (this.#isDisposed) throw new GristmillError('DISPOSED', { object: 'engine' });
    throwIfAborted(signal, WHAT);
    const running = this.#start();
    const id = ++this.#lastId;
    const cancel = (): void => send(running, { kind: 'cancel', id });
    signal?.addEventListener('abort', cancel, { once: true });
    try {
      return await new Promise((resolve, reject) => {
        const told = (value: unknown): void => {
          try {
            onTold?.(value);
          } catch (error) {
            // The owner's own failure ends its call.
            running.pending.delete(id);
            cancel();
            reject(error as Error);
          }
        };
        running.pending.set(id, { resolve, reject, told });
        send(running, { kind: 'call', id, method, request });
      });
    } catch (error) {
      if (isGristmillError(error, 'ABORTED')) throwIfAborted(signal, WHAT);
      throw error;
    } finally {
      signal?.removeEventListener('abort', cancel);
    }
  }

  /** Tells the calls under way something. */
  note(note: unknown): void {
    if (!this.#running) return;
    for (const id of this.#running.pending.keys()) send(this.#running, { kind: 'note', id, note });
  }

  /** Ends the child at once; its calls fail. The next call starts another one. */
  kill(): void {
    this.#running?.child.process.kill('SIGKILL');
  }

  /** Lets the child leave, and waits for it; one that is stuck is killed. */
  async dispose(): Promise<void> {
    this.#isDisposed = true;
    const last = this.#running?.child;
    if (!last || last.exit !== null) return;
    await new Promise<void>((resolve) => {
      const stuck = setTimeout(() => last.process.kill('SIGKILL'), DISPOSE_MS);
      last.process.once('exit', () => {
        clearTimeout(stuck);
        resolve();
      });
      // The child leaves by itself when the channel closes.
      if (last.process.connected) last.process.disconnect();
    });
  }

  #start(): Running {
    if (this.#running && this.#running.child.exit === null) return this.#running;
    const pending: Running['pending'] = new Map();
    const { file, ...options } = this.#options;
    const child = startChild(
      file,
      (exit) => {
        for (const call of pending.values()) call.reject(new ChildDied(exit, child.lastWords()));
        pending.clear();
      },
      options,
    );
    child.process.on('message', (reply: ServiceReply) => {
      const call = pending.get(reply.id);
      if (!call) return;
      if ('told' in reply) return call.told(reply.told);
      pending.delete(reply.id);
      if ('value' in reply) call.resolve(reply.value);
      else call.reject(errorOf(reply.error));
    });
    this.#running = { child, pending };
    return this.#running;
  }
}

function send({ child }: Running, message: ServiceMessage): void {
  if (!child.process.connected) return;
  // A channel that breaks is the end of the child, which is told to its calls.
  child.process.send(message, (error) => void (error && child.process.kill('SIGKILL')));
}

/**
 * Runs `items` through calls that a child may die of. A call under which it dies is made again in halves; a single item gets
 * two tries, then `crashed` stands for its result.
 */
export async function inHalves<Item, Result>(
  items: readonly Item[],
  run: (items: readonly Item[]) => Promise<readonly Result[]>,
  crashed: (item: Item) => Result,
): Promise<readonly Result[]> {
  for (let deaths = 0; ; ) {
    try {
      return await run(items);
    } catch (error) {
      if (!(error instanceof ChildDied)) throw error;
      deaths++;
    }
    if (items.length > 1) {
      const half = items.length >> 1;
      const head = await inHalves(items.slice(0, half), run, crashed);
      return [...head, ...(await inHalves(items.slice(half), run, crashed))];
    }
    if (deaths === 2) return items.map(crashed);
  }
}
