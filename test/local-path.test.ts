import { mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { writeDurably, writeResultAs } from '../src/durable-files.ts';
import { localPath, makeFolder, schemeOf } from '../src/local-path.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-local-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('localPath', () => {
  it('refuses every scheme by name, with a way out', () => {
    for (const [path, scheme, hint] of [
      ['s3://bucket/out', 's3', 'aws s3 cp'],
      ['S3A://bucket/out', 's3a', 'aws s3 cp'],
      ['s3:/bucket/out', 's3', 'aws s3 cp'],
      ['gs://bucket/x', 'gs', 'gcloud storage'],
      ['abfss://c@a.dfs.core.windows.net/x', 'abfss', 'azcopy'],
      ['hf://datasets/org/name', 'hf', 'hf download'],
      ['https://example.com/x.parquet', 'https', 'curl -LO https://example.com/x.parquet'],
      ['file:///data/x', 'file', 'without file://'],
      ['webhdfs+x://host/x', 'webhdfs+x', 'copy it to a local folder first'],
    ] as const) {
      expect(() => localPath(path, 'input')).toThrowError(
        expect.objectContaining({
          code: 'PATH_REMOTE',
          message: expect.stringContaining(hint),
          details: expect.objectContaining({ scheme, path }),
        }),
      );
    }
    expect(() => localPath('s3://b/o', 'output', '--out')).toThrowError(
      /^--out s3:\/\/b\/o: s3 paths .* write to a local folder .* `aws s3 cp --recursive FOLDER s3:\/\/b\/o`/,
    );
  });

  it('leaves paths as they are', () => {
    for (const path of ['-', '', 'a', './a:b', '/x/y', 'c:/x', 'c://x', 'random:tiny', 'a/s3://b'])
      expect(localPath(path, 'input')).toBe(path);
    // A colon and two slashes behind a name that is no scheme.
    fc.assert(fc.property(fc.stringMatching(/^[^:]*$/), (path) => schemeOf(path) === null));
  });
});

describe('makeFolder', () => {
  it('makes what is missing, and nothing where all is there', () => {
    const deep = join(folder, 'a', 'b', 'c');
    makeFolder(deep);
    makeFolder(deep);
    expect(statSync(deep).isDirectory()).toBe(true);
  });

  // mkdir with `recursive` asks for ever where the parent is there and refuses the name.
  it.runIf(process.platform === 'linux')('ends below a folder that takes no folders', () => {
    expect(() => makeFolder('/proc/gristmill/x')).toThrow(/ENOENT/);
    expect(() => makeFolder('/proc/gristmill/x', 'RUN_OUTPUT_FAILED')).toThrowError(
      expect.objectContaining({ code: 'RUN_OUTPUT_FAILED' }),
    );
  });

  it('names a file in the way', () => {
    writeFileSync(join(folder, 'file'), '');
    symlinkSync(join(folder, 'nowhere'), join(folder, 'dangling'));
    expect(() => makeFolder(join(folder, 'file'))).toThrow(/file is a file, not a folder/);
    // Up to Node 22 the file system refuses to look below a file, from 24 on it says that nothing is there.
    expect(() => makeFolder(join(folder, 'file', 'x'))).toThrow(/ENOTDIR/);
    expect(() => makeFolder(join(folder, 'dangling'))).toThrow(/EEXIST/);
  });

  it('results are never written to a URL', () => {
    const remote = expect.objectContaining({ code: 'PATH_REMOTE' });
    expect(() => makeFolder('s3://bucket/out')).toThrowError(remote);
    expect(() => writeDurably('gs://bucket/x.json', '{}')).toThrowError(remote);
    expect(() => writeResultAs('MIXTURE_WRITE_FAILED', 's3://b/x.csv', '')).toThrowError(remote);
  });
});
