/**
 * `npm run check:see -- [--rows N] [--seed N] [--json]`: everything that looks at a finished run, on the output of the quick start and
 * on a run of N rows (100,000; 0 for the quick start alone), which are made from a seed. Each step is the command itself, and what
 * it says is held against the ledger; the table tells what each took. Needs nothing but the built package.
 *
 * Ends with 1 at the first thing that is not as it should be.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { writeCorpus } from './corpus.mjs';
import { inspectRun } from './inspect.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const command = join(root, 'dist/cli/main.js');
const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '100000' },
    seed: { type: 'string', default: '1' },
    json: { type: 'boolean', default: false },
  },
});
const nRows = Number(values.rows);
const MAX_PAGE_BYTES = 3 * 2 ** 20;
const work = mkdtempSync(join(tmpdir(), 'gristmill-see-'));
const results = [];

/** @throws Error that says what is wrong */
function hold(isRight, what) {
  if (!isRight) throw new Error(what);
}

try {
  await checkAll('quick start', ['examples/corpus.parquet']);
  if (nRows > 0) {
    const folder = join(work, 'corpus');
    mkdirSync(folder);
    const { openSink } = await import(join(root, 'dist/corpus/sink.js'));
    const { seededRandom } = await import(join(root, 'dist/seeded.js'));
    const bytes = await writeCorpus(openSink, folder, nRows, seededRandom(Number(values.seed)));
    say(`${nRows.toLocaleString('en')} rows, ${Math.round(bytes / 1e6)} MB of text`);
    await checkAll(`${nRows.toLocaleString('en')} rows`, [folder]);
  }
  if (values.json) process.stdout.write(`${JSON.stringify(results)}\n`);
  else console.table(results);
} catch (error) {
  process.stderr.write(`check:see: ${error.message}\n`);
  process.exitCode = 1;
} finally {
  rmSync(work, { recursive: true, force: true });
}

