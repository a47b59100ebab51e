import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { bytesOf, zstdWindowBytes } from '../../src/corpus/byte-source.ts';
import { planCorpus } from '../../src/corpus/plan.ts';
import type { CorpusFormat } from '../../src/corpus/types.ts';
import { native } from '../../src/native/index.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-bytes-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function read(format: CorpusFormat, bytes: Buffer, zstdWindowLog?: number): Promise<string> {
  const path = join(folder, `in.${format}`);
  writeFileSync(path, bytes);
  const chunks: Buffer[] = [];
  for await (const chunk of bytesOf({ path, format, zstdWindowLog })) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

const zstd = (text: string): Buffer => Buffer.from(native().zstdCompress(Buffer.from(text), 3));
/** A skippable frame: a magic, a length and bytes that mean nothing. */
const SKIPPABLE = Buffer.concat([
  Buffer.from([0x50, 0x2a, 0x4d, 0x18, 5, 0, 0, 0]),
  Buffer.from('12345'),
]);

/**
 * A frame of one raw block with a window of its own: what `zstd --long=N` writes begins so, whatever it holds.
 *
 * @see RFC 8878, 3.1.1
 */
function longWindowFrame(windowLog: number, text: string): Buffer {
  const header = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, (windowLog - 10) << 3]);
  const block = Buffer.alloc(3);
  block.writeUIntLE((text.length << 3) | 1, 0, 3);
  return Buffer.concat([header, block, Buffer.from(text)]);
}

describe('bytes of compressed files', () => {
  it('an empty file is an empty file in every form', async () => {
    for (const format of ['jsonl', 'jsonl.gz', 'jsonl.zst'] as const) {
      expect(await read(format, Buffer.alloc(0))).toBe('');
      const { columns, failedFiles } = await planCorpus({ inputs: [join(folder, `in.${format}`)] });
      expect([columns, failedFiles]).toEqual([[], []]);
    }
    expect(await read('jsonl.gz', gzipSync(''))).toBe('');
    expect(await read('jsonl.zst', zstd(''))).toBe('');
  });

  it('members and frames follow each other, some are to be skipped, zeros are padding', async () => {
    const members = Buffer.concat([gzipSync('one\n'), gzipSync(''), gzipSync('two\n')]);
    expect(await read('jsonl.gz', members)).toBe('one\ntwo\n');
    expect(await read('jsonl.gz', Buffer.concat([members, Buffer.alloc(3000)]))).toBe('one\ntwo\n');
    const frames = Buffer.concat([
      SKIPPABLE,
      zstd('one\n'),
      SKIPPABLE,
      zstd(''),
      zstd('two\n'),
      SKIPPABLE,
    ]);
    expect(await read('jsonl.zst', frames)).toBe('one\ntwo\n');
    expect(await read('jsonl.zst', Buffer.concat([frames, Buffer.alloc(3000)]))).toBe('one\ntwo\n');
  });

  it('what is cut off, or is followed by other bytes, is damage', async () => {
    const garbage = Buffer.from('more');
    for (const [format, bytes] of [
      ['jsonl.gz', gzipSync('one\n').subarray(0, 15)],
      ['jsonl.gz', Buffer.concat([gzipSync('one\n'), garbage])],
      ['jsonl.gz', Buffer.concat([gzipSync('one\n'), Buffer.alloc(10), garbage])],
      ['jsonl.gz', Buffer.concat([gzipSync('one\n'), gzipSync('two\n').subarray(0, 12)])],
      ['jsonl.gz', garbage],
      ['jsonl.gz', Buffer.alloc(100)],
      ['jsonl.zst', zstd('one\n').subarray(0, 9)],
      ['jsonl.zst', Buffer.concat([zstd('one\n'), garbage])],
      ['jsonl.zst', Buffer.concat([zstd('one\n'), Buffer.alloc(10), garbage])],
      ['jsonl.zst', Buffer.concat([zstd('one\n'), zstd('two\n').subarray(0, 7)])],
      ['jsonl.zst', garbage],
      ['jsonl.zst', Buffer.alloc(100)],
      ['jsonl.zst', SKIPPABLE.subarray(0, 10)],
    ] as const) {
      const failure = read(format, Buffer.from(bytes));
      await expect(failure, `${format} ${bytes.toString('hex')}`).rejects.toMatchObject({
        code: 'CORPUS_FILE_INVALID',
      });
    }
  });

  it('a long zstd window is read where it is asked for, and named otherwise', async () => {
    const long = longWindowFrame(29, '{"text":"a"}\n');
    await expect(read('jsonl.zst', long)).rejects.toMatchObject({
      code: 'CORPUS_FILE_INVALID',
      message: expect.stringMatching(/window is 536870912 bytes.*2\^27.*--zstd-window-log\) 29/),
    });
    expect(await read('jsonl.zst', long, 29)).toBe('{"text":"a"}\n');
    const second = Buffer.concat([zstd('{"text":"b"}\n'), long]);
    await expect(read('jsonl.zst', second)).rejects.toThrow(/--zstd-window-log\) 29/);
    const path = join(folder, 'in.jsonl.zst');
    expect((await planCorpus({ inputs: [path], zstdWindowLog: 29 })).files).toHaveLength(1);
    await expect(planCorpus({ inputs: [path], zstdWindowLog: 32 })).rejects.toMatchObject({
      code: 'OPTION_INVALID',
    });
  });

  it('reads windows of headers', () => {
    expect(zstdWindowBytes(longWindowFrame(31, ''))).toBe(2 ** 31);
    // One segment: the window is the content, here of 300 bytes in two bytes that count from 256.
    expect(zstdWindowBytes(Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x60, 44, 0, 0]))).toBe(300);
    expect(zstdWindowBytes(Buffer.from('no header'))).toBeNull();
  });

  it('an abort ends reading', async () => {
    const path = join(folder, 'long.jsonl');
    writeFileSync(path, 'x\n'.repeat(3_000_000));
    const controller = new AbortController();
    const reading = async () => {
      for await (const _ of bytesOf({ path, format: 'jsonl', signal: controller.signal }))
        controller.abort();
    };
    await expect(reading()).rejects.toMatchObject({ code: 'ABORTED' });
  });
});
