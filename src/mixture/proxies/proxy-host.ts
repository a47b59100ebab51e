/**
 * A child process that runs proxies, one after the other. A trainer that aborts takes its child down, not the sweep.
 */
import { GristmillError } from '../../errors.ts';
import { fromNative } from '../../native/index.ts';
import { distFile } from '../../paths.ts';
import { type Child, startChild } from '../../work/child.ts';
import type { ProxyRecord, ProxyResult } from './proxy-run.ts';
import type { ProxySettings } from './settings.ts';

/** What a child is asked: one proxy. */
export interface ProxyRequest {
  /** Folder of the token store. */
  readonly store: string;
  readonly settings: ProxySettings;
  readonly weights: readonly number[];
  readonly device: string;
  readonly nThreads: number;
  /** JSON lines of {@link ProxyRecord}; it is there when the proxy is finished. */
  readonly trajectory: string;
}

/** What a child says. */
export type ProxyReply =
  | { readonly kind: 'record'; readonly record: ProxyRecord; readonly tokensPerSecond: number }
  | { readonly kind: 'done'; readonly result: ProxyResult }
  | {
      readonly kind: 'error';
      readonly code: string;
      readonly details: Record<string, unknown>;
      readonly message: string;
    };

/** Thrown when the child died under its proxy; its message says how. */
export class ProxyDied extends Error {
  readonly lastWords: string;

  constructor(exit: string, lastWords: string) {
    super(exit);
    this.lastWords = lastWords;
  }
}

/** A child process for proxies. */
export class ProxyHost {
  readonly #file: string;
  #child: Child | null = null;
  #onEnd: (exit: string) => void = () => undefined;

  /** @param file script of the child; tests give another one */
  constructor(file = distFile('mixture/proxies/proxy-process.js')) {
    this.#file = file;
  }

  /**
   * Runs a proxy.
   *
   * @throws ProxyDied when the child ended; the next call starts another one. Otherwise as runProxy()
   */
  run(
    request: ProxyRequest,
    onRecord?: (record: ProxyRecord, tokensPerSecond: number) => void,
  ): Promise<ProxyResult> {
    const { process: child, lastWords } = this.#start();
    return new Promise((resolve, reject) => {
      const settle = (act: () => void): void => {
        child.off('message', onMessage);
        this.#onEnd = () => undefined;
        act();
      };
      this.#onEnd = (exit) => settle(() => reject(new ProxyDied(exit, lastWords())));
      const onMessage = (reply: ProxyReply): void => {
        if (reply.kind === 'record') onRecord?.(reply.record, reply.tokensPerSecond);
        else if (reply.kind === 'done') settle(() => resolve(reply.result));
        else {
          const { code, details, message } = reply;
          const error = fromNative(
            Object.assign(new Error(message), { nativeCode: code, details }),
          );
          settle(() => reject(error));
        }
      };
      child.on('message', onMessage);
      // A request that cannot be sent is one to a child that ends, which is told above.
      child.send(request, () => undefined);
    });
  }

  /** Ends the child at once; what it was doing is lost. */
  stop(): void {
    this.#child?.process.kill('SIGKILL');
    this.#child = null;
  }

  #start(): Child {
    if (this.#child && this.#child.exit === null) return this.#child;
    const started = startChild(this.#file, (exit) => {
      if (this.#child === started || this.#child === null) this.#onEnd(exit);
      if (this.#child === started) this.#child = null;
    });
    this.#child = started;
    return started;
  }
}

/** An error of a run as a child sends it. */
export function replyOf(error: unknown): ProxyReply {
  const coded = error instanceof GristmillError ? error : null;
  return {
    kind: 'error',
    code: coded?.code ?? 'NATIVE_FAILED',
    details: coded ? { ...coded.details } : { operation: 'a proxy run', reason: String(error) },
    message: String(error),
  };
}
