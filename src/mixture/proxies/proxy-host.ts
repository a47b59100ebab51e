/**
 * A process that runs proxies, one after the other. A trainer that aborts takes its process down, not the sweep: the next
 * call starts another one.
 */
import { distFile } from '../../paths.ts';
import { Service } from '../../work/service.ts';
import type { ProxyRecord, ProxyResult } from './proxy-run.ts';
import type { ProxySettings } from './settings.ts';

/** What a process is asked: one proxy. */
export interface ProxyRequest {
  /** Folder of the token store. */
  readonly store: string;
  readonly settings: ProxySettings;
  readonly weights: readonly number[];
  /** Sequences of each domain that it is given; null for all. */
  readonly sequences: readonly (number | null)[] | null;
  readonly device: string;
  readonly nThreads: number;
  /** Path or address of JSON lines of {@link ProxyRecord}; it is whole when the proxy is finished. */
  readonly trajectory: string;
}

/** What a process gives: a proxy whose trajectory is written. */
export interface ProxyOutcome {
  readonly result: ProxyResult;
  readonly trajectoryBytes: number;
}

/** What it tells while the proxy runs. */
export interface ProxyTold {
  readonly record: ProxyRecord;
  readonly tokensPerSecond: number;
}

/** See the file's header. */
export class ProxyHost {
  readonly #service: Service;

  /** @param file script of the process; tests give another one */
  constructor(file = distFile('mixture/proxies/proxy-process.js')) {
    this.#service = new Service({ file });
  }

  /**
   * Runs a proxy.
   *
   * @throws ChildDied when the process ended. Otherwise as runProxy()
   */
  async run(
    request: ProxyRequest,
    onRecord?: (record: ProxyRecord, tokensPerSecond: number) => void,
  ): Promise<ProxyOutcome> {
    const onTold = (told: unknown): void => {
      const { record, tokensPerSecond } = told as ProxyTold;
      onRecord?.(record, tokensPerSecond);
    };
    return (await this.#service.call('proxy', request, { onTold })) as ProxyOutcome;
  }

  /** Ends the process at once; what it was doing is lost. */
  stop(): void {
    this.#service.kill();
  }
}
