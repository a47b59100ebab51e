// Child of bounded-memory.test.ts: `generate PATH MEGABYTES` or `copy PATH OUT`. Prints one JSON line.
import { SlabPool } from '../../dist/batch/slab-pool.js';
import { planCorpus } from '../../dist/corpus/plan.js';
import { stringColumn } from '../../dist/corpus/schema.js';
import { openSink } from '../../dist/corpus/sink.js';
import { openUnit } from '../../dist/corpus/unit.js';

const [mode, path, argument] = process.argv.slice(2);

if (mode === 'generate') {
  // One row group, so that a reader that takes it whole shows in its memory.
  const sink = await openSink({
    format: 'parquet',
    path,
    columns: [],
    textColumn: 'text',
    extra: [{ name: 'url', type: 'string' }],
    zstdLevel: 1,
    rowGroupRows: 2 ** 31 - 1,
    rowGroupBytes: Number.MAX_SAFE_INTEGER,
  });
  let seed = 1;
  const words = Array.from({ length: 5000 }, (_, n) => `w${((n * 2654435761) >>> 0).toString(36)}`);
  const document = () => {
    const parts = [];
    for (let at = 0; at < 400; at++) {
      seed = (seed * 1103515245 + 12345) % 2147483648;
      parts.push(words[seed % words.length]);
    }
    return Buffer.from(parts.join(' '));
  };
  const pool = Array.from({ length: 512 }, document);
  let bytes = 0;
  let row = 0;
  while (bytes < Number(argument) * 1e6) {
    const text = Array.from({ length: 1024 }, (_, at) => pool[(row * 7 + at * at) % pool.length]);
    const url = text.map((_, at) => `https://example.org/${row + at}`);
    await sink.write({ text, rows: null, carry: null, extra: { url } });
    bytes += text.reduce((sum, t) => sum + t.byteLength, 0);
    row += text.length;
  }
  await sink.close();
  process.stdout.write(JSON.stringify({ rows: row, bytes }));
} else {
  const plan = await planCorpus({ inputs: [path] });
  const pool = new SlabPool({ slabBytes: 16 * 2 ** 20, nSlabs: 3 });
  const sink = await openSink({
    format: 'parquet',
    path: argument,
    columns: plan.columns.length > 0 ? plan.columns : [stringColumn('text')],
    textColumn: 'text',
    zstdLevel: 1,
  });
  let rows = 0;
  let bytes = 0;
  for (const unit of plan.units) {
    for await (const { batch, carry } of openUnit(plan, unit, pool)) {
      await sink.write({ text: batch.text, rows: null, carry, extra: {} });
      rows += batch.nDocs;
      bytes += batch.text.data.byteLength;
      carry.release();
      batch.release();
    }
  }
  await sink.close();
  process.stdout.write(
    JSON.stringify({
      rows,
      bytes,
      units: plan.units.length,
      slabs: pool.highWater,
      maxRssMb: process.resourceUsage().maxRSS / 1024,
    }),
  );
}
