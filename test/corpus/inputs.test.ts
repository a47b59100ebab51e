import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { describeLeftOut, expandInputs } from '../../src/corpus/inputs.ts';

const base = realpathSync(mkdtempSync(join(tmpdir(), 'gristmill-inputs-')));
afterAll(() => rmSync(base, { recursive: true, force: true }));

let folder: string;
let made = 0;
beforeEach(() => {
  folder = join(base, String(made++));
  mkdirSync(folder);
});

const LINE = '{"text":"x"}\n';

/** Makes files below the folder of the test. */
function put(...names: string[]): void {
  for (const name of names) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), LINE);
  }
}

/** What inputs below the folder give, by names below it. */
async function found(inputs: readonly string[], exclude: readonly string[] = []) {
  const result = await expandInputs(
    inputs.map((input) => (input.startsWith('/') ? input : `${folder}/${input}`)),
    { exclude: exclude.map((path) => `${folder}/${path}`) },
  );
  const below = (path: string): string => path.replace(`${folder}/`, '');
  return {
    paths: result.paths.map(below),
    failed: result.failures.map(({ path, error }) => [below(path), error.code]),
    said: result.failures.map(({ error }) => error.message.replaceAll(`${folder}/`, '')),
    leftOut: result.leftOut,
    lines: describeLeftOut(result.leftOut).map((line) => line.replaceAll(`${folder}/`, '')),
  };
}

describe('files that are named, in folders and by globs', () => {
  it('known formats, by all of their endings', async () => {
    const names = ['.parquet', '.parq', '.pq', '.arrow', '.arrows', '.ipc', '.feather', '.JSONL'];
    put(...names.map((ending) => `a${ending}`), 'deep/er/b.ndjson.gz');
    const { paths } = await found(['']);
    expect(paths.length).toBe(names.length + 1);
  });

  // Three spellings of one path gave its rows three times.
  it('a file is found once, however it is spelled', async () => {
    put('a.jsonl', 'sub/b.jsonl');
    symlinkSync('a.jsonl', join(folder, 'a-link.jsonl'));
    symlinkSync('sub', join(folder, 'linked'));
    symlinkSync('..', join(folder, 'sub', 'circle'));
    const { paths, leftOut, failed } = await found([
      '',
      '.',
      './/a.jsonl',
      'sub/../a.jsonl',
      '*.jsonl',
      '**/*.jsonl',
      'linked',
      'a-link.jsonl',
      'linked/circle/sub/b.jsonl',
      folder,
    ]);
    expect(paths).toEqual(['a.jsonl', 'sub/b.jsonl']);
    expect(failed).toEqual([]);
    expect(leftOut.repeated).toBeGreaterThan(8);
  });

  it('a file that is reached through a link alone is called by the link', async () => {
    put('store/blob.jsonl');
    mkdirSync(join(folder, 'in'));
    symlinkSync('../store/blob.jsonl', join(folder, 'in', 'train.jsonl'));
    symlinkSync('../store', join(folder, 'in', 'all'));
    expect((await found(['in'])).paths).toEqual(['in/all/blob.jsonl']);
  });

  it('hard links are files of their own: two shards that a tool has stored once', async () => {
    put('a.jsonl');
    linkSync(join(folder, 'a.jsonl'), join(folder, 'b.jsonl'));
    expect((await found([''])).paths).toEqual(['a.jsonl', 'b.jsonl']);
  });

  it('names relative to here lose what says nothing', async () => {
    put('a.jsonl');
    const here = process.cwd();
    process.chdir(folder);
    try {
      for (const input of ['.', './', './a.jsonl', 'a.jsonl', './/./a.jsonl', '*.jsonl', './*'])
        expect((await expandInputs([input])).paths).toEqual(['a.jsonl']);
    } finally {
      process.chdir(here);
    }
  });

  it('globs as shells have them, and folders that match one', async () => {
    put(
      'y=1/a.jsonl',
      'y=2/b.jsonl',
      'y=2/deep/c.jsonl',
      'z/d.jsonl',
      'y=2/_x.jsonl',
      '.h/e.jsonl',
    );
    const of = async (glob: string) => (await found([glob])).paths;
    expect(await of('y=*')).toEqual(['y=1/a.jsonl', 'y=2/b.jsonl', 'y=2/deep/c.jsonl']);
    expect(await of('y=*/*.jsonl')).toEqual(['y=1/a.jsonl', 'y=2/_x.jsonl', 'y=2/b.jsonl']);
    expect(await of('{y=1,z}/*')).toEqual(['y=1/a.jsonl', 'z/d.jsonl']);
    expect(await of('{y=2/deep,z}/*')).toEqual(['y=2/deep/c.jsonl', 'z/d.jsonl']);
    expect(await of('**/[cd].jsonl')).toEqual(['y=2/deep/c.jsonl', 'z/d.jsonl']);
    expect(await of('**')).toEqual(['y=1/a.jsonl', 'y=2/b.jsonl', 'y=2/deep/c.jsonl', 'z/d.jsonl']);
  });

  it('a name with wildcards in it is the file of that name', async () => {
    put('a[1].jsonl', 'a1.jsonl');
    expect((await found(['a[1].jsonl'])).paths).toEqual(['a[1].jsonl']);
  });
});

