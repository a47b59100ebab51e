/** The declarations, as projects of others compile against them: ES modules and CommonJS, every library checked. */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packageRoot } from '../../src/paths.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-types-'));
const tsc = join(
  dirname(createRequire(import.meta.url).resolve('typescript/package.json')),
  'bin/tsc',
);

const COMMON_JS = `
import gristmill = require('gristmill');
import { openRefiner, type Refiner, type RefinedDocument, GristmillError } from 'gristmill';
import mix = require('gristmill/mix');
import { type LrSchedule, learningRateAt } from 'gristmill/continue';
const proposal: typeof mix.optimizeMixture = mix.optimizeMixture;
const rate: (step: number, schedule: LrSchedule) => number = learningRateAt;
console.log(proposal, rate);
async function main(): Promise<void> {
  const refiner: Refiner = await openRefiner({ retention: 0.95 });
  const [document]: RefinedDocument[] = await refiner.refine(['x', null]);
  console.log(document?.status, gristmill.execute('a\\nb', 'remove_lines(start=0, end=0)').text);
  try {
    await gristmill.refineCorpus({ inputs: 'in.jsonl', out: 'out' });
  } catch (error) {
    if (error instanceof GristmillError && error.code === 'ABORTED') console.log(error.cause);
  }
  // @ts-expect-error no such option
  await openRefiner({ retension: 0.95 });
  await refiner.dispose();
}
void main();
`;
const ES_MODULE = `
import { execute, openRefiner, type Refiner } from 'gristmill';
import { type Expert, openExpert } from 'gristmill/annotate';
import { inspectModel, type ModelDescription } from 'gristmill/models';
import { Trainer } from 'gristmill/train';
const open: (options: Parameters<typeof openExpert>[0]) => Promise<Expert> = openExpert;
const look: (path: string) => Promise<ModelDescription> = inspectModel;
console.log(open, look, Trainer);
const refiner: Refiner = await openRefiner();
const rows = [{ id: 1, body: 'x' }];
for await (const { row, text, status } of refiner.refineRows(rows, { text: ({ body }) => body })) {
  const id: number = row.id;
  console.log(id, text.length, status === 'kept');
}
// @ts-expect-error no such property
refiner.refineRows(rows, { text: 'bodi' });
console.log(execute('a', 'keep_doc()').text satisfies string);
`;

beforeAll(() => {
  mkdirSync(join(folder, 'node_modules/@types'), { recursive: true });
  symlinkSync(packageRoot, join(folder, 'node_modules/gristmill'));
  symlinkSync(
    join(packageRoot, 'node_modules/@types/node'),
    join(folder, 'node_modules/@types/node'),
  );
  writeFileSync(join(folder, 'package.json'), '{"name":"consumer"}');
  writeFileSync(join(folder, 'common.cts'), COMMON_JS);
  writeFileSync(join(folder, 'plain.ts'), COMMON_JS);
  writeFileSync(join(folder, 'module.mts'), ES_MODULE);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('the declarations', () => {
  // From CommonJS they were those of an ES module: error TS1479 with module node16 and node18.
  it.each(['node16', 'nodenext'])('compile with module %s, skipLibCheck off', async (module) => {
    const flags = ['--noEmit', '--strict', '--target', 'es2022', '--types', 'node'];
    const files = ['common.cts', 'plain.ts', 'module.mts'];
    const run = promisify(execFile)(
      process.execPath,
      [tsc, ...flags, '--skipLibCheck', 'false', '--module', module, ...files],
      { cwd: folder },
    ).catch((error: { stdout: string }) => error);
    expect((await run).stdout).toBe('');
  });
});
