/**
 * A fleet of workers in virtual time. What is simulated: the clock, processes that die, stand still and come back, the place
 * of the output (memory-output.ts), how long a unit takes, and the broker of a queue as BullMQ documents itself (locks, stalled
 * jobs, tries). What is not: leases, claims, the ledger, shares of a split, and what a worker makes of a delivery and its failure
 * are the ones of src/work.
 */
import { isGristmillError } from '../../../src/errors.ts';
import { seededRandom } from '../../../src/seeded.ts';
import { HERE, type LeaseWorld } from '../../../src/work/lease.ts';
import {
  discardAll,
  type Ledger,
  openLedger,
  readRecords,
  recordNames,
} from '../../../src/work/ledger.ts';
import { takeWhole } from '../../../src/work/ledger-claim.ts';
import type { LedgerKind } from '../../../src/work/ledger-kind.ts';
import { unitName } from '../../../src/work/output-folder.ts';
import { ownSession } from '../../../src/work/queue/own-session.ts';
import {
  backoffMs,
  type Delivery,
  deliver,
  LOCK_MS,
  maxStalls,
  STALLED_LOOK_MS,
  UNITS_AT_ONCE,
} from '../../../src/work/queue/take.ts';
import { UnitSet } from '../../../src/work/unit-set.ts';
import { shareStarts, workerName } from '../../../src/work/worker-share.ts';
import { Clock } from './clock.ts';
import {
  emptyOutput,
  LAYOUT,
  memoryOutput,
  type Process,
  type SharedOutput,
  write,
} from './memory-output.ts';

/** What is simulated. */
export interface FleetOptions {
  readonly workers: number;
  readonly units: number;
  readonly seed: number;
  /** How workers get their units. */
  readonly delivery: 'split' | 'queue';
  /** Share of the workers that fail in an hour. */
  readonly failuresPerHour: number;
  /** Units that always fail, and, of a queue, units that kill their worker. */
  readonly poison: number;
  readonly killers: number;
}

/** What came of it. */
export interface FleetResult {
  readonly makespanMs: number;
  /** All work divided by the workers. */
  readonly idealMs: number;
  readonly deaths: number;
  readonly stops: number;
  /** Deliveries that found their unit committed by another, or lost the race for it. */
  readonly lost: number;
  readonly leasesLost: number;
  readonly committed: number;
  /** Units that were committed more than once. */
  readonly doubled: number;
  /** Units that are not there in the end. */
  readonly missing: readonly number[];
  readonly setAside: readonly number[];
  readonly published: number;
  readonly attemptsLeft: number;
  /** What must come out: units that can be done. */
  readonly poisoned: readonly number[];
}

const MEAN_MS = 10_000;
const RESTART_MS = 60_000;
const STOPPED_MS = 300_000;
const TRIES = 3;
const DUPLICATES = 1e-4;
const HOUR_MS = 3_600_000;

interface Row {
  readonly unit: number;
  readonly attempt?: string;
}

const KIND: LedgerKind<number, Row, { readonly plan: string }> = {
  command: 'simulation',
  layout: LAYOUT,
  nameOf: unitName,
  keyOf: ({ unit }) => unit,
  noUnits: () => new UnitSet(),
  isRecordName: (name) => /^\d+\.json$/.test(name),
  recordIn: (value) => value as Row,
  filesOf: ({ unit }) => [{ path: `part-${unit}`, bytes: 1 }],
  redoesDamaged: true,
  checkNew: () => undefined,
  runIdOf: ({ plan }) => plan,
  changes: (before, now) => (before.plan === now.plan ? [] : ['plan']),
  sharesOutput: true,
  hasResults: async () => false,
  changed: (out, changes) => new Error(`${out}: ${changes.join()}`) as never,
  failed: (path, reason) => new Error(`${path}: ${reason}`) as never,
};
const IDENTITY = { plan: 'simulated' };

