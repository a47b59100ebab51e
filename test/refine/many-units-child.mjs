/**
 * Prints what a unit takes in memory: of a plan, and of a ledger in which all but the last are committed.
 * A process of its own, as nothing else may hold or free memory meanwhile: node --expose-gc many-units-child.mjs DIST FOLDER
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [dist, root] = process.argv.slice(2);
const load = (name) => import(pathToFileURL(join(dist, name)).href);
const { planCorpus } = await load('corpus/plan.js');
const { CommittedTotals } = await load('refine/committed-totals.js');
const { inputName } = await load('corpus/unit-files.js');
const { openLedger } = await load('refine/ledger.js');
const { ZERO_COUNTS } = await load('refine/statistics.js');
const { unitName } = await load('work/output-folder.js');

const PLANNED = 20_000;
/** Fewer, as each is files. */
const COMMITTED = 1_500;
const TURNS = 3;
const LINE = `${JSON.stringify({ text: 'a' })}\n`;

const planOf = async (nUnits) => {
  const file = join(root, `${nUnits}.jsonl`);
  writeFileSync(file, LINE.repeat(nUnits));
  return planCorpus({ inputs: [file], unitBytes: LINE.length });
};

const identityOf = ({ units }) => ({
  format: 1,
  versions: { gristmill: '1', llamaCpp: '2' },
  options: {},
  thresholds: { document: null, documentRetention: null, line: null },
  models: { document: null, chunk: null },
  inputs: [],
  units: units.length,
});

const writeOutput = (plan) => {
  const out = join(root, `out-${plan.units.length}`);
  mkdirSync(join(out, '_gristmill/units'), { recursive: true });
  writeFileSync(join(out, '_gristmill/run.json'), JSON.stringify(identityOf(plan)));
  for (const unit of plan.units.slice(0, -1)) {
    const name = unitName(unit.index);
    const path = `part-${name}.jsonl.zst`;
    writeFileSync(join(out, path), '');
    const record = {
      ...{ unit: unit.index, attempt: 'run-00000000', input: inputName(plan, unit) },
      counts: { ...ZERO_COUNTS, rowsIn: 1, kept: 1, charsIn: 1, charsOut: 1 },
      files: [{ path, rows: 1, bytes: 0, sha256: 'e3b0c44298fc1c149afbf4c8996fb924' }],
      ...{ seconds: 0.25, endedAt: 1.8e12 },
    };
    writeFileSync(join(out, '_gristmill/units', `${name}.json`), JSON.stringify(record));
  }
  return out;
};

const openOutput = async (plan) => {
  const totals = new CommittedTotals(plan);
  const ledger = await openLedger(join(root, `out-${plan.units.length}`), identityOf(plan), {
    plannedOf: (index) => {
      const unit = plan.units[index];
      return unit && { input: inputName(plan, unit), nRows: unit.nRows };
    },
    onRecord: (record) => totals.add(record),
  });
  await ledger.close();
  return { ledger, totals };
};

const heldBytes = async () => {
  for (let turn = 0; turn < 3; turn++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    globalThis.gc();
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
};

/** Everything that is made stays, so that nothing of it is freed in between. */
const kept = [];

/** The least of several times: what is made once, of whatever kind, is there after the first, and code is compiled meanwhile. */
async function bytesPerUnit(nUnits, make) {
  kept.push(await make(nUnits));
  let least = Number.POSITIVE_INFINITY;
  for (let turn = 0; turn < TURNS; turn++) {
    const before = await heldBytes();
    kept.push(await make(nUnits));
    least = Math.min(least, (await heldBytes()) - before);
  }
  return least / nUnits;
}

const planned = await bytesPerUnit(PLANNED, planOf);
const plan = await planOf(COMMITTED);
writeOutput(plan);
const committed = await bytesPerUnit(COMMITTED, () => openOutput(plan));
const { ledger, totals } = kept.at(-1);
const { units, counts } = totals.work;
console.log(
  JSON.stringify({
    ...{ planned, committed, out: ledger.out, nUnits: COMMITTED },
    ...{ size: ledger.committed.size, units, rowsIn: counts.rowsIn },
  }),
);
