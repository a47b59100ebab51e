/** The continual example: its plan resolves, and at a size of seconds its replay run forgets less than its no-replay run. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readPlan } from '../../src/continual/plan/config.ts';
import { resolvePlan } from '../../src/continual/plan/resolve.ts';
import { runPlan } from '../../src/continual/run/run.ts';
import { packageRoot } from '../../src/paths.ts';

const example = join(packageRoot, 'examples', 'continual');
const folder = mkdtempSync(join(tmpdir(), 'gristmill-continual-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('continual', () => {
  it('has a script that names its files, and a plan with a branch of the same checkpoint without replay', () => {
    const script = readFileSync(join(example, 'run.sh'), 'utf8');
    for (const [file] of script.matchAll(/examples\/[\w./-]+\.yaml/g)) {
      expect(existsSync(join(packageRoot, file))).toBe(true);
    }
    const { stages } = resolvePlan(readPlan(join(example, 'plan.yaml')));
    const [, replayed, without] = stages;
    expect(replayed!.from).toEqual({ stage: 0, checkpoint: 'constant' });
    expect(without!.from).toEqual(replayed!.from);
    expect([replayed!.replay?.share, without!.replay]).toEqual([0.25, null]);
    expect(without!.nTokens).toBe(replayed!.nTokens);
  });

  it('forgets less with replay', async () => {
    const plan = readPlan(join(example, 'plan.yaml'));
    const { stages } = await runPlan(
      {
        ...plan,
        model: {
          shape: { nEmbd: 32, nLayer: 1, nHead: 2, ropeTheta: 1e4, rmsEpsilon: 1e-5, tied: true },
        },
        tokenizer: { train: { vocabSize: 512 } },
        validation: { ...plan.validation, every: 0, windows: 24 },
        datasets: Object.fromEntries(
          Object.entries(plan.datasets).map(([name, dataset]) => [
            name,
            { ...dataset, inputs: [join(packageRoot, dataset.inputs![0]!)] },
          ]),
        ),
        stages: plan.stages.slice(0, 3).map((stage) => ({ ...stage, tokens: stage.tokens! / 2 })),
      },
      { out: folder },
    );
    const [english, replayed, without] = stages;
    expect(replayed!.losses.start).toEqual(english!.losses.constant);
    expect(without!.losses.start).toEqual(english!.losses.constant);
    expect(without!.forgetting!['english']).toBeGreaterThan(0.5);
    expect(replayed!.forgetting!['english']).toBeLessThan(0.5 * without!.forgetting!['english']!);
    for (const stage of [replayed!, without!]) {
      expect(stage.forgetting!['romance']).toBeLessThan(-0.3);
    }
  });
});
