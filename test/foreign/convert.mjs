/**
 * A process of check.mjs that copies files through the library, without models: a plan, the unit's batches, a sink
 * for each output. Takes `{ id, source, format, text, folder }` over IPC and answers `{ id, text, outputs }`.
 */
import { randomUUID } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { SlabPool } from '../../dist/batch/slab-pool.js';
import { readFooter } from '../../dist/corpus/parquet-file.js';
import { readCarried } from '../../dist/corpus/parquet-read.js';
import { planCorpus } from '../../dist/corpus/plan.js';
import { columnsOf, isTextColumn } from '../../dist/corpus/schema.js';
import { openSink } from '../../dist/corpus/sink.js';
import { openUnit } from '../../dist/corpus/unit.js';

const SINKS = { parquet: 'parquet', jsonl: 'jsonl.zst', arrow: 'arrow' };
const pool = new SlabPool({ slabBytes: 32 * 2 ** 20, nSlabs: 3 });

process.on('message', async (request) => {
  process.send({ id: request.id, ...(await convert(request)) });
});
// A rejection that nobody awaits is what this check looks for: the parent sees the death.
process.on('disconnect', () => process.exit(0));

async function convert({ source, format, text, folder }) {
  let plan;
  try {
    plan = await planOf(source, format, text);
  } catch (error) {
    const failure = failureOf(error);
    return { text: null, outputs: { parquet: failure, jsonl: failure, arrow: failure } };
  }
  const outputs = {};
  for (const [name, sinkFormat] of Object.entries(SINKS)) {
    const path = join(folder, `out.${sinkFormat}`);
    try {
      outputs[name] = { path, ...(await copy(plan, sinkFormat, path)) };
    } catch (error) {
      outputs[name] = failureOf(error);
    }
  }
  return { text: plan.textColumn, outputs };
}

async function planOf(source, format, text) {
  if (format !== 'parquet') {
    return planCorpus({ inputs: [source], textColumn: text ?? 'text', idColumn: null });
  }
  const footer = await readFooter(source);
  // Bytes that say nothing of themselves, JSON and enums would become text in the output.
  const column = columnsOf(footer.schema).find(
    (candidate) => isTextColumn(candidate) && isPlainText(candidate.elements[0]),
  );
  if (column) return planCorpus({ inputs: [source], textColumn: column.name, idColumn: null });
  // Without a text the columns are read all the same; planning names what is wrong with the file first.
  try {
    await planCorpus({ inputs: [source], textColumn: 'text', idColumn: null });
  } catch (error) {
    if (error.code !== 'CORPUS_COLUMN_MISSING' && error.code !== 'CORPUS_COLUMN_TYPE') throw error;
  }
  const file = {
    path: source,
    format,
    bytes: (await stat(source)).size,
    rows: Number(footer.num_rows),
    // Copies of one name follow one another: no footer may be taken for the one before.
    fingerprint: randomUUID(),
  };
  const unit = {
    id: '0',
    index: 0,
    fileIndex: 0,
    rowGroupStart: 0,
    rowGroupEnd: footer.row_groups.length,
    byteStart: null,
    byteEnd: null,
    nRows: file.rows,
    bytes: file.bytes,
  };
  const columns = columnsOf(footer.schema);
  return { files: [file], units: [unit], columns, textColumn: null, idColumn: null };
}

function isPlainText({ converted_type: converted, logical_type: logical }) {
  return converted === 'UTF8' || logical?.type === 'STRING';
}

async function copy(plan, format, path) {
  const { columns, textColumn } = plan;
  const sink = await openSink({ format, path, columns, textColumn, zstdLevel: 1 });
  let rejected = 0;
  try {
    for (const unit of plan.units) {
      if (textColumn === null) {
        for await (const carry of readCarried(plan, unit, 2048)) {
          const text = new Array(carry.nRows).fill(null);
          await sink.write({ text, rows: null, carry, extra: {} });
          carry.release();
        }
        continue;
      }
      for await (const { batch, carry, rowStatus, rejected: bad } of openUnit(plan, unit, pool)) {
        // Texts that are no UTF-8 fail in a run.
        rejected += rowStatus.filter((status) => status === 2).length;
        await sink.write({ text: batch.text, rows: null, carry, extra: {} });
        rejected += bad?.length ?? 0;
        carry.release();
        batch.release();
      }
    }
    await sink.close();
  } catch (error) {
    await sink.abort().catch(() => undefined);
    throw error;
  }
  return { rejected };
}

function failureOf(error) {
  return {
    code:
      typeof error?.code === 'string' && /^[A-Z]+(_[A-Z]+)*$/.test(error.code)
        ? error.code
        : 'UNCODED',
    reason: String(error?.message ?? error).split('\n')[0],
    details: error?.details,
  };
}
