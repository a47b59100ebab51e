/**
 * A session of a queue's worker in this process, for kinds of work whose units do not need a process of their own around
 * them: what it takes is opened once, with the first unit, and closed with the session.
 */
import { type DoneUnit, SessionEnded, type WorkSession } from './take.ts';

/** What does the units. */
export interface OpenedWork {
  /** Rejects with what is wrong. */
  do(unit: number): Promise<DoneUnit>;
  /** Whether an error says something of the unit; any other ends the session, and costs its units no try. */
  isOfUnit(error: unknown): boolean;
  close(): Promise<void>;
}

/** Opens a session. @param unitsAtOnce units under way at a time */
export function ownSession(unitsAtOnce: number, open: () => Promise<OpenedWork>): WorkSession {
  const ended = new AbortController();
  let opening: Promise<OpenedWork> | null = null;
  let failure: { readonly error: unknown } | null = null;
  const fail = (error: unknown): SessionEnded => {
    failure ??= { error };
    ended.abort();
    return new SessionEnded(failure.error);
  };
  return {
    unitsAtOnce,
    ended: ended.signal,
    async do(unit) {
      if (failure) throw new SessionEnded(failure.error);
      let opened: OpenedWork;
      try {
        opening ??= open();
        opened = await opening;
      } catch (error) {
        throw fail(error);
      }
      try {
        return await opened.do(unit);
      } catch (error) {
        if (opened.isOfUnit(error)) throw error;
        throw fail(error);
      }
    },
    async end() {
      await (await opening?.catch(() => null))?.close();
      if (failure) throw failure.error;
    },
  };
}
