// Child of hostile.test.ts: `lines|hosts|pages COUNT FOLDER`. Counts what nobody has on a disk and prints one JSON line.
//
//   lines  COUNT distinct lines of one site, a thousand a page, under a menu of three lines
//   hosts  COUNT sites of one page
//   pages  COUNT pages of one site: the menu, and a line of their own
import { join } from 'node:path';
import { native } from '../../dist/native/index.js';

const [kind, wanted, folder] = process.argv.slice(2);
const count = Number(wanted);
const MENU = Buffer.from('home page\nlist of members\nimprint\n');
const LETTERS = Buffer.from('abcdefghijklmnop');
const WIDTH = 8;
const LINES_OF_PAGE = kind === 'lines' ? 1000 : 1;
const PAGES_AT_ONCE = kind === 'lines' ? 1000 : 20_000;

/** Writes a number in letters, as digits are all alike. */
function put(into, at, number) {
  let left = number;
  for (let digit = WIDTH - 1; digit >= 0; digit--) {
    into[at + digit] = LETTERS[left & 15];
    left = Math.floor(left / 16);
  }
  return at + WIDTH;
}

const nPages = Math.ceil(count / LINES_OF_PAGE);
const part = join(folder, `${kind}.part`);
const counter = native().sites.openCounter({ path: part, nThreads: 1 });
const started = performance.now();
const data = Buffer.alloc(PAGES_AT_ONCE * (MENU.length + LINES_OF_PAGE * (WIDTH + 1)));
for (let first = 0; first < nPages; first += PAGES_AT_ONCE) {
  const nRows = Math.min(PAGES_AT_ONCE, nPages - first);
  const offsets = new Int32Array(nRows + 1);
  let at = 0;
  for (let row = 0; row < nRows; row++) {
    at += MENU.copy(data, at);
    for (let line = 0; line < LINES_OF_PAGE; line++) {
      at = put(data, at, (first + row) * LINES_OF_PAGE + line);
      data[at++] = 10;
    }
    offsets[row + 1] = at;
  }
  const isHosts = kind === 'hosts';
  const ending = Buffer.from('.example');
  const names = Buffer.alloc(isHosts ? nRows * (WIDTH + ending.length) : 1, 'a');
  const nameStarts = new Int32Array(isHosts ? nRows + 1 : 2);
  if (!isHosts) nameStarts[1] = 1;
  for (let name = 0; isHosts && name < nRows; name++) {
    ending.copy(names, put(names, name * (WIDTH + ending.length), first + name));
    nameStarts[name + 1] = (name + 1) * (WIDTH + ending.length);
  }
  const siteOf = Int32Array.from({ length: nRows }, (_, row) => (isHosts ? row : 0));
  await counter.add({ data: data.subarray(0, at), offsets, siteOf, names, nameStarts });
}
const counted = await counter.finish();
counter.dispose();
const out = join(folder, `${kind}.counts`);
const table = await native().sites.merge({ parts: [part], out, meta: '{}' });
const opened = await native().sites.openTable(out);
const menu = kind === 'hosts' ? null : [...opened.linePages(MENU, 'a').lines.slice(0, 3)];
opened.dispose();
console.log(
  JSON.stringify({
    ...counted,
    partBytes: counted.bytes,
    table,
    menu,
    maxRssMb: process.resourceUsage().maxRSS / 1024,
    seconds: (performance.now() - started) / 1000,
  }),
);
