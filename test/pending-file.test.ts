/**
 * Files that appear whole. What the bugs were: results replaced the device or pipe that they were sent to (`--out /dev/null`
 * became a regular file); `.NAME.tmp` was opened through a link that somebody had laid there; a part of a write on a nearly
 * full disk was published as the whole.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { writeWindowExamples } from '../src/annotate/example-file.ts';
import type { WindowExample } from '../src/annotate/types.ts';
import { writeDurably } from '../src/durable-files.ts';
import { createGguf } from '../src/model/convert/gguf-stream.ts';
import { writeGgufMetadata } from '../src/model/gguf-write.ts';
import { RANDOM_MODEL_PRESETS, writeRandomModel } from '../src/model/random.ts';
import { distFile } from '../src/paths.ts';
import { outputTarget, PendingFile, sweepAfter } from '../src/pending-file.ts';
import { markOf, type ProcessIdentity } from '../src/process-identity.ts';

const root = mkdtempSync(join(tmpdir(), 'gristmill-pending-'));
let folder: string;
let nFolders = 0;
beforeEach(() => {
  folder = join(root, `${nFolders++}`);
  mkdirSync(folder);
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const at = (name: string) => join(folder, name);

const EXAMPLE: WindowExample = {
  ...{
    id: 'a',
    domain: 'b',
    language: 'en',
    split: 'train',
    text: 'a mill',
    lineStart: 0,
    lineEnd: 1,
  },
  ...{
    dialect: 'prox',
    program: 'keep_all()',
    refined: 'a mill',
    way: 'gold',
    expert: '',
    requests: '',
  },
};

/** Every way in which the package writes a file. */
const WRITERS: Record<string, (path: string) => unknown> = {
  writeDurably: (path) => writeDurably(path, 'content'),
  writeGgufMetadata: (path) => writeGgufMetadata(path, { key: { type: 'u32', value: 1 } }),
  createGguf: async (path) => {
    const tensor = { name: 't', shape: [32], type: 'f32' } as const;
    const stream = await createGguf(path, {}, [tensor]);
    await stream.write(new Uint8Array(128));
    await stream.commit();
  },
  writeWindowExamples: (path) => writeWindowExamples(path, [EXAMPLE]),
  native: (path) => writeRandomModel({ ...RANDOM_MODEL_PRESETS.tiny, path, seed: 1 }),
};

describe.each(Object.keys(WRITERS))('%s', (name) => {
  const write = async (path: string) => WRITERS[name]!(path);

  it('leaves nothing but the file', async () => {
    await write(at('result'));
    await write(at('result'));
    expect(readdirSync(folder)).toEqual(['result']);
    expect(lstatSync(at('result')).isFile()).toBe(true);
  });

  it('writes through a link to what it points to, there or not', async () => {
    mkdirSync(at('inner'));
    writeFileSync(at('inner/there'), 'old');
    symlinkSync('inner/there', at('link'));
    symlinkSync('inner/not-there', at('dangling'));
    symlinkSync('link', at('chain'));
    for (const link of ['link', 'dangling', 'chain']) {
      await write(at(link));
      expect(lstatSync(at(link)).isSymbolicLink()).toBe(true);
    }
    expect(readFileSync(at('inner/there'), 'latin1')).not.toBe('old');
    expect(readdirSync(at('inner')).sort()).toEqual(['not-there', 'there']);
  });

  it('writes to a pipe and leaves it there', async () => {
    execFileSync('mkfifo', [at('pipe')]);
    symlinkSync('pipe', at('link'));
    for (const way of ['pipe', 'link']) {
      const reader = spawn('cat', [at('pipe')], { stdio: ['ignore', 'pipe', 'ignore'] });
      let nBytes = 0;
      reader.stdout.on('data', (chunk: Buffer) => {
        nBytes += chunk.length;
      });
      const read = new Promise((resolve) => reader.on('close', resolve));
      await write(at(way));
      await read;
      expect(nBytes).toBeGreaterThan(6);
      expect(lstatSync(at('pipe')).isFIFO()).toBe(true);
    }
    expect(readdirSync(folder).sort()).toEqual(['link', 'pipe']);
  });

  it('refuses a folder, a loop of links, and a folder that is not there', async () => {
    mkdirSync(at('inner'));
    symlinkSync('b', at('a'));
    symlinkSync('a', at('b'));
    for (const path of ['inner', 'a', 'nowhere/file'])
      await expect(write(at(path))).rejects.toThrow();
    expect(readdirSync(folder).sort()).toEqual(['a', 'b', 'inner']);
    expect(readdirSync(at('inner'))).toEqual([]);
  });
});

