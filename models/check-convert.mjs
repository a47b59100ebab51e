/**
 * Holds `gristmill models convert` against llama.cpp's own converter and the tokenizers' own libraries. For developers:
 * it needs Python (see python/convert_check.py) and the unpacked tree of llama.cpp.
 *
 *     npm run build && node models/check-convert.mjs [--work DIR] [--python FILE] [--real DIR] [--lines N] [--text FILE...]
 *
 * Models are made, seeded; `--real` names a folder with one folder of tokenizer files for each family, to which random
 * weights are given. For every model and type: tensors bit for bit, entries key for key. For every model: tokens of N
 * lines by llama.cpp with our file, with the other converter's file, and by the tokenizer's own library. The lines of
 * `--text` come on top.
 */
import { execFileSync } from 'node:child_process';
import { createReadStream, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { convertModel } from '../dist/model/convert/convert.js';
import { native } from '../dist/native/index.js';

const { values } = parseArgs({
  options: {
    work: { type: 'string', default: join(tmpdir(), 'gristmill-convert-check') },
    python: { type: 'string', default: 'python3' },
    real: { type: 'string' },
    lines: { type: 'string', default: '10000' },
    text: { type: 'string', multiple: true, default: [] },
    json: { type: 'boolean', default: false },
  },
});
const here = fileURLToPath(new URL('.', import.meta.url));
const llama = join(here, '..', 'native', 'vendor', 'llama.cpp');
const corpus = join(here, '..', 'examples', 'corpus');
/** Of models with weights of some size; models around real tokenizers are converted to bf16 alone. */
const TYPES = ['f32', 'f16', 'bf16', 'q8_0'];

const NAMES = 'not guessed from the name of the folder';
/** Entries that we write otherwise, and why; a model's own after its name. */
const INTENDED = {
  'general.basename': NAMES,
  'general.version': NAMES,
  'general.finetune': NAMES,
  'llama-spm-json tokenizer.ggml.scores': 'ranks of merges; the other has -1000 for all',
  'llama2 tokenizer.ggml.scores': 'ranks of merges; the other has -1000 for all',
  'llama-spm-json tokenizer.ggml.add_space_prefix': 'false, as its pre-tokenizer says',
  'mistral-v3 tokenizer.ggml.token_type': 'user-defined pieces are marked as such',
  'mistral-v7 tokenizer.ggml.token_type': 'user-defined pieces are marked as such',
  'llama3 tokenizer.ggml.pre': 'by pattern and ignore_merges, not by a hash',
};

function python(...args) {
  return execFileSync(values.python, [join(here, 'python', 'convert_check.py'), ...args], {
    maxBuffer: 2 ** 30,
    stdio: ['ignore', 'pipe', 'pipe'],
  }).toString();
}

/** A small, fast, seeded generator (mulberry32). */
function seeded(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** First and last code point of blocks that every Unicode table of the last ten years has. */
const BLOCKS = [
  [0x21, 0x7e],
  [0xa1, 0x17f],
  [0x391, 0x3c9],
  [0x410, 0x44f],
  [0x5d0, 0x5ea],
  [0x621, 0x63a],
  [0x905, 0x939],
  [0xe01, 0xe30],
  [0x10d0, 0x10f0],
  [0x1e00, 0x1eff],
  [0x2010, 0x2027],
  [0x2030, 0x205e],
  [0x20a0, 0x20ba],
  [0x2190, 0x21ff],
  [0x2460, 0x24ff],
  [0x2500, 0x25ff],
  [0x3041, 0x3096],
  [0x30a1, 0x30fa],
  [0x4e00, 0x9fa5],
  [0xac00, 0xd7a3],
  [0xff01, 0xff5e],
  [0x1d400, 0x1d454],
  [0x1f300, 0x1f5ff],
  [0x1f600, 0x1f64f],
];

/** Lines to tokenise: the example corpus, shuffled words, code, white space, emoji, random Unicode; all NFC. */
async function sample(nLines) {
  const random = seeded(7);
  const below = (bound) => Math.floor(random() * bound);
  const base = [];
  for (const file of readdirSync(corpus).sort()) {
    if (file.endsWith('.txt')) base.push(...readFileSync(join(corpus, file), 'utf8').split('\n'));
  }
  const lines = base.filter((line) => line !== '');
  const words = lines.flatMap((line) => line.split(' ')).filter((word) => word !== '');
  const spaces = [
    ' ',
    '  ',
    '   ',
    '\t',
    '\n',
    '\n\n',
    '\r\n',
    ' \n ',
    '     ',
    '\u00a0',
    '\u3000',
  ];
  const code = [
    'if (x1 == 0x7f) {',
    'for i in range(10):',
    "s = 'it''s';",
    '// NOTE: 12,345.67',
    '});',
  ];
  const marks = [
    "'s",
    "'LL",
    '...',
    '!!!',
    '——',
    '🚀',
    '👩‍💻',
    '🇩🇪',
    '½',
    '²',
    '٣',
    '१२',
    '<b>',
    '&amp;',
  ];
  const pick = (list) => list[below(list.length)];
  const makers = [
    () => Array.from({ length: 2 + below(30) }, () => pick(words)).join(' '),
    () => Array.from({ length: 2 + below(12) }, () => pick(words) + pick(spaces)).join(''),
    () => Array.from({ length: 1 + below(5) }, () => pick(spaces) + pick(code)).join(''),
    () => Array.from({ length: 1 + below(9) }, () => pick(words) + pick(marks)).join(pick(spaces)),
    () => {
      const block = () => {
        const [first, last] = pick(BLOCKS);
        return String.fromCodePoint(first + below(last - first + 1));
      };
      return Array.from({ length: 1 + below(40) }, () => (below(5) ? block() : ' ')).join('');
    },
    () => String(random() * 10 ** below(18)) + pick(spaces) + String(below(1e9)),
  ];
  while (lines.length < nLines) lines.push(pick(makers)());
  for (const file of values.text) {
    for await (const line of createInterface({ input: createReadStream(file) })) {
      if (line !== '') lines.push(line.slice(0, 4000));
    }
  }
  return lines.map((line) => line.toWellFormed().normalize('NFC'));
}

async function tokens(path, lines) {
  const tokenizer = await native().openTokenizer(path);
  const parts = lines.map((line) => Buffer.from(line));
  const offsets = new Int32Array(parts.length + 1);
  for (const [index, part] of parts.entries()) offsets[index + 1] = offsets[index] + part.length;
  const { ids, starts } = await tokenizer.encode({ data: Buffer.concat(parts), offsets });
  tokenizer.dispose();
  return lines.map((_, index) => ids.subarray(starts[index], starts[index + 1]));
}

function reference(file, nLines) {
  const bytes = readFileSync(file);
  const all = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  const rows = [];
  for (let at = 0; rows.length < nLines; at += 1 + all[at]) {
    rows.push(all.subarray(at + 1, at + 1 + all[at]));
  }
  return rows;
}

function countEqual(one, other) {
  const equal = (a, b) => a.length === b.length && a.every((id, index) => id === b[index]);
  return one.filter((ids, index) => equal(ids, other[index])).length;
}

mkdirSync(values.work, { recursive: true });
python('make', values.work, corpus, ...(values.real ? [values.real] : []));
const lines = await sample(Number(values.lines));
const linesFile = join(values.work, 'lines.jsonl');
writeFileSync(linesFile, `${lines.map((line) => JSON.stringify(line)).join('\n')}\n`);

const table = [];
for (const name of readdirSync(join(values.work, 'models')).sort()) {
  const dir = join(values.work, 'models', name);
  const row = { model: name, tensors: '', entries: '', intended: [], unexpected: [] };
  let nSame = 0;
  let nTensors = 0;
  const made = !values.real || !readdirSync(values.real).includes(name);
  for (const type of made ? TYPES : ['bf16']) {
    const ours = join(values.work, `${name}.${type}.ours.gguf`);
    const theirs = join(values.work, `${name}.${type}.theirs.gguf`);
    await convertModel({ dir, out: ours, type });
    const { preTokenizer: pre } = await native().inspectModel(ours);
    row.pre = pre;
    // The other converter knows byte-level tokenizers by a hash of their tokens; of others it has to be told.
    try {
      python('convert', llama, dir, theirs, type);
    } catch (error) {
      if (!String(error.stderr).includes('BPE pre-tokenizer was not recognized')) throw error;
      python('convert', llama, dir, theirs, type, pre);
      row.told = pre;
    }
    const found = JSON.parse(python('compare', llama, ours, theirs));
    nTensors += found.nTensors;
    nSame += found.nTensors - found.different.length;
    if (found.different.length > 0) row.unexpected.push(`${type}: ${found.different.join(', ')}`);
    if (!found.sameOrder) row.unexpected.push(`${type}: order of tensors`);
    for (const [key, [one, other]] of Object.entries(found.entries)) {
      if (key in INTENDED || `${name} ${key}` in INTENDED) row.intended.push(key);
      else row.unexpected.push(`${type}: ${key}: ${one}, not ${other}`);
    }
    row.entries = `${found.nEntries - Object.keys(found.entries).length} of ${found.nEntries}`;
  }
  row.intended = [...new Set(row.intended)];
  row.tensors = `${nSame} of ${nTensors}`;
  const ours = await tokens(join(values.work, `${name}.bf16.ours.gguf`), lines);
  const theirs = await tokens(join(values.work, `${name}.bf16.theirs.gguf`), lines);
  python('tokenize', dir, linesFile, join(values.work, `${name}.ids`));
  const own = reference(join(values.work, `${name}.ids`), lines.length);
  row.likeLibrary = countEqual(ours, own);
  row.theirsLikeLibrary = countEqual(theirs, own);
  row.likeTheirs = countEqual(ours, theirs);
  const odd = ours.findIndex((ids, index) => ids.join() !== own[index].join());
  if (odd >= 0) row.firstOdd = lines[odd];
  table.push(row);
  if (!values.json) process.stderr.write(`${JSON.stringify(row)}\n`);
}
if (values.json) process.stdout.write(`${JSON.stringify(table)}\n`);
else {
  process.stdout.write(
    `${lines.length} lines\n\n| model | pre | tensors equal | entries equal | lines like the library | of the other file |\n`,
  );
  process.stdout.write('| --- | --- | --- | --- | --- | --- |\n');
  for (const row of table) {
    const entries = row.entries + row.intended.map((key) => `; not ${key}`).join('');
    const share = (count) => (count === lines.length ? 'all' : String(count));
    const { pre = '', told } = row;
    const cells = [row.model, told ? `${pre} (told)` : pre, row.tensors, entries];
    cells.push(share(row.likeLibrary), share(row.theirsLikeLibrary));
    process.stdout.write(`| ${cells.join(' | ')} |\n`);
  }
}
if (table.some((row) => row.unexpected.length > 0)) process.exitCode = 1;
