/**
 * `npm run check:foreign -- [options] FOLDER|FILE …`: copies every Parquet, JSON-lines and Arrow file that it finds to
 * all three outputs and compares them, column by column, with what pyarrow and DuckDB read. Development only; fetches
 * no data. `PYTHON` names a Python with pyarrow and duckdb; without it a virtual environment is made in the cache.
 *
 *   --jobs N        files at a time (1)
 *   --match TEXT    only paths that hold TEXT
 *   --max-bytes N   larger files are passed over (64 MiB)
 *   --timeout S     seconds a file may take (120)
 *   --json FILE     results as JSON lines
 *   --quiet         only what is not exact, and the totals
 *
 * Ends with 1 where a value is wrong or an end has no code.
 */
import { execFileSync, fork, spawn } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { readdir } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { basename, join, relative } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const PACKAGES = ['pyarrow==26.0.1', 'duckdb==2.0.1'];
const OUTPUTS = ['parquet', 'jsonl', 'arrow'];
const FORMATS = [
  [/\.parquet$/i, 'parquet'],
  [/\.(jsonl|ndjson|json)(\.gz|\.zst)?$/i, 'jsonl'],
  [/\.(arrow|arrows|stream|arrow_file|feather|ipc)$/i, 'arrow'],
];
const here = (name) => fileURLToPath(new URL(name, import.meta.url));

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    jobs: { type: 'string', default: '1' },
    match: { type: 'string' },
    'max-bytes': { type: 'string', default: String(64 * 2 ** 20) },
    timeout: { type: 'string', default: '120' },
    json: { type: 'string' },
    quiet: { type: 'boolean', default: false },
  },
});
const timeoutMs = Number(values.timeout) * 1000;

if (positionals.length === 0) {
  process.stderr.write('check:foreign: give folders or files\n');
  process.exit(2);
}
const python = pythonWithPackages();
const scratch = mkdtempSync(join(tmpdir(), 'gristmill-foreign-'));
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));
const found = [];
for (const root of positionals) for (const path of await filesIn(root)) found.push({ root, path });
const files = found.filter(({ path }) => !values.match || path.includes(values.match));
const results = [];
let next = 0;
await Promise.all(Array.from({ length: Number(values.jobs) }, (_, job) => work(job)));
results.sort((left, right) => (left.file < right.file ? -1 : 1));
report();

/** A Python that has the packages. */
function pythonWithPackages() {
  if (process.env.PYTHON) return process.env.PYTHON;
  const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache');
  const folder = join(cache, 'gristmill', 'check-foreign');
  const executable = join(folder, 'bin', 'python');
  if (!existsSync(join(folder, 'ready'))) {
    mkdirSync(folder, { recursive: true });
    execFileSync('python3', ['-m', 'venv', folder], { stdio: 'inherit' });
    execFileSync(executable, ['-m', 'pip', 'install', '--quiet', ...PACKAGES], {
      stdio: 'inherit',
    });
    writeFileSync(join(folder, 'ready'), '');
  }
  return executable;
}

async function filesIn(root) {
  if (!statSync(root).isDirectory()) return [root];
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const paths = entries.filter((e) => e.isFile()).map((e) => join(e.parentPath ?? e.path, e.name));
  return paths.filter((path) => formatOf(path)).sort();
}

function formatOf(path) {
  return FORMATS.find(([pattern]) => pattern.test(path))?.[1] ?? null;
}

/** Takes files until none is left, with a converter and an oracle of its own. */
async function work(job) {
  const folder = join(scratch, String(job));
  mkdirSync(folder, { recursive: true });
  const converter = helper(() =>
    fork(here('convert.mjs'), { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] }),
  );
  const oracle = helper(() =>
    spawn(python, [here('oracle.py')], { stdio: ['pipe', 'pipe', 'pipe'] }),
  );
  while (next < files.length) {
    const { root, path } = files[next++];
    const result = {
      file: relative(root, path) || path,
      ...(await check(path, folder, converter, oracle)),
    };
    results.push(result);
    if (!values.quiet || notExact(result)) print(result);
  }
  converter.end();
  oracle.end();
}

/** A child that answers one request at a time and is started again when it dies or takes too long. */
function helper(start) {
  let child = null;
  let reply = null;
  const settle = (answer) => {
    const done = reply;
    reply = null;
    done?.(answer);
  };
  function begin() {
    const own = start();
    let errors = '';
    own.stderr.on('data', (chunk) => {
      errors = (errors + chunk).slice(-2000);
    });
    // What a child says after it was given up belongs to no request.
    if (own.stdout) {
      createInterface({ input: own.stdout }).on('line', (line) => {
        if (child === own) settle(JSON.parse(line));
      });
    }
    own.on('message', (message) => {
      if (child === own) settle(message);
    });
    own.on('close', (code, signal) => {
      if (child !== own) return;
      child = null;
      settle({ died: `${signal ?? code}: ${errors.trim().split('\n').slice(-1)[0] ?? ''}` });
    });
    return own;
  }
  return {
    ask(request) {
      child ??= begin();
      return new Promise((resolve) => {
        const timer = setTimeout(() => {
          child?.kill('SIGKILL');
          child = null;
          settle({ died: `took more than ${values.timeout} s` });
        }, timeoutMs);
        reply = (answer) => {
          clearTimeout(timer);
          resolve(answer);
        };
        if (child.send) child.send(request);
        else child.stdin.write(`${JSON.stringify(request)}\n`);
      });
    },
    end() {
      child?.kill();
    },
  };
}

