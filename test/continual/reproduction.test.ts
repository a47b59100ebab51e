/**
 * Relations of arXiv 2403.08763 at a size that trains in seconds: 33k parameters, 0.4 MB of a synthetic language a phase.
 *
 * Orderings are asserted with about half of the smallest margin that three seeds gave with this trainer (bench/LOG.md has
 * them). Two are left out. From η_max to 2 η_max the weak shift gives .008 on old and .009 on new data, too thin; from
 * η_max / 2 to 2 η_max both are asserted. That re-decay adapts better than none is asserted under the weak shift only.
 * Adaptation is asserted again in shorter runs at a lower rate, where all its steps are wide.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  Lab,
  type LabRun,
  type RunRequest,
  SHORT,
  SMALL,
} from '../../bench/cases/continual-runs.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-reproduction-'));
const { peakLr, minLr } = SMALL;
let lab: Lab;
let base: LabRun;
/** No replay, the paper's schedule. */
const plainRuns: Partial<Record<'weak' | 'strong', LabRun>> = {};

beforeAll(async () => {
  lab = await Lab.open(SMALL, folder, 0);
  base = await lab.run({ name: 'base', data: { old: 1 }, schedule: lab.cosine() });
});
afterAll(async () => {
  await lab?.dispose();
  rmSync(folder, { recursive: true, force: true });
});

/** First argument lower than the second, by at least `margin`. */
function below(lower: number, higher: number, margin = 0): void {
  expect(higher - lower).toBeGreaterThan(margin);
}

/** Highest rise of the old loss over that at the start. */
function riseOf({ measured }: LabRun): number {
  return Math.max(...measured.map(([, losses]) => losses['old']!)) - measured[0]![1]['old']!;
}

const TRANSIENT = { evalEvery: 10, stopAt: 50 };
/**
 * `old`, `new`: from η_min to η_max / 2, on to η_max, and from η_max / 2 to 2 η_max. `replay`: from 0 to 1, 5, 25, 50 %.
 * `price`: new data at 50 % against 5 %. `warmup`: all that its length may change, less than half of what halving the rate
 * does. `spike`: the first two steps without a warm-up against those with one.
 */
const MARGINS = {
  weak: {
    old: [0.038, 0.025, 0.029],
    new: [0.037, 0.013, 0.018],
    replay: [0.03, 0.055, 0.11, 0.05],
    price: 0.04,
    warmup: 0.02,
    spike: 0.16,
  },
  strong: {
    old: [1.1, 0.4, 0.9],
    new: [0.12, 0.045, 0.07],
    replay: [1.6, 0.23, 0.2, 0.05],
    price: 0.06,
    warmup: 0.045,
    spike: 0.8,
  },
} as const;

