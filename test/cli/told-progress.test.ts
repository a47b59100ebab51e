/**
 * Commands that can take long say on a terminal how far they are: by percent where the size is known. Eval, compare, show,
 * report, the commands of mixtures and those of fits had said nothing until their end.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { gristmillProgram } from '../../src/cli/program.ts';
import { trainProxies } from '../../src/mixture/proxies/sweep.ts';
import { writeLosses } from '../../src/mixture/tables.ts';
import { RANDOM_MODEL_PRESETS, writeRandomModel } from '../../src/model/random.ts';
import { refineCorpus } from '../../src/refine/run.ts';
import { bowlLaw, runsOf } from '../mixture/laws.ts';
import { mixtureTable, quick, smallStore } from '../mixture/proxies/support.ts';
import { goldRows } from '../train/support.ts';
import { onTerminal } from './support.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-progress-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string): string => join(folder, name);

beforeAll(async () => {
  const jsonl = (rows: readonly object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
  writeFileSync(at('pages.jsonl'), jsonl(goldRows(20, 1)));
  const judged = [250, 3].map((nWords, row) => {
    return { id: `d${row}`, text: 'word '.repeat(nWords), label: nWords > 100 ? 1 : 0 };
  });
  writeFileSync(at('documents.jsonl'), jsonl(judged));
  const texts = ['One whole sentence of a page.', 'Another sentence of it, a bit longer.'];
  writeFileSync(at('corpus.jsonl'), jsonl(texts.map((text, row) => ({ domain: `d${row}`, text }))));
  await writeRandomModel({ ...RANDOM_MODEL_PRESETS.tiny, path: at('model.gguf'), seed: 1 });
  for (const out of ['one', 'other']) {
    await refineCorpus({ inputs: [at('corpus.jsonl')], out: at(out), isolate: false, threads: 1 });
  }
  writeFileSync(at('domains.yaml'), '- { name: d0, prior: 0.6 }\n- { name: d1, prior: 0.4 }\n');
  const runs = runsOf(
    { 'metric/a_val_loss': bowlLaw([0.5, 0.5]) },
    { nRuns: 40, nDomains: 2, noise: 0.01 },
  );
  const rows = runs.ids.map((id, row) => {
    const [first, second] = runs.weights.subarray(2 * row, 2 * row + 2);
    return `${id},${first},${second},${runs.losses[row]}`;
  });
  const header = 'index,train_d0,train_d1,metric/a_val_loss';
  writeFileSync(at('tracked.csv'), `${[header, ...rows].join('\n')}\n`);
  await writeLosses(at('losses.csv'), runs);
  writeFileSync(at('plan.yaml'), PLAN);
  await trainProxies({
    mixtures: mixtureTable([['one', [0.2, 0.3, 0.5]]]),
    store: await smallStore(folder),
    settings: quick(),
    out: at('sweep'),
  });
  writeFileSync(
    at('pilots.csv'),
    'replay,old,new\n0,3.56,1.11\n1%,2.83,1.12\n5%,2.57,1.12\n10%,2.46,1.13\n25%,2.33,1.16\n50%,2.24,1.22\n',
  );
});

const PLAN = `
name: short
model: { shape: { nEmbd: 64, nLayer: 2, nHead: 4 } }
tokenizer: { train: { vocabSize: 1024 } }
batch: { nSeq: 16, nCtx: 64 }
datasets: { english: { path: data/english, tokens: 20_000 } }
stages:
  - name: english
    data: english
    tokens: 10_240
    schedule: { kind: cosine, peakLr: 6e-3, minLr: 3e-4, warmup: 5 % }
`;

/** In order: some need what others have written. */
const CASES: readonly (readonly [command: string, said: RegExp])[] = [
  ['eval lines --refiner c4 --data pages.jsonl', /scoring 0\.0% \| 0 of 20 pages/],
  ['eval documents --refiner words --data documents.jsonl', /scoring 0\.0% \| 0 of 2 documents/],
  ['eval lm --model model.gguf --data corpus.jsonl', /reading 0\.0% \| 0 of \d+ bytes/],
  ['compare one other', /comparing 0\.0% \| 0 of 4 rows/],
  ['show one --no-pager', /looking through 0\.0% \| 0 of 2 rows/],
  ['report one --out page.html', /reading 0\.0% \| 0 of 2 rows/],
  ['cluster finish one', /checking 0\.0% \| 0 of 1 units/],
  [
    'mix sample --domains domains.yaml --n 9 --out sampled.csv',
    /drawing 0\.0% \| 0 of [\d,]+ mixtures/,
  ],
  [
    'mix sample --domains domains.yaml --n 3 --preset space-filling --out filling.csv',
    /choosing 0\.0% \| 0 of 3 mixtures/,
  ],
  [
    'mix sample --count corpus.jsonl --n 3 --preset space-filling --out counted.csv',
    /reading 0\.0% \| 0 of \d+ bytes/,
  ],
  ['mix collect tracked.csv --out collected', /reading 0\.0% \| 0 of 1 files/],
  [
    'mix fit --mixtures collected/mixtures.csv --losses collected/losses.csv --model gp --out fit.json',
    /\d+ of \d+ fits/,
  ],
  [
    'mix sample --fit fit.json --n 2 --preset active --out active.csv',
    /choosing 0\.0% \| 0 of 2 mixtures/,
  ],
  ['mix optimize fit.json --allow-outside', /searching 0\.0% \| 0 of \d+ descents/],
  [
    'mix optimize fit.json --allow-outside --method simulation --draws 5000',
    /drawing 0\.0% \| 0 of 5,000 mixtures/,
  ],
  [
    'mix predict fit.json --mixtures collected/mixtures.csv --out predicted.csv',
    /predicting 0\.0% \| 0 of 40 losses/,
  ],
  ['cluster finish sweep', /checking 0\.0% \| 0 of 1 proxies/],
  ['models random random.gguf --preset tiny', /writing 0\.0% \| 0 of [\d,]+ bytes/],
  ['continue plan plan.yaml --svg plan.svg', /drawing 0\.0% \| 0 of 1 pictures/],
  ['continue plan plan.yaml --schedule-csv rates.csv', /writing rates 0\.0% \| 0 of 10 steps/],
  [
    'continue export plan.yaml --trainer hf --out exported',
    /comparing rates 0\.0% \| 0 of 1 stages/,
  ],
  ['annotate chunks pages.jsonl --way gold --out made', /\d of 20 documents \| \d+ windows/],
  [
    'eval refiner --refiner programs --data made/chunks.parquet --split all',
    /reading \| 0 windows/,
  ],
  ['mix report fit.json --out figures', /drawing 0\.0% \| 0 of 10 figures/],
  ['continue fit-replay pilots.csv --old old --new new', /fitting 0\.0% \| 0 of 14 fits/],
];

const FOLDERS = new Set([...['one', 'other', 'collected', 'figures', 'sweep', 'exported', 'made']]);

/** Runs a command in this process; its files are those of the test. */
async function gristmill(words: readonly string[]): Promise<void> {
  const isPath = (word: string): boolean => FOLDERS.has(word) || /^[a-z/]+\.\w+$/.test(word);
  const program = await gristmillProgram(words[0]);
  const args = words.map((word) => (isPath(word) ? at(word) : word));
  await program.exitOverride().parseAsync(['node', 'gristmill', ...args]);
}

describe('on a terminal', () => {
  it.each(CASES)('gristmill %s', async (command, said) => {
    const { stderr } = await onTerminal(() => gristmill(command.split(' ')));
    expect(stderr).toMatch(said);
    // The line is ended before the result is printed.
    expect(stderr).toMatch(/\n$/);
  });
});

describe('with --json', () => {
  it('nothing is said', async () => {
    const words = 'eval documents --refiner words --data documents.jsonl --json'.split(' ');
    const { stderr } = await onTerminal(() => gristmill(words));
    expect(stderr).toBe('');
  });
});