describe('tables and text', () => {
  const of = async (input: string) => {
    const { paths, leftOut } = await found([input]);
    return { paths, others: leftOut.otherFormats };
  };

  it('are read where a glob has their ending, whatever lies beside them', async () => {
    put('a.parquet', 'b.csv', 'c.csv.gz', 'd.tsv', 'e.txt', 'x/f.csv', '.g.csv', 'x/_h.csv');
    expect((await of('*.csv')).paths).toEqual(['b.csv']);
    expect((await of('**/*.csv')).paths).toEqual(['b.csv', 'x/f.csv']);
    expect((await of('*.{csv,tsv,txt}')).paths).toEqual(['b.csv', 'd.tsv', 'e.txt']);
    expect((await of('*.csv*')).paths).toEqual(['b.csv', 'c.csv.gz']);
    expect((await of('*.txt')).paths).toEqual(['e.txt']);
    // An ending that is left open says nothing of it, and a folder that matches is one.
    expect((await of('*')).paths).toEqual(['a.parquet']);
    expect((await of('?.*')).paths).toEqual(['a.parquet']);
    expect(await of('x*')).toEqual({ paths: ['x/f.csv'], others: {} });
  });

  it('are beside a corpus in a folder that has one', async () => {
    put('in/a.jsonl', 'in/README.txt', 'in/list.csv', 'in/deep/b.parquet', 'in/deep/urls.tsv');
    expect(await of('in')).toEqual({
      paths: ['in/a.jsonl', 'in/deep/b.parquet'],
      others: { '.csv': 1, '.tsv': 1, '.txt': 1 },
    });
    // The corpus may lie deeper than they do.
    put('other/deep/deeper/a.arrow', 'other/list.csv');
    expect((await of('other')).paths).toEqual(['other/deep/deeper/a.arrow']);
  });

  it('are the corpus of a folder without another: tables before text', async () => {
    put('tables/a.csv', 'tables/deep/b.tsv.gz', 'tables/README.txt', 'tables/.c.csv');
    expect(await of('tables')).toEqual({
      paths: ['tables/a.csv', 'tables/deep/b.tsv.gz'],
      others: { '.txt': 1 },
    });
    put('texts/a.txt', 'texts/b.txt.zst', 'texts/c.md', 'texts/_notes.txt');
    expect(await of('texts')).toEqual({
      paths: ['texts/a.txt', 'texts/b.txt.zst'],
      others: { '.md': 1 },
    });
  });

  it('that are no files fail where they are meant, and are counted where they are not', async () => {
    put('in/a.jsonl');
    execFileSync('mkfifo', [join(folder, 'in/b.csv')]);
    expect(await of('in')).toEqual({ paths: ['in/a.jsonl'], others: { '.csv': 1 } });
    await expect(of('in/*.csv')).rejects.toThrow(/FIFO/);
  });
});

