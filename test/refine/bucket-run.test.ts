/** Whole runs over a bucket, on a real server with faults between: inputs, output, ledger and leases all lie there. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openS3 } from '../../src/corpus/storage/s3.ts';
import { finishRun } from '../../src/refine/finish-run.ts';
import { refineCorpus } from '../../src/refine/run.ts';
import type { RefineCorpusOptions } from '../../src/refine/run-options.ts';
import { outputOf, run, start } from '../cli/support.ts';
import { writeTestCorpus } from '../support/corpus.ts';
import { putObject, useBucket } from '../support/own-bucket.ts';
import { installS3Server, S3Server } from '../support/s3-server.ts';

const missing = installS3Server();
if (missing !== null) console.warn(`SKIPPED: no S3 server can be run here: ${missing}`);

const server = new S3Server();
const folder = mkdtempSync(join(tmpdir(), 'gristmill-bucket-run-'));
const at = (name: string): string => join(folder, name);
const N_FILES = 4;

const optionsFor = (out: string): RefineCorpusOptions => ({
  inputs: ['s3://corpus/in', 's3://corpus/in/*.jsonl'],
  out,
  documentModel: 'random:tiny',
  documentThreshold: 0.3,
  unitRows: 50,
  threads: 1,
  workers: 1,
  slots: 4,
  isolate: false,
});

/** What lies below a prefix, in a folder of this machine. */
async function download(prefix: string): Promise<string> {
  const { sdk, client } = await openS3();
  const into = at(`${prefix}-${Math.random()}`);
  const listed = new sdk.ListObjectsV2Command({ Bucket: 'corpus', Prefix: `${prefix}/` });
  for (const { Key } of (await client.send(listed)).Contents ?? []) {
    const got = await client.send(new sdk.GetObjectCommand({ Bucket: 'corpus', Key: Key! }));
    const file = join(into, Key!.slice(prefix.length + 1));
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, await got.Body!.transformToByteArray());
  }
  return into;
}

describe.skipIf(missing !== null)('a run over a bucket', () => {
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  useBucket(server, 'corpus');
  beforeAll(async () => {
    const path = at('a.parquet');
    await writeTestCorpus(path, { nRows: 200, rowGroupRows: 50, seed: 9 });
    await putObject('corpus', 'in/a.parquet', readFileSync(path));
    for (let file = 0; file < N_FILES; file++) {
      const rows = Array.from({ length: 6 }, (_, row) =>
        JSON.stringify({ id: `${file}-${row}`, text: `Home | About\nPage ${file} of bees.\n` }),
      );
      await putObject('corpus', `in/${file}.jsonl`, `${rows.join('\n')}\n`);
    }
    await refineCorpus(optionsFor(at('whole')));
  });

  it('has the same output as a folder, byte for byte, and finds nothing to do again', async () => {
    const summary = await refineCorpus(optionsFor('s3://corpus/one'));
    expect(summary).toMatchObject({
      unitsDone: 8,
      errors: [],
      rowsIn: 224,
      out: 's3://corpus/one',
    });
    const found = await download('one');
    expect(outputOf(found)).toEqual(outputOf(at('whole')));
    const identity = readFileSync(join(found, '_gristmill/run.json'), 'utf8');
    expect(JSON.parse(identity)).toEqual(
      JSON.parse(readFileSync(at('whole/_gristmill/run.json'), 'utf8')),
    );
    const again = await refineCorpus(optionsFor('s3://corpus/one/'));
    expect(again).toMatchObject({ unitsResumed: 8, unitsDone: 8 });
    await expect(
      refineCorpus({ ...optionsFor('s3://corpus/one'), documentThreshold: 0.4 }),
    ).rejects.toMatchObject({ code: 'RUN_CHANGED' });
    await expect(refineCorpus(optionsFor('s3://corpus/in'))).rejects.toMatchObject({
      code: 'CORPUS_NO_FILES',
    });
    await putObject('corpus', 'foreign/x.txt', 'x');
    await expect(refineCorpus(optionsFor('s3://corpus/foreign'))).rejects.toMatchObject({
      code: 'RUN_OUTPUT_FOREIGN',
    });
  });

  it('three workers do together what one does, through faults, and finish adds up', async () => {
    server.fault = (_, count) => {
      if (count % 17 === 5) return { kind: 'status', status: 503, code: 'SlowDown' };
      if (count % 29 === 7) return { kind: 'reset' };
      return count % 31 === 3 ? { kind: 'lost answer' } : null;
    };
    const all = [0, 1, 2].map((index) =>
      refineCorpus({ ...optionsFor('s3://corpus/three'), worker: { index, count: 3 } }),
    );
    const summaries = await Promise.all(all);
    expect(summaries.flatMap(({ errors }) => errors)).toEqual([]);
    const finished = await finishRun('s3://corpus/three');
    expect(finished).toMatchObject({
      units: 8,
      unitsDone: 8,
      missing: [],
      orphans: 0,
      rowsIn: 224,
    });
    server.fault = () => null;
    const found = await download('three');
    expect(outputOf(found)).toEqual(outputOf(at('whole')));
  });

  it('goes on after a worker was killed, as commands', async () => {
    const flags = [
      ...['refine', 's3://corpus/in', '--out', 's3://corpus/killed', '--unit-rows', '50'],
      ...['--document-model', 'random:tiny', '--doc-threshold', '0.3', '--slots', '4'],
      ...['--threads', '1', '--workers', '1', '--json'],
    ];
    // Its first records are written, then it stands: the third one's answer never comes in time.
    let nRecords = 0;
    let child: ReturnType<typeof start> | null = null;
    const killed = new Promise<void>((resolve) => {
      server.fault = ({ method, url }) => {
        if (method === 'PUT' && url.includes('/killed/_gristmill/units/') && ++nRecords === 3) {
          child?.process.kill('SIGKILL');
          resolve();
          return { kind: 'slow', ms: 500 };
        }
        return null;
      };
    });
    child = start([...flags, '--in-process']);
    await killed;
    expect((await child.finished).signal).toBe('SIGKILL');
    server.fault = () => null;
    const done = await run(flags);
    expect([done.code, done.stderr]).toEqual([0, expect.any(String)]);
    const summary = JSON.parse(done.stdout.toString()) as { unitsResumed: number };
    expect(summary).toMatchObject({ unitsDone: 8, errors: [] });
    expect(summary.unitsResumed).toBeGreaterThanOrEqual(2);
    const found = await download('killed');
    expect(outputOf(found)).toEqual(outputOf(at('whole')));
    const finished = await run(['cluster', 'finish', 's3://corpus/killed', '--json']);
    expect(JSON.parse(finished.stdout.toString())).toMatchObject({ unitsDone: 8, orphans: 0 });
    for (const text of [done.stdout, done.stderr, finished.stdout, finished.stderr]) {
      expect(text.toString()).not.toContain(process.env['AWS_SECRET_ACCESS_KEY']);
    }
  });
});
