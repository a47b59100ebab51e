/** The build-a-refiner example, step by step at a size of seconds: the commands of its script, as processes. */
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { readWindowExamples } from '../../src/annotate/example-file.ts';
import { packageRoot } from '../../src/paths.ts';
import { WindowExecutor } from '../../src/program/window-execution.ts';
import { readTrainConfig } from '../../src/train/config.ts';
import { run } from '../cli/support.ts';

const example = join(packageRoot, 'examples', 'build-a-refiner');
const folder = mkdtempSync(join(tmpdir(), 'gristmill-refiner-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function gristmill(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(args);
  expect(`${code} ${stderr}`).toMatch(/^0 /);
  return stdout.toString();
}

describe('build-a-refiner', () => {
  it('has a script that names its files and a configuration that is one', () => {
    const script = readFileSync(join(example, 'run.sh'), 'utf8');
    for (const [file] of script.matchAll(
      /(?:examples|models)\/[\w./-]+\.(?:mjs|yaml|gguf|parquet)/g,
    )) {
      expect(existsSync(join(packageRoot, file))).toBe(true);
    }
    const config = readTrainConfig(join(example, 'train.yaml'));
    expect(config).toMatchObject({
      objective: 'sft',
      data: { inputs: ['refiner/set/train.jsonl'] },
    });
  });

  it('annotates, trains, evaluates and refines', async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [join(example, 'gold.mjs')], {
      maxBuffer: 2 ** 24,
    });
    const gold = join(folder, 'gold.jsonl');
    writeFileSync(
      gold,
      stdout
        .split('\n')
        .slice(0, 16)
        .map((line) => `${line}\n`)
        .join(''),
    );
    const set = join(folder, 'set');
    await gristmill(
      'annotate',
      'chunks',
      gold,
      '--way',
      'gold',
      '--out',
      set,
      '--validation',
      '0.3',
    );
    const executor = new WindowExecutor();
    let nExamples = 0;
    for await (const { text, lineStart, lineEnd, program, dialect, refined } of readWindowExamples(
      join(set, 'chunks.parquet'),
    )) {
      nExamples++;
      const outcome = executor.run({ text, lineStart }, [{ lineStart, lineEnd, program }], dialect);
      expect(outcome.text).toBe(refined);
    }
    expect(nExamples).toBeGreaterThan(20);

    const { epochs: _, ...config } = parse(readFileSync(join(example, 'train.yaml'), 'utf8'));
    const small = {
      ...config,
      steps: 2,
      model: { from: join(packageRoot, 'models', 'default-programs.gguf') },
      data: {
        inputs: [join(set, 'train.jsonl')],
        profile: join(packageRoot, 'models', 'default-programs.profile.json'),
      },
      validation: { inputs: [join(set, 'validation.jsonl')] },
      schedule: { peakLr: 1e-5 },
      evalEvery: 0,
    };
    writeFileSync(join(folder, 'train.yaml'), JSON.stringify(small));
    const trained = JSON.parse(
      await gristmill(
        'train',
        join(folder, 'train.yaml'),
        '--out',
        join(folder, 'model'),
        '--json',
      ),
    );
    expect(trained).toMatchObject({ steps: 2, interrupted: false });
    expect(trained.validationLoss).toBeGreaterThan(0);

    const model = join(folder, 'model', 'model.gguf');
    const chunks = join(set, 'chunks.parquet');
    const evaluated = JSON.parse(
      await gristmill(
        'eval',
        'refiner',
        '--refiner',
        model,
        '--data',
        chunks,
        '--limit',
        '4',
        '--json',
      ),
    );
    expect(evaluated).toMatchObject({ profile: 'default-programs', kind: 'language' });

    const corpus = join(packageRoot, 'examples', 'corpus.parquet');
    const refined = join(folder, 'refined');
    const summary = JSON.parse(
      await gristmill(
        'refine',
        corpus,
        '--stages',
        'chunk',
        '--chunk-model',
        model,
        '--out',
        refined,
        '--limit',
        '6',
        '--json',
      ),
    );
    expect(summary.counts ?? summary).toMatchObject({ rowsIn: 6 });
    expect(existsSync(join(refined, 'part-00000.parquet'))).toBe(true);
  });
});
