/**
 * The bench runner: `npm run bench [-- CASE …] [--quick] [--json]`.
 *
 * Every case runs in a child process of its own, so that memory and threads of one say nothing about the next, and
 * compares its contenders inside that one run: figures are ratios on the same machine at the same time.
 */
import { spawnSync } from 'node:child_process';
import { cpus, loadavg } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { bench as chain } from './cases/chain.ts';
import { bench as cluster } from './cases/cluster.ts';
import { bench as shim } from './cases/cluster-shim.ts';
import { bench as clusterStorage } from './cases/cluster-storage.ts';
import { bench as continual } from './cases/continual.ts';
import { bench as engine } from './cases/engine.ts';
import { bench as engineHost } from './cases/engine-host.ts';
import { bench as estimate } from './cases/estimate.ts';
import { bench as execute } from './cases/execute.ts';
import { bench as inspect } from './cases/inspect.ts';
import { bench as mixture } from './cases/mixture.ts';
import { bench as mixtureGbdt } from './cases/mixture-gbdt.ts';
import { bench as mixtureProxies } from './cases/mixture-proxies.ts';
import { bench as mixtureScale } from './cases/mixture-scale.ts';
import { bench as parquet } from './cases/parquet.ts';
import { bench as refine } from './cases/refine.ts';
import { bench as refiningPays } from './cases/refining-pays.ts';
import { bench as sites } from './cases/sites.ts';
import { bench as train } from './cases/train.ts';
import type { Bench, BenchTable } from './types.ts';

const CASES: readonly Bench[] = [
  estimate,
  execute,
  refine,
  shim,
  parquet,
  sites,
  inspect,
  engineHost,
  engine,
  train,
  mixture,
  mixtureProxies,
  mixtureScale,
  mixtureGbdt,
  cluster,
  clusterStorage,
  continual,
  refiningPays,
  chain,
];
const MARK = '\u0001table:';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    child: { type: 'string' },
  },
});

if (values.child !== undefined) {
  const chosen = CASES.find((bench) => bench.name === values.child)!;
  const tables = await chosen.run({
    quick: values.quick,
    log: (line) => process.stderr.write(`  ${line}\n`),
  });
  for (const table of [tables].flat()) process.stdout.write(`${MARK}${JSON.stringify(table)}\n`);
} else {
  const chosen = positionals.length > 0 ? positionals : CASES.map((bench) => bench.name);
  const unknown = chosen.filter((name) => !CASES.some((bench) => bench.name === name));
  if (unknown.length > 0) {
    process.stderr.write(
      `no case ${unknown.join(', ')}; there are: ${CASES.map((b) => b.name).join(', ')}\n`,
    );
    process.exit(2);
  }
  const machine = { cpu: cpus()[0]?.model ?? '?', cores: cpus().length, node: process.version };
  const results: { case: string; load: number; tables: BenchTable[] }[] = [];
  let failed = false;
  for (const name of chosen) {
    const load = loadavg()[0]!;
    process.stderr.write(`${name} (load ${load.toFixed(1)})\n`);
    const args = ['--child', name, ...(values.quick ? ['--quick'] : [])];
    const { nodeFlags = [] } = CASES.find((bench) => bench.name === name)!;
    const script = fileURLToPath(import.meta.url);
    const child = spawnSync(process.execPath, [...nodeFlags, script, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
      encoding: 'utf8',
      maxBuffer: 2 ** 28,
    });
    if (child.status !== 0) {
      process.stderr.write(`${name} failed (${child.signal ?? child.status})\n`);
      failed = true;
    }
    const tables = child.stdout
      .split('\n')
      .filter((line) => line.startsWith(MARK))
      .map((line) => JSON.parse(line.slice(MARK.length)) as BenchTable);
    results.push({ case: name, load, tables });
    if (!values.json) for (const table of tables) process.stdout.write(`${render(table)}\n`);
  }
  if (values.json) process.stdout.write(`${JSON.stringify({ machine, results }, null, 2)}\n`);
  if (failed) process.exitCode = 1;
}

/** A table as Markdown: what the terminal shows is what docs/numbers.md and LOG.md take. */
function render(table: BenchTable): string {
  const line = (cells: readonly (string | number)[]): string =>
    `| ${cells.map((cell) => (typeof cell === 'number' ? figure(cell) : cell)).join(' | ')} |`;
  return [
    `### ${table.title}`,
    '',
    line(table.columns),
    line(table.columns.map(() => '---')),
    ...table.rows.map(line),
    '',
    ...table.notes.map((note) => `- ${note}`),
    '',
  ].join('\n');
}

/** Three significant digits, thousands separated. */
function figure(value: number): string {
  if (!Number.isFinite(value)) return '–';
  return Math.abs(value) >= 100
    ? Math.round(value).toLocaleString('en')
    : String(Number(value.toPrecision(3)));
}
