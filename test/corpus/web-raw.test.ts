import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { SlabPool } from '../../src/batch/slab-pool.ts';
import { planCorpus } from '../../src/corpus/plan.ts';
import { openSink, STATUS_COLUMNS } from '../../src/corpus/sink.ts';
import { openUnit } from '../../src/corpus/unit.ts';
import { packageRoot } from '../../src/paths.ts';
import { differences, openDuck } from './duck.ts';

const shared = process.env['GRISTMILL_SHARED'] ?? join(packageRoot, '..', 'shared');
const input = join(shared, 'data', 'web-raw', 'web-raw-dev.parquet');
const present = existsSync(input);
if (!present) console.warn(`skipped: ${input} is missing`);

describe.runIf(present)('real web text', () => {
  it('comes out as it went in, next to the status columns', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'gristmill-web-'));
    const output = join(folder, 'out.parquet');
    const plan = await planCorpus({ inputs: [input] });
    const pool = new SlabPool();
    const { columns, textColumn } = plan;
    const sink = await openSink({
      format: 'parquet',
      path: output,
      columns,
      textColumn,
      extra: STATUS_COLUMNS,
    });
    for (const unit of plan.units) {
      for await (const { batch, carry } of openUnit(plan, unit, pool)) {
        await sink.write({ text: batch.text, rows: null, carry, extra: {} });
        carry.release();
        batch.release();
      }
    }
    expect((await sink.close()).rows).toBe(plan.files[0]!.rows);
    const duck = await openDuck();
    const ours = `(SELECT * EXCLUDE (gristmill_status, gristmill_reason, gristmill_program, gristmill_doc_score) FROM '${output}')`;
    expect(await differences(duck, `'${input}'`, ours)).toBe(0);
    duck.closeSync();
    await rm(folder, { recursive: true });
  });
});
