/** Documents that carry their scores, an endpoint that reads them, and what came out. */
import { join } from 'node:path';
import { SlabPool } from '../../src/batch/slab-pool.ts';
import { planCorpus } from '../../src/corpus/plan.ts';
import { openUnit } from '../../src/corpus/unit.ts';
import { type Behaviour, completion, reply } from '../support/expert-server.ts';

/** Answers the package's prompts: a text with `E3 F4` in it has these scores; no digits, no score line. */
export const scoring: Behaviour = ({ user }, response) => {
  reply(response, completion(scoredAnswer(user)));
};

/** The answer to a scoring prompt. */
export function scoredAnswer(user: string): string {
  const educational = user.includes('Educational score: N');
  const found = (educational ? /E(-?\d)/ : /F(-?\d)/).exec(user.split('--------\n')[1] ?? '');
  const label = educational ? 'Educational score' : 'Extraction quality score';
  const why = `Because of its ${educational ? 'content' : 'form'}.`;
  return found ? `${why}\n\n${label}: ${found[1]}` : why;
}

/** Rows of an output file as plain objects. */
export async function readRows(out: string, name: string): Promise<Record<string, unknown>[]> {
  const plan = await planCorpus({ inputs: [join(out, name)], idColumn: null, failFast: true });
  const pool = new SlabPool({ slabBytes: 32 * 2 ** 20, nSlabs: 2 });
  const rows: Record<string, unknown>[] = [];
  for (const unit of plan.units) {
    for await (const { batch, carry } of openUnit(plan, unit, pool)) {
      const columns = await carry.select(null).plain();
      const decoder = new TextDecoder();
      for (let row = 0; row < batch.nDocs; row++) {
        const { data, offsets } = batch.text;
        const text = decoder.decode(data.subarray(offsets[row], offsets[row + 1]));
        const values = carry.columns.map(({ name }, at) => [name, columns[at]![row] ?? null]);
        rows.push({ text, ...Object.fromEntries(values) });
      }
      batch.release();
      carry.release();
    }
  }
  return rows;
}
