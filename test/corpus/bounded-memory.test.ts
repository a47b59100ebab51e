import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { distFile } from '../../src/paths.ts';

const BIG = process.env['GRISTMILL_BIG_TESTS'] === '1';
const MEGABYTES = BIG ? 2000 : 300;
/** Node itself takes about 90 MB, the slabs 48, the open row group and its pages the rest. */
const MAX_RSS_MB = 280;

const child = join(import.meta.dirname, 'memory-child.mjs');
const run = (...args: string[]) =>
  JSON.parse(execFileSync(process.execPath, [child, ...args], { encoding: 'utf8' }));

describe('bounded memory', () => {
  it(`copies ${MEGABYTES} MB in one row group through three small slabs`, () => {
    // The child runs the compiled library, as users do; `npm test` builds it first.
    if (!existsSync(distFile('corpus/unit.js')))
      throw new Error('dist/ is missing: run npm run build');
    const folder = mkdtempSync(join(tmpdir(), 'gristmill-memory-'));
    try {
      const [input, output] = [join(folder, 'in.parquet'), join(folder, 'out.parquet')];
      const made = run('generate', input, String(MEGABYTES));
      const copied = run('copy', input, output);
      console.info(`copied ${made.bytes / 1e6} MB: max RSS ${Math.round(copied.maxRssMb)} MB`);
      expect(copied).toMatchObject({ rows: made.rows, bytes: made.bytes, units: 1 });
      expect(copied.slabs).toBeLessThanOrEqual(3);
      expect(copied.maxRssMb).toBeLessThan(MAX_RSS_MB);
    } finally {
      rmSync(folder, { recursive: true });
    }
  }, 300_000);
});