describe.each(['weak', 'strong'] as const)('a %s shift', (shift) => {
  const continued = (name: string, request: Partial<RunRequest> = {}): Promise<LabRun> =>
    lab.run({
      name: `${shift}-${name}`,
      from: base,
      data: { [shift]: 1 },
      schedule: lab.cosine(),
      ...request,
    });
  let plain: LabRun;
  beforeAll(async () => {
    plain = await continued('0');
    plainRuns[shift] = plain;
  });

  it('R1, R2: the higher the rate, the more is forgotten and the more is learnt', async () => {
    const least = await continued('least', { schedule: { kind: 'constant', peakLr: minLr } });
    const half = await continued('half', { schedule: lab.cosine(peakLr / 2) });
    const twice = await continued('twice', { schedule: lab.cosine(2 * peakLr) });
    const [old, fresh] = [MARGINS[shift].old, MARGINS[shift].new];
    below(base.losses['old']!, least.losses['old']!, old[0]);
    below(least.losses['old']!, half.losses['old']!, old[0]);
    below(half.losses['old']!, plain.losses['old']!, old[1]);
    below(half.losses['old']!, twice.losses['old']!, old[2]);
    below(half.losses[shift]!, least.losses[shift]!, fresh[0]);
    below(plain.losses[shift]!, half.losses[shift]!, fresh[1]);
    below(twice.losses[shift]!, half.losses[shift]!, fresh[2]);
    // Under the strong shift a run this short gains more from the rate than from annealing, in all three seeds.
    if (shift === 'strong') return;
    const flat = await continued('flat', {
      schedule: { kind: 'constant', peakLr, warmup: { fraction: SMALL.warmup } },
    });
    below(plain.losses[shift]!, flat.losses[shift]!, 0.018);
  });

  it('R4: replay cuts forgetting, a little of it by much, at a small price', async () => {
    const shares = [0.01, 0.05, 0.25, 0.5];
    const runs = [plain];
    for (const replay of shares) runs.push(await continued(`${replay}`, { replay }));
    const old = runs.map(({ losses }) => losses['old']!);
    for (const [at, margin] of MARGINS[shift].replay.entries())
      below(old[at + 1]!, old[at]!, margin);
    const fresh = runs.map(({ losses }) => losses[shift]!);
    below(fresh[2]!, fresh[4]!, MARGINS[shift].price);
    const average = runs.map(({ losses }) => (losses['old']! + losses[shift]!) / 2);
    for (const at of [0, 1, 2]) below(average[at + 1]!, average[at]!);
  });

  it('R7: the warm-up does not matter at the end; without it the first steps hurt', async () => {
    const none = await continued('warmup-0', { schedule: lab.cosine(peakLr, 0) });
    const long = await continued('warmup-2', { schedule: lab.cosine(peakLr, 0.02) });
    const ends = [none, plain, long].map(({ losses }) => losses[shift]!);
    expect(Math.max(...ends) - Math.min(...ends)).toBeLessThan(MARGINS[shift].warmup);
    const early = { evalEvery: 1, stopAt: 2 };
    const abrupt = await continued('abrupt', { schedule: lab.cosine(peakLr, 0), ...early });
    const gentle = await continued('gentle', early);
    below(gentle.losses['old']!, abrupt.losses['old']!, MARGINS[shift].spike);
  });
});

describe('both shifts', () => {
  it('R6: a strong shift makes forget far more', () => {
    const rises = (['weak', 'strong'] as const).map(
      (shift) => plainRuns[shift]!.losses['old']! - base.losses['old']!,
    );
    expect(rises[1]).toBeGreaterThan(4 * rises[0]!);
  });

  it('R8: warming up again on the same data hurts for a while, more with twice the rate, less than a shift', async () => {
    const same = (name: string, schedule: RunRequest['schedule']): Promise<LabRun> =>
      lab.run({ name: `same-${name}`, from: base, data: { old: 1 }, schedule, ...TRANSIENT });
    const once = riseOf(await same('once', lab.cosine()));
    const twice = riseOf(await same('twice', lab.cosine(2 * peakLr)));
    const least = riseOf(await same('least', { kind: 'constant', peakLr: minLr }));
    const shifted = riseOf(
      await lab.run({
        name: 'shifted',
        from: base,
        data: { weak: 1 },
        schedule: lab.cosine(),
        ...TRANSIENT,
      }),
    );
    expect(once).toBeGreaterThan(0.045);
    expect(twice).toBeGreaterThan(1.5 * once);
    expect(least).toBeLessThan(once / 2);
    expect(shifted).toBeGreaterThan(2 * once);
  });
});

describe('shorter runs at a lower rate', () => {
  it.each([
    ['weak', [0.072, 0.057, 0.031]],
    ['strong', [0.32, 0.07, 0.04]],
  ] as const)(
    'R2, a %s shift: more is learnt at every step of the rate',
    async (shift, margins) => {
      const short = await Lab.open(SHORT, join(folder, `short-${shift}`), 0);
      try {
        const from = await short.run({ name: 'base', data: { old: 1 }, schedule: short.cosine() });
        const rates = [SHORT.peakLr / 2, SHORT.peakLr, 2 * SHORT.peakLr].map((rate) =>
          short.cosine(rate),
        );
        const ladder = [{ kind: 'constant', peakLr: SHORT.minLr } as const, ...rates];
        const losses: number[] = [];
        for (const [at, schedule] of ladder.entries()) {
          const run = await short.run({ name: `${at}`, from, data: { [shift]: 1 }, schedule });
          losses.push(run.losses[shift]!);
        }
        for (const [at, margin] of margins.entries()) below(losses[at + 1]!, losses[at]!, margin);
      } finally {
        await short.dispose();
      }
    },
  );
});
