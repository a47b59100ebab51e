/** `gristmill continue run` as a command: what it prints, how it ends, and what kills at any moment leave. */
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { writeDatasets, writtenPlan } from '../continual/run/support.ts';
import { outputOf, run, start } from './support.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-continue-run-'));
const plan = join(folder, 'plan.yaml');
const commandFor = (out: string, ...rest: string[]): string[] => [
  ...['continue', 'run', plan, '--out', join(folder, out)],
  ...rest,
];

beforeAll(() => {
  writeDatasets(folder);
  const written = writtenPlan(folder, { checkpointEvery: 2 });
  const stages = written.stages.map((stage) => ({
    ...stage,
    steps: 3 * stage.steps!,
    maxEpochs: 4,
  }));
  writeFileSync(plan, stringify({ ...written, stages }));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('gristmill continue run', () => {
  it('prints losses and forgetting, and leaves the same bytes after kills at any moment', async () => {
    const whole = await run(commandFor('whole'));
    expect(whole.code).toBe(0);
    const printed = whole.stdout.toString();
    expect(printed).toMatch(/^checkpoint +from +new tokens +replayed +old +new +other\n/);
    expect(printed).toMatch(
      /\nwithout\/annealed +base\/annealed .+ \d\.\d{4} \(\+\d\.\d{4}\) +\d\.\d{4} \(−/,
    );

    const out = join(folder, 'killed');
    const isThere = (name: string) => existsSync(join(out, name));
    const hasStep = (stage: string) =>
      isThere(stage) && readdirSync(join(out, stage)).some((name) => name.startsWith('step-'));
    const moments: (() => boolean)[] = [
      () => isThere('store/building.json'),
      () => isThere('store/tokenizer.gguf'),
      () => isThere('store/source-00000'),
      () => hasStep('stages/00-base'),
      () => isThere('stages/00-base/constant.ckpt'),
      () => isThere('stages/00-base/annealed.ckpt'),
      () => isThere('stages/00-base/model.gguf'),
      () => isThere('stages/01-replayed/replay.json'),
      () => hasStep('stages/01-replayed'),
      () => isThere('stages/01-replayed/loss.svg'),
      () => isThere('stages/01-replayed/stage.json'),
      () => hasStep('stages/02-without'),
      () => isThere('stages/02-without/annealed.ckpt'),
    ];
    let nKilled = 0;
    for (const [kill, moment] of moments.entries()) {
      const started = start(commandFor('killed', '--threads', String(1 + (kill % 2))));
      let ended = false;
      started.finished.then(() => {
        ended = true;
      });
      while (!ended && !moment()) await sleep(1);
      await sleep(Math.random() * 40);
      started.process.kill('SIGKILL');
      if ((await started.finished).signal === 'SIGKILL') nKilled++;
    }
    expect(nKilled).toBeGreaterThan(moments.length / 2);
    const finished = await run(commandFor('killed'));
    expect([finished.code, finished.stdout.toString()]).toEqual([
      0,
      printed.replace(join(folder, 'whole'), out),
    ]);
    const [own, expected] = ['killed', 'whole'].map((name) => outputOf(join(folder, name)));
    expect([...own!.keys()]).toEqual([...expected!.keys()]);
    for (const [name, bytes] of expected!) expect(own!.get(name) === bytes, name).toBe(true);
  });

  it('ends an interrupt behind the step, with 130, and goes on', async () => {
    const started = start(commandFor('interrupted'));
    while (!existsSync(join(folder, 'interrupted/stages/01-replayed'))) await sleep(2);
    started.process.kill('SIGINT');
    const { code, stderr, stdout } = await started.finished;
    expect([code, stderr]).toEqual([130, expect.stringContaining('finishing the step under way')]);
    expect(stdout.toString()).toContain('run the same command again');
    const again = await run(commandFor('interrupted', '--json'));
    expect([again.code, again.stderr]).toEqual([0, '']);
    const { stages, interrupted } = JSON.parse(again.stdout.toString());
    expect([stages.length, interrupted]).toEqual([3, false]);
  });

  it('names what is wrong and ends with 1, and with 2 for usage', async () => {
    const changed = join(folder, 'changed.yaml');
    writeFileSync(changed, stringify(writtenPlan(folder, { seed: 9 })));
    const refused = await run([
      'continue',
      'run',
      changed,
      '--out',
      join(folder, 'whole'),
      '--json',
    ]);
    expect(refused.code).toBe(1);
    expect(JSON.parse(refused.stderr)).toMatchObject({
      error: {
        code: 'CONTINUAL_RUN_CHANGED',
        details: { changes: expect.stringContaining('plan.seed') },
      },
    });
    writeFileSync(changed, 'stages: 4');
    const bad = await run(['continue', 'run', changed, '--out', join(folder, 'bad')]);
    expect([bad.code, bad.stderr]).toEqual([1, expect.stringMatching(/changed.yaml.*stages/)]);
    expect((await run(['continue', 'run', plan])).code).toBe(2);
    expect((await run(commandFor('x', '--device', 'gpu'))).code).toBe(2);
  });
});