describe('PendingFile', () => {
  // Was: a disk that was nearly full took a part of a tokenizer, and the part had the name of the whole.
  it.skipIf(process.platform !== 'linux')('leaves nothing when only a part can be written', () => {
    const path = join(folder, 'part');
    const script = `
      import { PendingFile } from ${JSON.stringify(pathToFileURL(distFile('pending-file.js')).href)};
      const file = new PendingFile(${JSON.stringify(path)});
      try {
        file.write(Buffer.alloc(64 * 1024, 1));
        file.commit();
        console.log('written');
      } catch (error) {
        file.discard();
        console.log(error.code);
      }`;
    // Files of at most 16 KiB: the first write takes a part, the next fails, as on a full disk.
    const limited = 'trap \'\' XFSZ; ulimit -f 16; exec "$0" --input-type=module -e "$1"';
    const { stdout } = spawnSync('bash', ['-c', limited, process.execPath, script]);
    expect(stdout.toString().trim()).toBe('EFBIG');
    expect(readdirSync(folder).filter((name) => name.includes('part'))).toEqual([]);
  });

  it('takes no file that somebody laid where the old name was', () => {
    writeFileSync(at('victim'), 'mine');
    symlinkSync('victim', at('.run.json.tmp'));
    symlinkSync('victim', at('run.json.partial'));
    writeDurably(at('run.json'), '{}');
    expect(readFileSync(at('victim'), 'utf8')).toBe('mine');
    expect(lstatSync(at('run.json')).isFile()).toBe(true);
  });

  it('sends what is for a device to the device', () => {
    writeDurably('/dev/null', 'content');
    expect(lstatSync('/dev/null').isCharacterDevice()).toBe(true);
    expect(() => writeDurably('/dev/full', 'content')).toThrow(/ENOSPC/);
  });

  it('discards what was not committed, once', () => {
    const file = new PendingFile(at('file'));
    file.write('half');
    expect(readdirSync(folder)).toHaveLength(1);
    file.discard();
    file.discard();
    expect(readdirSync(folder)).toEqual([]);
    expect(() => file.write('more')).toThrow(/closed/);
  });

  it('removes what killed processes left, and nothing else', () => {
    const { pid } = JSON.parse(
      execFileSync(process.execPath, ['-p', 'JSON.stringify({ pid: process.pid })'], {
        encoding: 'utf8',
      }),
    ) as { pid: number };
    const old = new Date(Date.now() - 60_000);
    const left = [`.a.${pid}.0123456789abcdef.tmp`, `.a.${process.ppid}.0123456789abcdef.tmp`];
    for (const name of [...left, '.a.tmp', 'kept']) {
      writeFileSync(at(name), '');
      utimesSync(at(name), old, old);
    }
    writeFileSync(at(`.b.${pid}.0123456789abcdef.tmp`), '');
    writeDurably(at('c'), '');
    expect(readdirSync(folder).sort()).toEqual(
      [left[1]!, '.a.tmp', `.b.${pid}.0123456789abcdef.tmp`, 'c', 'kept'].sort(),
    );
  });

  // Was: files of C++ named a number alone, which every container has again, and were judged by their age.
  it('knows whose a file of C++ is, however new it is', async () => {
    const urlOf = (name: string): string => JSON.stringify(pathToFileURL(distFile(name)).href);
    const script = `
      import { writeSync } from 'node:fs';
      import { ownIdentity } from ${urlOf('process-identity.js')};
      import { RANDOM_MODEL_PRESETS, writeRandomModel } from ${urlOf('model/random.js')};
      writeSync(1, JSON.stringify(ownIdentity()));
      const path = ${JSON.stringify(at('model.gguf'))};
      await writeRandomModel({ ...RANDOM_MODEL_PRESETS['350m'], path, seed: 1 });`;
    // Its file takes seconds to write, and is there from the first moment.
    const writer = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let said = '';
    writer.stdout.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
    const closed = new Promise((resolve) => writer.on('close', resolve));
    while (readdirSync(folder).length === 0 && writer.exitCode === null) {
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    writer.kill('SIGKILL');
    await closed;
    const gone = JSON.parse(said) as ProcessIdentity;
    const left = readdirSync(folder);
    expect(left).toEqual([
      expect.stringMatching(
        new RegExp(`^\\.model\\.gguf\\.${gone.pid}-${markOf(gone)}\\.[0-9a-f]{16}\\.tmp$`),
      ),
    ]);
    sweepAfter({ ...gone, pidNamespace: 'pid:[another container]' }, folder);
    sweepAfter({ ...gone, startTime: '1' }, folder);
    expect(readdirSync(folder)).toEqual(left);
    sweepAfter(gone, folder);
    expect(readdirSync(folder)).toEqual([]);
  });

  it('names of any length have a pending name that fits', () => {
    writeDurably(at('n'.repeat(250)), 'content');
    writeDurably(at('é'.repeat(120)), 'content');
    expect(readdirSync(folder)).toHaveLength(2);
  });

  it('knows a stream by any of its names', () => {
    for (const path of ['/dev/null', '/dev/stdin', '/proc/self/fd/0']) {
      expect(outputTarget(path)).toEqual({ path, isStream: true });
    }
  });
});