/** A process of the fleet. */
class Incarnation implements Process {
  readonly world: LeaseWorld;
  readonly #clock: Clock;
  #diedMs: number | null = null;
  #stopped: { readonly sinceMs: number; readonly untilMs: number } | null = null;
  /** Where it is to die. */
  diesAt: 'committed' | 'begun' | null = null;
  onDeath: () => void = () => undefined;
  /** One unit is computed at a time. */
  computing: Promise<void> = Promise.resolve();

  constructor(clock: Clock, number: number) {
    this.#clock = clock;
    const identity = {
      pid: 7,
      startTime: String(number),
      pidNamespace: 'pod',
      host: `host-${number}`,
    };
    this.world = {
      ...HERE,
      identity: { ...identity, bootId: `boot-${number}` },
      nowMs: () => clock.nowMs,
      sleep: (ms) => this.sleep(ms),
      held: new Set(),
    };
  }

  get isDead(): boolean {
    return this.#diedMs !== null;
  }

  get isStopped(): boolean {
    return this.#stopped !== null && this.#clock.nowMs < this.#stopped.untilMs;
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        if (this.isDead) return;
        if (this.isStopped) this.#clock.after(this.#stopped!.untilMs - this.#clock.nowMs, wake);
        else resolve();
      };
      this.#clock.after(ms, wake);
    });
  }

  beats(periodMs: number): number {
    const untilMs = this.#diedMs ?? (this.isStopped ? this.#stopped!.sinceMs : this.#clock.nowMs);
    return Math.floor(untilMs / periodMs);
  }

  step(name: 'committed' | 'begun'): Promise<void> {
    if (this.diesAt !== name) return Promise.resolve();
    this.die();
    return new Promise(() => undefined);
  }

  die(): void {
    if (this.isDead) return;
    this.#diedMs = this.#clock.nowMs;
    this.onDeath();
  }

  stop(ms: number): void {
    this.#stopped = { sinceMs: this.#clock.nowMs, untilMs: this.#clock.nowMs + ms };
  }
}

class Poison extends Error {}