describe('what is left out is said', () => {
  it('other formats by their endings, with a way in', async () => {
    put('a.jsonl', 'b.csv', 'c.csv', 'd.tsv.gz', 'e.txt', 'README', 'x/f.csv');
    const { lines, leftOut } = await found(['']);
    expect(leftOut.otherFormats).toEqual({
      '.csv': 3,
      '.tsv.gz': 1,
      '.txt': 1,
      'no extension': 1,
    });
    expect(lines[0]).toBe('6 files of other formats: 3 .csv, 1 .tsv.gz, 1 .txt, 1 no extension');
    expect(lines.join('\n')).toContain("to read them: a glob with their ending, 'FOLDER/**/*.csv'");
  });

  it('bookkeeping: names that begin with _ or . but folders of a partition', async () => {
    put('a.jsonl', '_b.jsonl', '.c.parquet', '_SUCCESS', '_tmp/d.jsonl', '.git/e.json');
    put('_k=1/f.jsonl');
    const { paths, lines, leftOut } = await found(['']);
    expect(paths).toEqual(['_k=1/f.jsonl', 'a.jsonl']);
    expect(leftOut.bookkeeping).toBe(4);
    expect(lines).toContain('4 names that begin with _ or . passed over');
    expect((await found(['_tmp', '_b.jsonl'])).paths).toEqual(['_b.jsonl', '_tmp/d.jsonl']);
  });

  // The same command again read its own output: RUN_CHANGED, or the rows twice.
  it('what lies in --out is no input, whatever its name, and there or not', async () => {
    put('a.jsonl', 'out/part-00000.jsonl', 'out/dropped/part-00000.jsonl');
    symlinkSync('out', join(folder, 'latest'));
    symlinkSync(join('out', 'part-00000.jsonl'), join(folder, 'one.jsonl'));
    for (const exclude of [
      'out',
      'out/',
      './out',
      'latest',
      `../${folder.split('/').at(-1)}/out`,
    ]) {
      const { paths, lines } = await found(['', 'out', 'out/part-00000.jsonl', '*/*'], [exclude]);
      expect(paths).toEqual(['a.jsonl']);
      expect(lines).toContain('out is the output: what lies in it is no input');
    }
    expect((await found([''], ['later/out'])).paths.length).toBe(3);
    await expect(found(['out'], ['out'])).rejects.toMatchObject({
      code: 'CORPUS_NO_FILES',
      message: expect.stringContaining('out is the output'),
    });
  });

  it('results of our commands in a folder of inputs are passed over', async () => {
    put('a.jsonl');
    const ours = '{\n  "format": 1,\n  "x": 2\n}\n';
    const results = {
      'refined/_gristmill/run.json': ['refine', 'refined/part-00000.parquet'],
      'set/_annotate/kind': ['annotate', 'set/train.jsonl'],
      'mixed/_mixture.json': ['mix apply', 'mixed/part-00000.parquet'],
      'sweep/sweep.json': ['mix train', 'sweep/trajectories/0.jsonl'],
      'store/store.json': ['mix tokenize', 'store/domains.json'],
      'model/run.json': ['train', 'model/losses.jsonl'],
      'stages/run.json': ['continue run', 'stages/lineage.json'],
      'exported/export.json': ['an export', 'exported/blend.json'],
    };
    for (const [mark, [command, file]] of Object.entries(results)) {
      put(mark, file!);
      const head = command === 'an export' ? '{\n  "gristmill": "export"\n}\n' : ours;
      writeFileSync(join(folder, mark), head);
    }
    writeFileSync(join(folder, 'stages/lineage.json'), '[]\n');
    // A folder of somebody else with such names.
    put('theirs/run.json', 'theirs/store.json', 'theirs/b.jsonl');
    symlinkSync('refined', join(folder, 'seen'));
    const { paths, leftOut, lines } = await found(['']);
    expect(paths).toEqual(['a.jsonl', 'theirs/b.jsonl', 'theirs/run.json', 'theirs/store.json']);
    expect(leftOut.results.map(({ command }) => command).sort()).toEqual(
      Object.values(results)
        .map(([command]) => command)
        .sort(),
    );
    expect(lines).toContain('refined was written by refine and is passed over; name it to read it');
  });

  it('a refined corpus that is named is read again, without what it dropped', async () => {
    put('run/_gristmill/run.json', 'run/part-00000.jsonl', 'run/dropped/part-00000.jsonl');
    put('run/rejected/part-00000.jsonl');
    const { paths, leftOut } = await found(['run']);
    expect(paths).toEqual(['run/part-00000.jsonl']);
    expect(leftOut.results.length).toBe(2);
    expect((await found(['run/dropped'])).paths).toEqual(['run/dropped/part-00000.jsonl']);
  });
});

