import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { collectRuns } from '../../src/mixture/collect.ts';
import { joinRuns, readLosses, readMixtures, writeRuns } from '../../src/mixture/tables.ts';

const folder = mkdtempSync(join(tmpdir(), 'mixture-collect-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function fileOf(name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

/** A table of runs with quoted names, as experiment trackers export them. */
const table = fileOf(
  'table.csv',
  '"Name","State","cfg.arxiv","cfg.pile, cc","val/arxiv","val/cc"\n' +
    '"run a","finished","0.25","0.75","3.5","4.25"\n"run ""b""","finished","1","","3","5"\n',
);
/** Rows by step, out of order, weights in the first row only. */
const history = fileOf(
  'history.csv',
  'index,step,train_x,train_y,metric/x_val_loss\n1,0,0.5,0.5,9\n1,200,,,3\n1,100,,,2.5\n1,300,,,\n2,0,0,1,8\n2,100,,,4\n',
);

describe('collectRuns', () => {
  it('maps a table of runs', async () => {
    const { mixtures, losses, nRows } = await collectRuns({
      inputs: [table],
      indexColumn: 'Name',
      weightsPrefix: 'cfg.',
      losses: { arxiv: 'val/arxiv', pile_cc: 'val/cc' },
    });
    expect(nRows).toBe(2);
    expect(mixtures).toMatchObject({
      domains: ['train_arxiv', 'train_pile, cc'],
      ids: ['run a', 'run "b"'],
      weights: Float64Array.of(0.25, 0.75, 1, 0),
    });
    expect(losses).toEqual({
      targets: ['metric/arxiv_val_loss', 'metric/pile_cc_val_loss'],
      ids: ['run a', 'run "b"'],
      losses: Float64Array.of(3.5, 4.25, 3, 5),
    });
  });

  it.each([
    [{}, [2.5, 4]],
    [{ stepColumn: 'step' }, [3, 4]],
    [{ reduce: 'min' as const }, [2.5, 4]],
  ])('takes one value of a history, %o', async (options, expected) => {
    const { losses, mixtures } = await collectRuns({ inputs: [history], ...options });
    expect([...losses.losses]).toEqual(expected);
    expect([...mixtures!.weights]).toEqual([0.5, 0.5, 0, 1]);
  });

  it('takes a file for a run, without weights', async () => {
    const inputs = ['one', 'two'].map((name, place) =>
      fileOf(`${name}.csv`, `Wall time,Step,Value\n1.5,1,7\n2.5,2,${6 - place}\n`),
    );
    const { losses, mixtures } = await collectRuns({
      inputs,
      indexColumn: null,
      losses: { t: 'Value' },
    });
    expect(mixtures).toBeNull();
    expect([losses.ids, [...losses.losses]]).toEqual([
      ['one', 'two'],
      [6, 5],
    ]);
  });

  it('writes one file that both readers take', async () => {
    const { mixtures, losses } = await collectRuns({ inputs: [history] });
    const runs = joinRuns(mixtures!, losses);
    for (const name of ['runs.csv', 'runs.parquet']) {
      const file = join(folder, name);
      await writeRuns(file, runs);
      expect(joinRuns(await readMixtures(file), await readLosses(file))).toEqual(runs);
    }
  });

  it('takes weights without a prefix, and by their names', async () => {
    const olmix = fileOf(
      'olmix.csv',
      'run,name,index,ash,elm,leaf_bpb,lr\nk1,s-1,1,0.25,0.75,3.5,1\nk2,s-2,2,1,0,3,1\n',
    );
    const losses = { leaf: 'leaf_bpb' };
    await expect(collectRuns({ inputs: [olmix], weightsPrefix: '', losses })).rejects.toThrow(
      /weights of index 1 that sum to 1/,
    );
    const named = await collectRuns({ inputs: [olmix], domains: ['ash', 'elm'], losses });
    expect(named.mixtures!.domains).toEqual(['train_ash', 'train_elm']);
    const plain = fileOf('plain.csv', 'run,index,ash,elm,leaf_bpb\nk1,1,0.25,0.75,3.5\n');
    const all = await collectRuns({ inputs: [plain], weightsPrefix: '', losses });
    expect([all.mixtures!.domains, [...all.mixtures!.weights]]).toEqual([
      ['train_ash', 'train_elm'],
      [0.25, 0.75],
    ]);
  });

  it('refuses diverged and incomplete runs, or leaves them out', async () => {
    const input = fileOf(
      'diverged.csv',
      'index,metric/x_val_loss,metric/y_val_loss\n1,3,2\n1,NaN,2\n2,4,\n3,5,6\n',
    );
    await expect(collectRuns({ inputs: [input] })).rejects.toThrow(
      'row 2, column metric/x_val_loss: expected a finite number, found NaN',
    );
    const { losses, nSkipped } = await collectRuns({ inputs: [input], onMissing: 'skip' });
    expect([losses.ids, nSkipped]).toEqual([['3'], 2]);
  });

  it.each([
    [
      'index,train_a,metric/x_val_loss\n1,1,2\n1,0.5,2\n',
      /row 2, column train_a: expected the weight that row 1 has/,
    ],
    ['index,train_a,train_b,metric/x_val_loss\n1,0.5,0.1,2\n', /weights of index 1 that sum to 1/],
    ['index,note\n1,2\n', /a column of losses, or of weights/],
    ['index,train_a\n1,1\n', /columns of losses/],
    ['name,metric/x_val_loss\n1,2\n', /column index: expected this column/],
    ['index,metric/x_val_loss\n,2\n', /the name of a run/],
    ['index,index\n', /distinct column names/],
  ])('refuses %j', async (text, message) => {
    const error = await collectRuns({ inputs: [fileOf('bad.csv', text)] }).catch((e) => e);
    expect(error.code).toBe('MIXTURE_TABLE_INVALID');
    expect(error.message).toMatch(message);
  });
});