async function check(path, folder, converter, oracle) {
  const format = formatOf(path);
  if (statSync(path).size > Number(values['max-bytes'])) return { passedOver: 'too large' };
  let source = path;
  let text = null;
  if (/=[^/]*\//.test(path)) {
    // Folders named key=value would give columns, which the file alone does not have.
    source = join(folder, basename(path));
    copyFileSync(path, source);
  }
  if (format === 'arrow') {
    const target = join(folder, 'in.arrow');
    const prepared = await oracle.ask({ task: 'prepare', source: path, target });
    if (prepared.source) {
      source = prepared.source;
      text = prepared.text;
    }
    // The library knows streams by their name.
    if (!/\.arrows?$/i.test(source)) {
      writeFileSync(target, await import('node:fs').then((fs) => fs.readFileSync(source)));
      source = target;
    }
  }
  const converted = await converter.ask({ id: path, source, format, text, folder });
  if (converted.died) {
    const outputs = Object.fromEntries(
      OUTPUTS.map((name) => [
        name,
        { verdict: 'uncoded', detail: `the process died: ${converted.died}` },
      ]),
    );
    return { outputs };
  }
  const written = Object.entries(converted.outputs).filter(([, output]) => output.path);
  // Also of what is refused it is good to know whether others read it.
  const compared = await oracle.ask({
    task: 'compare',
    source,
    format,
    outputs: Object.fromEntries(written.map(([name, output]) => [name, output.path])),
  });
  const outputs = Object.fromEntries(
    Object.entries(converted.outputs).map(([name, output]) => [
      name,
      verdictOf(output, compared, name),
    ]),
  );
  return { outputs, oracle: compared.oracle ?? null, rows: compared.rows ?? null };
}

function verdictOf(output, compared, name) {
  if (!output.path) {
    const uncoded =
      output.code === 'UNCODED' || output.code === 'UNEXPECTED' || output.code === 'NATIVE_FAILED';
    return { verdict: uncoded ? 'uncoded' : 'refused', code: output.code, detail: output.reason };
  }
  const verdict = compared.verdicts?.[name];
  if (!verdict) return { verdict: 'no oracle', detail: compared.reason ?? compared.died };
  // Rows that were rejected are written elsewhere, with their reason.
  if (output.rejected > 0) return { verdict: 'rejected rows', detail: `${output.rejected} rows` };
  return verdict;
}

function notExact({ outputs, passedOver }) {
  return !passedOver && Object.values(outputs).some(({ verdict }) => verdict !== 'exact');
}

function print({ file, passedOver, outputs, rows, oracle }) {
  if (passedOver) return process.stdout.write(`${file}: passed over, ${passedOver}\n`);
  const cells = OUTPUTS.map((name) => {
    const { verdict, code } = outputs[name];
    return `${name} ${code && verdict === 'refused' ? code : verdict}`;
  });
  process.stdout.write(
    `${file}: ${rows ?? '?'} rows (${oracle ?? 'no oracle'}): ${cells.join(', ')}\n`,
  );
  const details = new Set();
  for (const name of OUTPUTS) {
    const { verdict, detail } = outputs[name];
    if (verdict === 'exact' || !detail || details.has(detail)) continue;
    details.add(detail);
    process.stdout.write(`    ${name}: ${detail.slice(0, 400)}\n`);
  }
}

function report() {
  if (values.json) {
    writeFileSync(values.json, results.map((result) => `${JSON.stringify(result)}\n`).join(''));
  }
  const verdicts = [
    'exact',
    'other type',
    'rejected rows',
    'refused',
    'no oracle',
    'wrong',
    'uncoded',
  ];
  const rows = new Map();
  for (const { file, outputs } of results) {
    for (const name of OUTPUTS) {
      const key = `${formatOf(file)} → ${name}`;
      const counts = rows.get(key) ?? Object.fromEntries(verdicts.map((verdict) => [verdict, 0]));
      rows.set(key, counts);
      if (outputs) counts[outputs[name].verdict]++;
    }
  }
  const table = [
    ['', ...verdicts],
    ...[...rows].map(([key, counts]) => [key, ...verdicts.map((v) => counts[v])]),
  ];
  process.stdout.write(`\n${results.length} files\n`);
  for (const line of table) {
    process.stdout.write(
      `${line.map((cell, at) => String(cell)[at === 0 ? 'padEnd' : 'padStart'](at === 0 ? 18 : 14)).join('')}\n`,
    );
  }
  const refusals = new Map();
  for (const { outputs } of results) {
    for (const { verdict, code } of Object.values(outputs ?? {})) {
      if (verdict === 'refused') refusals.set(code, (refusals.get(code) ?? 0) + 1);
    }
  }
  for (const [code, count] of [...refusals].sort())
    process.stdout.write(`refused ${code}: ${count} outputs\n`);
  const bad = [...rows.values()].reduce((sum, counts) => sum + counts.wrong + counts.uncoded, 0);
  process.exit(bad > 0 ? 1 : 0);
}
