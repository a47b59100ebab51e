/**
 * Corpora that are made to fill the memory: sites without end, lines without end, a site that is all pages. What is counted
 * here is a small part of what was meant; GRISTMILL_HOSTILE=100 makes it 10^9 lines, 10^7 sites and
 * 10^7 pages (some 25 GB of disk, and minutes).
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { distFile } from '../../src/paths.ts';
import { start } from '../cli/support.ts';
import { sitePages, writeJsonl } from './sites-support.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-hostile-'));
afterAll(() => rmSync(folder, { recursive: true }));
const SCALE = Number(process.env['GRISTMILL_HOSTILE'] ?? 1);
const MANY = SCALE === 1 ? 1_000_000 : 100_000 * SCALE;
/** Node itself takes 60 MB; a run of 4M records 64, as much again while it is sorted, and half of that for its sites. */
const MAX_RSS_MB = 512;

function counted(kind: string, count: number) {
  if (!existsSync(distFile('native/index.js')))
    throw new Error('dist/ is missing: run npm run build');
  const child = join(import.meta.dirname, 'hostile-child.mjs');
  const args = [child, kind, String(count), folder];
  const told = JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' }));
  console.info(
    `${count} ${kind}: max RSS ${Math.round(told.maxRssMb)} MB, ${told.seconds.toFixed(1)} s, part ${Math.round(told.partBytes / 1e6)} MB`,
  );
  return told;
}

const MINUTES = 60_000 * Math.max(2, SCALE);

describe('counting in bounded memory', () => {
  it('takes lines that are all different', { timeout: MINUTES }, () => {
    const n = 10_000_000 * SCALE;
    const { pages, lines, table, menu, maxRssMb } = counted('lines', n);
    expect({ pages, lines }).toEqual({ pages: n / 1000, lines: n + (3 * n) / 1000 });
    // Of a billion hashes of 64 bits hardly two are one, and pages whose signature is that of another are few.
    expect(table.sitesKept).toBe(1);
    expect(table.linesKept).toBeLessThan(10);
    expect(menu[0]).toBeGreaterThan((0.999 * n) / 1000);
    expect(maxRssMb).toBeLessThan(MAX_RSS_MB);
  });

  it('takes sites that have one page each', { timeout: MINUTES }, () => {
    const n = MANY;
    const { pages, table, maxRssMb } = counted('hosts', n);
    expect(pages).toBe(n);
    expect(table).toMatchObject({ sites: n, sitesKept: 0, linesKept: 0 });
    expect(maxRssMb).toBeLessThan(MAX_RSS_MB);
  });

  it('takes a site of pages without end', { timeout: MINUTES }, () => {
    const n = MANY;
    const { pages, menu, maxRssMb } = counted('pages', n);
    expect(pages).toBe(n);
    expect(menu).toEqual([menu[0], menu[0], menu[0]]);
    // Signatures of 32 bits: of n pages about n²/2^33 are taken for copies.
    expect(menu[0]).toBeGreaterThan(n - n ** 2 / 2 ** 32 - 100);
    expect(maxRssMb).toBeLessThan(MAX_RSS_MB);
  });
});

describe('a command that is killed', () => {
  const corpus = join(folder, 'corpus');
  mkdirSync(corpus);
  const pages = sitePages(8000, ['alpha.example', 'beta.example', 'gamma.example']);
  for (let file = 0; file < 80; file++) {
    writeJsonl(join(corpus, `${file}.jsonl`), pages.slice(file * 100, (file + 1) * 100));
  }
  const records = (work: string): number => {
    try {
      return readdirSync(join(work, 'units')).filter((name) => name.endsWith('.json')).length;
    } catch {
      return 0;
    }
  };
  /** Kills a command when so many units of a count are committed. */
  async function killedAt(args: readonly string[], work: string, nUnits: number): Promise<boolean> {
    const { process: child, finished } = start(args);
    const looking = setInterval(() => {
      if (records(work) >= nUnits) child.kill('SIGKILL');
    }, 2);
    const { signal, code, stderr } = await finished;
    clearInterval(looking);
    if (signal !== 'SIGKILL' && code !== 0) throw new Error(stderr);
    return signal === 'SIGKILL';
  }

  it('counts on, to the same bytes', { timeout: 120_000 }, async () => {
    const args = (out: string) => ['sites', 'count', corpus, '--out', out];
    const whole = join(folder, 'whole.counts');
    expect((await start(args(whole)).finished).code).toBe(0);
    const cut = join(folder, 'cut.counts');
    let nKilled = 0;
    for (const nUnits of [2, 7, 15]) {
      if (await killedAt([...args(cut), '--threads', '1'], `${cut}.counting`, nUnits)) nKilled++;
    }
    expect(nKilled).toBeGreaterThan(0);
    const { code, stdout } = await start([...args(cut), '--json']).finished;
    expect(code).toBe(0);
    expect(JSON.parse(stdout.toString()).unitsResumed).toBeGreaterThan(0);
    expect(readFileSync(cut).equals(readFileSync(whole))).toBe(true);
    expect(existsSync(`${cut}.counting`)).toBe(false);
  });

  it('refines on, in the pass that counts and behind it', { timeout: 120_000 }, async () => {
    const small = join(folder, 'small');
    mkdirSync(small);
    for (let file = 0; file < 24; file++) {
      writeJsonl(join(small, `${file}.jsonl`), pages.slice(file * 10, (file + 1) * 10));
    }
    const args = (out: string) => {
      const models = ['--chunk-model', 'default', '--threads', '1', '--in-process'];
      return ['refine', small, '--out', out, '--site', ...models];
    };
    const partsOf = (out: string) =>
      readdirSync(out)
        .filter((name) => name.startsWith('part-'))
        .map((name) => [name, readFileSync(join(out, name)).toString('base64')]);
    const whole = join(folder, 'whole');
    expect((await start(args(whole)).finished).code).toBe(0);
    const cut = join(folder, 'cut');
    const ledger = join(cut, '_gristmill');
    const counting = await killedAt(args(cut), join(ledger, 'sites.counts.counting'), 3);
    const refining = await killedAt(args(cut), ledger, 3);
    expect([counting, refining]).toContain(true);
    expect((await start(args(cut)).finished).code).toBe(0);
    expect(partsOf(cut)).toEqual(partsOf(whole));
    expect(partsOf(cut).length).toBeGreaterThan(10);
    expect(readFileSync(join(ledger, 'sites.counts'))).toEqual(
      readFileSync(join(whole, '_gristmill/sites.counts')),
    );
  });
});