describe('what cannot be read is named, and the others go on', () => {
  it('links to nothing and links in a circle', async () => {
    put('a.jsonl');
    symlinkSync('gone.jsonl', join(folder, 'b.jsonl'));
    symlinkSync('shard', join(folder, 'shard'));
    symlinkSync('gone.txt', join(folder, 'c.txt'));
    const { paths, failed, said } = await found(['', 'b.jsonl']);
    expect(paths).toEqual(['a.jsonl']);
    expect(failed).toEqual([
      ['b.jsonl', 'CORPUS_READ_FAILED'],
      ['shard', 'CORPUS_READ_FAILED'],
      ['b.jsonl', 'CORPUS_READ_FAILED'],
    ]);
    expect(said[0]).toBe('file b.jsonl: the link points to nothing');
  });

  it('names that are no UTF-8', async () => {
    put('a.jsonl');
    const bad = (name: string): Buffer =>
      Buffer.concat([Buffer.from(`${folder}/${name}-`), Buffer.from([0xff, 0x0a])]);
    writeFileSync(Buffer.concat([bad('b'), Buffer.from('.jsonl')]), LINE);
    writeFileSync(Buffer.concat([bad('c'), Buffer.from('.csv')]), '');
    mkdirSync(bad('d'));
    const { paths, failed, leftOut } = await found(['']);
    expect(paths).toEqual(['a.jsonl']);
    expect(failed.sort()).toEqual([
      ['b-\\xff\\x0a.jsonl', 'CORPUS_READ_FAILED'],
      ['d-\\xff\\x0a', 'CORPUS_READ_FAILED'],
    ]);
    expect(leftOut.otherFormats).toEqual({ '.csv': 1 });
  });

  it('FIFOs, sockets and devices, without waiting for them', async () => {
    put('a.jsonl');
    execFileSync('mkfifo', [join(folder, 'f.jsonl')]);
    symlinkSync('/dev/zero', join(folder, 'z.jsonl'));
    const server = createServer().listen(join(folder, 's.jsonl'));
    await new Promise((resolve) => server.once('listening', resolve));
    try {
      const { paths, failed, said } = await found(['', 'f.jsonl']);
      expect(paths).toEqual(['a.jsonl']);
      expect(failed.map(([path]) => path).sort()).toEqual([
        'f.jsonl',
        'f.jsonl',
        's.jsonl',
        'z.jsonl',
      ]);
      expect(said.join('\n')).toMatch(/it is a FIFO[\s\S]*it is a socket[\s\S]*it is a device/);
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  });

  it.skipIf(process.getuid?.() === 0)('folders without permission', async () => {
    put('a.jsonl', 'shut/b.jsonl');
    chmodSync(join(folder, 'shut'), 0);
    try {
      const { paths, failed } = await found(['', '*/*.jsonl']);
      expect(paths).toEqual(['a.jsonl']);
      expect(failed).toEqual([
        ['shut', 'CORPUS_READ_FAILED'],
        ['shut', 'CORPUS_READ_FAILED'],
      ]);
    } finally {
      chmodSync(join(folder, 'shut'), 0o755);
    }
  });

  it('files of other formats that are named; a name that is not there ends it', async () => {
    put('a.jsonl', 'b.xlsx', 'c.xyz', 'd.csv', 'e.txt.gz');
    const { paths, failed, said } = await found([
      'a.jsonl',
      'b.xlsx',
      'c.xyz',
      'd.csv',
      'e.txt.gz',
    ]);
    // Tables and text are read where they are named, and counted in folders.
    expect(paths).toEqual(['a.jsonl', 'd.csv', 'e.txt.gz']);
    expect(failed).toEqual([
      ['b.xlsx', 'CORPUS_FORMAT_UNKNOWN'],
      ['c.xyz', 'CORPUS_FORMAT_UNKNOWN'],
    ]);
    expect(said[0]).toContain('read_xlsx');
    await expect(found(['b.xlsx'])).rejects.toMatchObject({ code: 'CORPUS_FORMAT_UNKNOWN' });
    for (const gone of ['gone.jsonl', 'a.jsonl/x', 'gone/']) {
      await expect(found(['a.jsonl', gone])).rejects.toMatchObject({
        code: 'CORPUS_READ_FAILED',
        message: expect.stringContaining('it does not exist'),
      });
    }
  });

  it('an abort ends it, and a URL is none of it', async () => {
    put('a.jsonl');
    const signal = AbortSignal.abort();
    await expect(expandInputs([folder], { signal })).rejects.toMatchObject({ code: 'ABORTED' });
    await expect(expandInputs(['gs://b/x'])).rejects.toMatchObject({ code: 'PATH_REMOTE' });
  });
});
