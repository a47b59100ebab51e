/**
 * `npm run docs:pictures`: makes the pictures of the documentation anew, from the example corpus and a real browser. Each is the
 * page as a reader would see it; PNGs, small enough for the repository.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';

const root = fileURLToPath(new URL('..', import.meta.url));
const pictures = join(root, 'docs/pictures');
const work = mkdtempSync(join(tmpdir(), 'gristmill-pictures-'));
const command = join(root, 'dist/cli/main.js');

try {
  const run = join(work, 'refined');
  await done(
    gristmill(
      'refine',
      'examples/corpus.parquet',
      '--out',
      run,
      '--id-column',
      'id',
      '--keep-scores',
    ),
  );
  const inspector = gristmill('inspect', run, '--json');
  const url = await new Promise((resolve) => {
    inspector.stdout.once('data', (data) => resolve(JSON.parse(String(data)).url));
  });
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
  });
  const page = await browser.newPage({ viewport: { width: 1360, height: 780 } });
  await page.goto(`${url}#language=en&status=edited&doc=0:3`);
  await page.waitForSelector('.lines .line');
  await page.waitForFunction("document.querySelectorAll('tbody strong').length > 20");
  // Lengths come in last.
  await page.waitForTimeout(3_000);
  await page.locator('.lines .line').nth(12).scrollIntoViewIfNeeded();
  await page.screenshot({ path: join(pictures, 'inspect.png') });
  inspector.kill('SIGINT');
  const report = join(work, 'report.html');
  await done(inFolder(work, 'report', 'refined', '--out', report));
  await page.setViewportSize({ width: 1040, height: 1180 });
  await page.goto(pathToFileURL(report).href);
  await page.screenshot({ path: join(pictures, 'report.png') });
  await browser.close();
} finally {
  rmSync(work, { recursive: true, force: true });
}

function gristmill(...args) {
  return inFolder(root, ...args);
}

function inFolder(cwd, ...args) {
  return spawn(process.execPath, [command, ...args], {
    cwd,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

function done(child) {
  child.stdout.resume();
  return new Promise((resolve, reject) => {
    child.once('exit', (code) => (code === 0 ? resolve() : reject(new Error(`exit ${code}`))));
  });
}
