/**
 * What a run of many units holds in memory; docs/limits.md says what a million come to. What
 * the bug was: every record stayed in memory, a kilobyte and more a unit, besides the name that each had in the plan.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { distFile } from '../../src/paths.ts';
import { finishRun } from '../../src/refine/finish-run.ts';
import { committedUnits } from '../../src/refine/ledger.ts';
import { outputFolder, unitName } from '../../src/work/output-folder.ts';

const root = mkdtempSync(join(tmpdir(), 'gristmill-many-units-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** An entry of a plan; a bit of a ledger, and what measuring is wrong by (a record would be a thousand and more). */
const PLAN_BYTES = 200;
const LEDGER_BYTES = 150;

describe('a run of many units', () => {
  it('holds an entry of the plan for each, and a bit of its ledger', async () => {
    const child = fileURLToPath(new URL('many-units-child.mjs', import.meta.url));
    const dist = dirname(distFile('index.js'));
    const text = execFileSync(process.execPath, ['--expose-gc', child, dist, root], {
      encoding: 'utf8',
    });
    const said = JSON.parse(text);
    const { out, nUnits } = said;
    expect(said.planned).toBeGreaterThan(50);
    expect(said.planned).toBeLessThan(PLAN_BYTES);
    expect(said.committed).toBeLessThan(LEDGER_BYTES);
    expect(said).toMatchObject({ size: nUnits - 1, units: nUnits - 1, rowsIn: nUnits - 1 });

    expect((await committedUnits(outputFolder(out), nUnits)).size).toBe(nUnits - 1);
    // The last one's file is nobody's.
    writeFileSync(join(out, `part-${unitName(nUnits - 1)}.jsonl.zst`), '');
    const end = await finishRun(out);
    expect(end).toMatchObject({ unitsDone: nUnits - 1, kept: nUnits - 1, orphans: 1 });
    expect(end.missing).toEqual([nUnits - 1]);

    const stray = join(out, '_gristmill/units/99999999999999.json');
    writeFileSync(stray, '{}');
    await expect(finishRun(out)).rejects.toMatchObject({
      code: 'RUN_LEDGER_INVALID',
      details: { file: stray },
    });
  }, 300_000);
});
