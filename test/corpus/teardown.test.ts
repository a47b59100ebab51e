import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { SlabPool } from '../../src/batch/slab-pool.ts';
import { planCorpus } from '../../src/corpus/plan.ts';
import { openSink } from '../../src/corpus/sink.ts';
import { openUnit } from '../../src/corpus/unit.ts';
import { distFile, packageRoot } from '../../src/paths.ts';

async function corpus(folder: string): Promise<string> {
  const path = join(folder, 'x.parquet');
  const sink = await openSink({
    format: 'parquet',
    path,
    columns: [],
    textColumn: 'text',
    rowGroupRows: 1000,
  });
  const text = Array.from({ length: 5000 }, (_, n) => Buffer.from(`document ${n} `.repeat(200)));
  await sink.write({ text, rows: null, carry: null, extra: {} });
  await sink.close();
  return path;
}

describe('teardown', () => {
  // A thread that ended inside a native call made node-addon-api throw where nobody catches, and the process aborted: with
  // these small batches on every fifteenth end or so, hence sixty of them.
  it('a worker thread may end while reads and writes are under way', async () => {
    if (!existsSync(distFile('corpus/unit.js')))
      throw new Error('dist/ is missing: run npm run build');
    const folder = await mkdtemp(join(tmpdir(), 'gristmill-teardown-'));
    // Of many columns, so that calls are many and short.
    const path = join(packageRoot, 'examples', 'corpus.parquet');
    const code = `
      const { parentPort, workerData } = require('node:worker_threads');
      (async () => {
        const at = (name) => import(workerData.dist + name);
        const [{ SlabPool }, { planCorpus }, { openUnit }, { openSink }] =
          await Promise.all([at('batch/slab-pool.js'), at('corpus/plan.js'), at('corpus/unit.js'), at('corpus/sink.js')]);
        const plan = await planCorpus({ inputs: [workerData.path] });
        const pool = new SlabPool();
        const sink = await openSink({ format: 'parquet', path: workerData.folder + '/' + (workerData.n % 4), columns: plan.columns, textColumn: 'text', zstdLevel: 1 });
        parentPort.postMessage('running');
        for (;;) {
          for (const unit of plan.units) {
            for await (const { batch, carry } of openUnit(plan, unit, pool, { batchRows: 20 })) {
              await sink.write({ text: batch.text, rows: null, carry, extra: {} });
              batch.release();
              carry.release();
            }
          }
        }
      })();`;
    for (let n = 0; n < 60; n++) {
      const workerData = { dist: distFile('/'), path, folder, n };
      const worker = new Worker(code, { eval: true, workerData });
      await new Promise((resolve, reject) => {
        worker.once('message', resolve);
        worker.once('error', reject);
      });
      await new Promise((resolve) => setTimeout(resolve, (n * 7) % 41));
      await worker.terminate();
    }
    await rm(folder, { recursive: true });
  });

  it('stopping a read early, by break or by signal, gives everything back', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'gristmill-stop-'));
    const plan = await planCorpus({ inputs: [await corpus(folder)] });
    const pool = new SlabPool({ slabBytes: 1 << 20, nSlabs: 2 });
    for (let n = 0; n < 20; n++) {
      for await (const { batch, carry } of openUnit(plan, plan.units[0]!, pool, {
        batchRows: 50,
      })) {
        batch.release();
        carry.release();
        break;
      }
    }
    const control = new AbortController();
    const read = async (): Promise<void> => {
      for await (const { batch, carry } of openUnit(plan, plan.units[0]!, pool, {
        batchRows: 50,
        signal: control.signal,
      })) {
        batch.release();
        carry.release();
        control.abort();
      }
    };
    await expect(read()).rejects.toMatchObject({ code: 'ABORTED' });
    expect(pool.slabsInUse).toBeLessThanOrEqual(1);
    await rm(folder, { recursive: true });
  });
});
