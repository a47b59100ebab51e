/** An output in memory, with the rules of output-store.ts, and attempts whose processes may die between any two steps. */
import type { LeaseStore, LeaseView } from '../../../src/work/lease-store.ts';
import type { Attempt, LedgerLayout, OutputStore } from '../../../src/work/output-store.ts';

/** What all processes see. */
export interface SharedOutput {
  readonly objects: Map<string, string>;
  readonly leases: Map<string, { content: string; beat: () => number }>;
  /** Files of attempts by unit and attempt. */
  readonly attempts: Map<string, Map<string, Set<string>>>;
  readonly published: Set<string>;
  /** Commits that won, by record. */
  readonly commits: Map<string, number>;
}

/** Nothing yet. */
export function emptyOutput(): SharedOutput {
  return {
    objects: new Map(),
    leases: new Map(),
    attempts: new Map(),
    published: new Set(),
    commits: new Map(),
  };
}

/** The process that uses the output. */
export interface Process {
  /** Periods of signs of life so far: stands still when the process does. */
  beats(periodMs: number): number;
  /** Awaited between the steps of a commit; never resolves for one that dies there. */
  step(name: 'committed' | 'begun'): Promise<void>;
}

export const LAYOUT: LedgerLayout = {
  folder: '_sim',
  records: 'units',
  runFile: 'run.json',
  results: [''],
  resultName: /^part-\d+$/,
};

/** A file of an attempt is written by this. */
export function write(shared: SharedOutput, path: string): void {
  const [unit, name, file] = path.split('/');
  shared.attempts.get(unit!)?.get(name!)?.add(file!);
}

/** The output as one process sees it. */
export function memoryOutput(shared: SharedOutput, process: Process): OutputStore {
  const { objects, attempts, published, commits } = shared;
  const find = ({ unit, name }: Attempt): Set<string> | undefined => attempts.get(unit)?.get(name);
  const drop = ({ unit, name }: Attempt): void => {
    const all = attempts.get(unit);
    all?.delete(name);
    if (all?.size === 0) attempts.delete(unit);
  };
  const isCommitted = ({ unit, name }: Attempt): boolean => {
    const record = objects.get(`units/${unit}.json`);
    return record !== undefined && (JSON.parse(record) as { attempt: string }).attempt === name;
  };
  return {
    out: 'memory',
    layout: LAYOUT,
    prepare: async () => undefined,
    hasPublicFiles: async () => published.size > 0,
    async *publicFiles() {
      yield* [...published];
    },
    removePublic: async (path) => void published.delete(path),
    read: async (name) => objects.get(name) ?? null,
    async create(name, content) {
      if (objects.has(name)) return false;
      objects.set(name, content);
      return true;
    },
    replace: async (name, content) => void objects.set(name, content),
    remove: async (name) => void objects.delete(name),
    removeIf: async (name, content) => objects.get(name) === content && objects.delete(name),
    async list(folder) {
      const prefix = folder === '' ? '' : `${folder}/`;
      const names = [...objects.keys(), ...shared.leases.keys()];
      const inside = names
        .filter((name) => name.startsWith(prefix))
        .map((name) => name.slice(prefix.length));
      return inside.filter((name) => !name.includes('/')).sort();
    },
    async *names(folder) {
      const prefix = `${folder}/`;
      for (const name of [...objects.keys()]) {
        const inside = name.slice(prefix.length);
        if (name.startsWith(prefix) && !inside.includes('/')) yield inside;
      }
    },
    lease: (name) => memoryLease(shared, name, process),
    async begin({ unit, name }) {
      const all = attempts.get(unit) ?? new Map<string, Set<string>>();
      attempts.set(unit, all.set(name, new Set()));
      await process.step('begun');
    },
    pathOf: ({ unit, name }, path) => `${unit}/${name}/${path}`,
    async commit(attempt, name, record) {
      const isThere = objects.has(name);
      if (!find(attempt)) {
        if (isThere) return false;
        throw new Error(`attempt ${attempt.name} at unit ${attempt.unit} was discarded`);
      }
      if (isThere) return false;
      objects.set(name, record);
      commits.set(name, (commits.get(name) ?? 0) + 1);
      await process.step('committed');
      return true;
    },
    async publish(attempt, files) {
      const from = attempt && find(attempt);
      for (const { path } of files) {
        if (from?.has(path)) published.add(path);
        if (!published.has(path)) return path;
      }
      if (attempt) drop(attempt);
      return null;
    },
    async discard(attempt) {
      if (!isCommitted(attempt)) drop(attempt);
    },
    async attempts(unit) {
      const of = (unit: string): Attempt[] =>
        [...(attempts.get(unit)?.keys() ?? [])].map((name) => ({ unit, name }));
      return unit === undefined ? [...attempts.keys()].flatMap(of) : of(unit);
    },
    sweep: async () => attempts.clear(),
  };
}

function memoryLease({ leases }: SharedOutput, name: string, process: Process): LeaseStore {
  const view = (): LeaseView | null => {
    const found = leases.get(name);
    return found ? { content: found.content, beat: String(found.beat()) } : null;
  };
  const put = (content: string): void => {
    leases.set(name, { content, beat: () => process.beats(1000) });
  };
  return {
    // Real ones look ten times a second: nothing comes of it here but happenings.
    lookMs: 1000,
    read: view,
    held: view,
    create(content) {
      if (leases.has(name)) return false;
      put(content);
      return true;
    },
    replace(seen, content) {
      if (leases.get(name)?.content !== seen) return false;
      put(content);
      return true;
    },
    remove(content) {
      if (leases.get(name)?.content === content) leases.delete(name);
    },
    beat: () => () => undefined,
  };
}