/** Lets a fleet do its units. */
export async function simulate(options: FleetOptions): Promise<FleetResult> {
  const { workers, units, seed, failuresPerHour } = options;
  const random = seededRandom(seed);
  const clock = new Clock(50);
  const shared = emptyOutput();
  const bytes = Float64Array.from({ length: units }, () => 500 + Math.floor(random() * 1001));
  const spread = Float32Array.from({ length: units }, () => 0.9 + random() * 0.2);
  const msOf = (unit: number): number => (bytes[unit]! / 1000) * spread[unit]! * MEAN_MS;
  const chosen = new Set<number>();
  while (chosen.size < options.poison + options.killers) chosen.add(Math.floor(random() * units));
  const poison = new Set([...chosen].slice(0, options.poison));
  const killers = new Set([...chosen].slice(options.poison));
  const tally = { deaths: 0, stops: 0, lost: 0, leasesLost: 0, lastMs: 0 };
  let nIncarnations = 0;
  let isOver = false;

  /** Does a unit as sessions of a queue and shares of a split do it. */
  const work = async (
    ledger: Ledger<number, Row>,
    self: Incarnation,
    unit: number,
  ): Promise<boolean> => {
    await ledger.beginUnit(unit);
    const before = self.computing;
    const computed = before.then(() => self.sleep(msOf(unit)));
    self.computing = computed;
    await computed;
    if (killers.has(unit)) {
      self.die();
      await new Promise(() => undefined);
    }
    if (poison.has(unit)) {
      await ledger.abandonUnit(unit);
      throw new Poison(`unit ${unit}`);
    }
    write(shared, ledger.pendingPath(unit, `part-${unit}`));
    const isOurs = await ledger.commitUnit({ unit });
    if (isOurs) tally.lastMs = clock.nowMs;
    else tally.lost++;
    return isOurs;
  };

  /** A process that will fail one day; `again` is called when another is to come in its place. */
  const spawn = (again: () => void): Incarnation => {
    const self = new Incarnation(clock, nIncarnations++);
    self.onDeath = () => {
      tally.deaths++;
      clock.after(RESTART_MS, again);
    };
    const lifeMs = (-Math.log(1 - random()) / failuresPerHour) * HOUR_MS;
    const way = random();
    clock.after(lifeMs, () => {
      if (self.isDead || isOver) return;
      if (way < 0.25) {
        tally.stops++;
        self.stop(STOPPED_MS);
        clock.after(RESTART_MS, again);
      } else if (way < 0.5) self.diesAt = 'committed';
      else if (way < 0.65) self.diesAt = 'begun';
      else self.die();
    });
    return self;
  };

  const setAside = new Set<number>();
  if (options.delivery === 'split') {
    const starts = shareStarts(
      Array.from(bytes, (each) => ({ bytes: each })),
      workers,
    );
    let nDone = 0;
    const isDone = new Uint8Array(workers);
    const start = (index: number): void => {
      if (isDone[index] === 1) return;
      const self = spawn(() => start(index));
      const share = Array.from(
        { length: starts[index + 1]! - starts[index]! },
        (_, at) => starts[index]! + at,
      );
      const run = async (): Promise<void> => {
        const member = { name: workerName({ index, count: workers }), units: share };
        const store = memoryOutput(shared, self);
        const ledger = await openLedger(store, KIND, IDENTITY, { member, world: self.world });
        for (const unit of share) {
          if (await ledger.isCommitted(unit)) continue;
          try {
            await work(ledger, self, unit);
          } catch (error) {
            if (!(error instanceof Poison)) throw error;
            setAside.add(unit);
          }
        }
        await ledger.close();
        if (isDone[index] === 0) nDone++;
        isDone[index] = 1;
        isOver = nDone === workers;
      };
      run().catch((error: unknown) => {
        // Another has its place by now, or still has: whoever starts processes starts it again.
        if (isGristmillError(error, 'RUN_LEASE_LOST')) tally.leasesLost++;
        else if (isGristmillError(error, 'RUN_OUTPUT_IN_USE'))
          clock.after(RESTART_MS, () => start(index));
        else throw error;
      });
    };
    for (let index = 0; index < workers; index++) start(index);
  } else {
    const broker = new Broker({ clock, random, units, setAside });
    const start = (): void => {
      if (isOver) return;
      const self = spawn(start);
      const session = ownSession(UNITS_AT_ONCE, async () => {
        const member = {
          name: `w-${nIncarnations}-${self.world.identity.host}`,
          units: [],
          mayBegin: true,
        };
        const store = memoryOutput(shared, self);
        const ledger = await openLedger(store, KIND, IDENTITY, { member, world: self.world });
        return {
          async do(unit) {
            const isThere = await ledger.isCommitted(unit);
            if (isThere) tally.lost++;
            const isOurs = !isThere && (await work(ledger, self, unit));
            return { isOurs, counts: {}, seconds: 0 };
          },
          isOfUnit: (error) => error instanceof Poison,
          close: () => ledger.close(),
        };
      });
      const lane = async (): Promise<void> => {
        while (!isOver) {
          const job = broker.take(self);
          if (job === null) {
            // What killed its workers is given up by nobody's hand.
            isOver = broker.isOver;
            await self.sleep(1000);
            continue;
          }
          broker.settle(job, await deliver(session, job.unit));
          isOver = broker.isOver;
        }
      };
      const lanes = Promise.all(Array.from({ length: UNITS_AT_ONCE }, lane));
      lanes
        .then(() => session.end())
        .catch((error: unknown) => {
          queueMicrotask(() => {
            throw error;
          });
        });
    };
    for (let index = 0; index < workers; index++) start();
  }
  await clock.run(() => isOver);
  const finished = await finish(shared, clock, nIncarnations);
  const total = bytes.reduce((sum, _, unit) => sum + msOf(unit), 0);
  const missing: number[] = [];
  for (let unit = 0; unit < units; unit++) {
    if (!shared.objects.has(`units/${unitName(unit)}.json`)) missing.push(unit);
  }
  return {
    makespanMs: tally.lastMs,
    idealMs: total / workers,
    deaths: tally.deaths,
    stops: tally.stops,
    lost: tally.lost,
    leasesLost: tally.leasesLost,
    committed: finished,
    doubled: [...shared.commits.values()].filter((n) => n > 1).length,
    missing,
    setAside: [...setAside].sort((a, b) => a - b),
    published: shared.published.size,
    attemptsLeft: shared.attempts.size,
    poisoned: [...chosen].sort((a, b) => a - b),
  };
}

