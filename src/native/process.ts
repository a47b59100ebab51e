/** Typed face of native/binding/process.cc: what a run needs of its processes and Node does not give. */

/** Exports of the addon for processes. */
export interface NativeProcess {
  /** This process is killed when process `pid`, which started it, ends; at once when that has ended already. */
  dieWithParent(pid: number): void;
  /** Puts eight hexadecimal digits (process-identity.ts) into the names of pending files that native code writes from now on. */
  setPendingMark(mark: string): void;
  /** Ends this process without waiting for its threads, one that is stuck in the kernel among them. */
  exitNow(code: number): void;
  /** Kills and reaps a child when this environment (a worker thread, say) ends before `release()`. */
  readonly OwnedChild: new (
    pid: number,
  ) => { release(): void };
  /** Sets the time of change of a file to `firstSecond` + 1, + 2, ... from a thread of its own. */
  readonly Heartbeat: new (
    path: string,
    firstSecond: number,
    periodMs: number,
  ) => { stop(): void };
}
