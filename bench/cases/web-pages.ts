/** Pages of the web for cases that refine: $GRISTMILL_DATA/web-raw, else the example corpus, repeated. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { planTexts, readStrings } from '../../src/corpus/texts.ts';
import { packageRoot } from '../../src/paths.ts';
import type { BenchContext } from '../types.ts';

/** A page a row, as many as make `nBytes`. */
export async function pages(nBytes: number, context: BenchContext): Promise<string[]> {
  const data = process.env['GRISTMILL_DATA'] ?? join(packageRoot, '..', 'shared', 'data');
  const raw = join(data, 'web-raw', 'web-raw-dev.parquet');
  const file = existsSync(raw) ? raw : join(packageRoot, 'examples', 'corpus.parquet');
  if (file !== raw) context.log(`no web text at ${raw}: the example corpus, repeated`);
  const texts: string[] = [];
  for await (const text of readStrings(await planTexts({ inputs: [file] }))) texts.push(text);
  const chosen: string[] = [];
  let bytes = 0;
  for (let page = 0; bytes < nBytes; page++) {
    // Evenly over the file, so that a smaller corpus has the same kinds of pages.
    const text = texts[(page * 7919) % texts.length]!;
    chosen.push(text);
    bytes += Buffer.byteLength(text);
  }
  return chosen;
}