/** What `cluster finish` does: alone, every record is read, what is of none goes. @returns units that are there */
async function finish(shared: SharedOutput, clock: Clock, number: number): Promise<number> {
  const self = new Incarnation(clock, number);
  const store = memoryOutput(shared, self);
  let n: number | null = null;
  const all = (async () => {
    // Those that died have left their leases, those that stand still are waited for.
    for (;;) {
      try {
        const lease = await takeWhole(store, { world: self.world });
        let nThere = 0;
        for await (const _ of readRecords({ store, kind: KIND }, recordNames(store, KIND))) {
          nThere++;
        }
        await discardAll(store);
        await lease.release();
        return nThere;
      } catch (error) {
        if (!isGristmillError(error, 'RUN_OUTPUT_IN_USE')) throw error;
        await self.sleep(RESTART_MS);
      }
    }
  })();
  all.then(
    (nThere) => {
      n = nThere;
    },
    () => {
      n = -1;
    },
  );
  await clock.run(() => n !== null);
  return all;
}

/** A job under way. */
interface ActiveJob {
  readonly unit: number;
  readonly token: number;
}

/** BullMQ, as far as its documentation says: at least once, locks, stalled jobs, tries with waits between. */
class Broker {
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #setAside: Set<number>;
  readonly #waiting: number[] = [];
  #next = 0;
  readonly #active = new Map<number, number>();
  readonly #tries: Uint8Array;
  readonly #stalls: Uint8Array;
  #nToken = 0;
  #nJobs: number;

  constructor({
    clock,
    random,
    units,
    setAside,
  }: {
    readonly clock: Clock;
    readonly random: () => number;
    readonly units: number;
    readonly setAside: Set<number>;
  }) {
    this.#clock = clock;
    this.#random = random;
    this.#setAside = setAside;
    for (let unit = 0; unit < units; unit++) this.#waiting.push(unit);
    this.#tries = new Uint8Array(units);
    this.#stalls = new Uint8Array(units);
    this.#nJobs = units;
  }

  /** No job is left, waiting or under way. */
  get isOver(): boolean {
    return this.#nJobs === 0;
  }

  take(self: Incarnation): ActiveJob | null {
    const unit = this.#waiting[this.#next];
    if (unit === undefined) return null;
    this.#next++;
    if (this.#random() < DUPLICATES) {
      this.#nJobs++;
      this.#waiting.push(unit);
    }
    const job = { unit, token: this.#nToken++ };
    this.#active.set(job.token, unit);
    this.#watch(job, self);
    return job;
  }

  /** The lock is renewed while the worker lives; somebody looks for those that have run out every few seconds. */
  #watch(job: ActiveJob, self: Incarnation): void {
    this.#clock.after(LOCK_MS + this.#random() * STALLED_LOOK_MS, () => {
      if (!this.#active.has(job.token)) return;
      if (!self.isDead && !self.isStopped) return this.#watch(job, self);
      this.#active.delete(job.token);
      if (++this.#stalls[job.unit]! > maxStalls({ tries: TRIES })) this.#giveUp(job.unit);
      else this.#waiting.push(job.unit);
    });
  }

  /** One that has lost its lock says nothing any more. */
  settle({ unit, token }: ActiveJob, delivery: Delivery): void {
    if (!this.#active.delete(token)) return;
    if (delivery.kind === 'done') this.#nJobs--;
    else if (delivery.kind === 'put back') this.#later(unit, delivery.afterMs);
    else if (++this.#tries[unit]! >= TRIES) this.#giveUp(unit);
    else this.#later(unit, backoffMs(this.#tries[unit]!));
  }

  #later(unit: number, ms: number): void {
    this.#clock.after(ms, () => this.#waiting.push(unit));
  }

  #giveUp(unit: number): void {
    this.#setAside.add(unit);
    this.#nJobs--;
  }
}
