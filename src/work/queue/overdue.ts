/**
 * Units that are put back for a while. BullMQ has them wait for a time of day, as the clock of whoever put them back says it:
 * where that clock is an hour ahead, others would leave the unit alone for an hour.
 *
 * So each worker measures by its own steady clock how long it has seen a unit wait, and takes it when it waited for as long as
 * it was to. Who takes one early does no harm.
 */
import type { Queue } from 'bullmq';

/** Jobs looked at in one go; later ones come when these are gone. */
const MAX_SEEN = 100;
/** Who put it back takes it by itself where clocks agree. */
const MARGIN_MS = 500;

/** See the file's header. */
export class Overdue {
  readonly #queue: Queue;
  #seen = new Map<string, number>();

  constructor(queue: Queue) {
    this.#queue = queue;
  }

  /** Has the units handed out that have waited for as long as they were to. @returns how many */
  async promote(): Promise<number> {
    const jobs = await this.#queue.getDelayed(0, MAX_SEEN - 1);
    const now = performance.now();
    const seen = new Map<string, number>();
    let nPromoted = 0;
    for (const job of jobs) {
      if (!job) continue;
      // Put back anew, it waits anew.
      const key = `${job.id}/${job.attemptsStarted}`;
      const since = this.#seen.get(key) ?? now;
      seen.set(key, since);
      if (now - since < Math.max(0, job.delay) + MARGIN_MS) continue;
      // Another was first, where it fails.
      const isOurs = await job.promote().then(
        () => true,
        () => false,
      );
      if (isOurs) nPromoted++;
    }
    this.#seen = seen;
    return nPromoted;
  }
}