async function checkAll(run, inputs) {
  const folder = mkdtempSync(join(work, 'run-'));
  const at = (name) => join(folder, name);
  const step = async (name, args, check) => {
    const { stdout, ...cost } = await gristmill(args, name);
    const found = await check(stdout);
    results.push({ run, step: name, ...cost, found });
    say(`${run}: ${name}: ${found}`);
  };
  const json = (check) => (stdout) => check(JSON.parse(stdout));
  const refine = ['refine', ...inputs, '--id-column', 'id', '--json'];
  const out = at('refined');
  let counts;
  await step(
    'refine',
    [...refine, '--out', out, '--keep-scores'],
    json((summary) => {
      counts = summary;
      const { rowsIn, kept, edited, dropped, failed } = summary;
      hold(rowsIn === kept + edited + dropped + failed, 'refine: rows are not conserved');
      hold(edited > 0 && dropped > 0, 'refine: nothing was removed');
      return `${rowsIn} rows: ${kept} kept, ${edited} edited, ${dropped} dropped`;
    }),
  );
  await step(
    'estimate',
    [...refine, '--out', at('estimated'), '--estimate'],
    json(({ kept: { rows } }) => {
      hold(rows.low <= rows.estimate && rows.estimate <= rows.high, 'estimate: no interval');
      const share = 1 - counts.dropped / counts.rowsIn;
      return `${percent(rows.low)} to ${percent(rows.high)} of documents stay; ${percent(share)} do`;
    }),
  );
  const stricter = [...refine, '--retention', '0.95'];
  await step(
    'reuse',
    [...refine, '--out', at('reused'), '--reuse', out, '--retention', '0.95'],
    json(({ edited }) => `${edited} edited`),
  );
  await step(
    'refine again',
    [...stricter, '--out', at('stricter')],
    json(({ edited }) => {
      const [one, other] = [filesOf(at('reused')), filesOf(at('stricter'))];
      hold(one.length > 0 && one.join() === other.join(), 'reuse: other bytes than refining');
      return `${edited} edited, the same ${one.length} files`;
    }),
  );
  await step(
    'compare',
    ['compare', out, at('stricter'), '--html', at('compare.html'), '--json'],
    json(({ documents, differing, missingInFirst }) => {
      hold(documents === counts.rowsIn && missingInFirst === 0, 'compare: other rows');
      hold(differing > 0 && differing < documents, 'compare: not some of the documents differ');
      hold(readFileSync(at('compare.html'), 'utf8').includes('</html>'), 'compare: no page');
      return `${differing} of ${documents} differ`;
    }),
  );
  await step(
    'compare, equal',
    ['compare', at('reused'), at('stricter'), '--fail-above', '0', '--json'],
    json(({ differing }) => `${differing} differ`),
  );
  await step(
    'report',
    ['report', out, '--out', at('report.html'), '--json'],
    json((data) => {
      const page = readFileSync(at('report.html'));
      hold(page.byteLength <= MAX_PAGE_BYTES, `report: ${page.byteLength} bytes`);
      hold(!/<script/i.test(page.toString()), 'report: it has a script');
      for (const name of ['rowsIn', 'kept', 'edited', 'dropped', 'failed']) {
        hold(data.counts[name] === counts[name], `report: ${name}`);
      }
      return `${Math.round(page.byteLength / 1e3)} kB, ${data.sample.rows} rows read`;
    }),
  );
  await step(
    'dossier',
    ['report', out, '--dossier', '--form', 'art53', '--out', at('dossier.md'), '--json'],
    json(({ corpus: { documents } }) => {
      hold(documents === counts.kept + counts.edited, 'dossier: documents');
      hold(
        /[0-9a-f]{64}/.test(readFileSync(at('dossier.md'), 'utf8')),
        'dossier: no hash of a model',
      );
      return `${documents} documents`;
    }),
  );
  await step(
    'show',
    ['show', out, '--where', 'status=edited', '--sample', '20', '--sort', 'share', '--json'],
    json(({ documents }) => {
      hold(documents.length === Math.min(20, counts.edited), 'show: other documents');
      hold(
        documents.every(({ before, after }) => before.length > after.length),
        'show: nothing was removed',
      );
      return `${documents.length} documents`;
    }),
  );
  await step('show, coloured', ['show', out, '--sample', '3', '--color', 'always'], (text) => {
    hold(text.includes('\u001b['), 'show: no colour');
    return `${text.split('\n').length} lines`;
  });
  for (const start of ['inspect', 'inspect again']) {
    const { found, ...cost } = await inspectRun(command, out, counts, hold);
    results.push({ run, step: start, ...cost, found });
    say(`${run}: ${start}: ${found}`);
  }
}

/** Runs a command; its CPU time is that of the whole tree, as the shell tells it. */
function gristmill(args, name) {
  const script = 'TIMEFORMAT="cost %R %U %S"; time "$@"';
  const child = spawn('bash', ['-c', script, 'bash', process.execPath, command, ...args], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const said = { stdout: [], stderr: [] };
  for (const stream of ['stdout', 'stderr']) {
    child[stream].on('data', (data) => said[stream].push(data));
  }
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      const stderr = Buffer.concat(said.stderr).toString();
      const [, wall, user, sys] = /cost ([\d.]+) ([\d.]+) ([\d.]+)\s*$/.exec(stderr) ?? [];
      if (code !== 0) return reject(new Error(`${name} ended with ${code}: ${stderr.trim()}`));
      const stdout = Buffer.concat(said.stdout).toString();
      resolve({
        stdout,
        'wall s': Number(wall),
        'CPU s': Number((Number(user) + Number(sys)).toFixed(2)),
      });
    });
  });
}

/** Hashes of a run's data files. */
function filesOf(out) {
  return ['', 'dropped'].flatMap((folder) =>
    readdirSync(join(out, folder), { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ name }) => join(folder, name))
      .sort()
      .map((file) => {
        const hash = createHash('sha256').update(readFileSync(join(out, file)));
        return `${file} ${hash.digest('hex')}`;
      }),
  );
}

function percent(share) {
  return `${(share * 100).toFixed(1)} %`;
}

function say(line) {
  if (!values.json) process.stderr.write(`${line}\n`);
}
