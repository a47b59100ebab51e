/**
 * The page of a report in a real Chromium, over documents that want to be more than text: nothing executes, no request leaves, nothing
 * is said on the console, axe finds nothing, in light and dark; and what is printed is the whole of it.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { reportRun } from '../../src/report/report.ts';
import { chromiumFor, openBrowser, troublesOf } from '../browser.ts';
import { base, hostileInput, refined } from './support.ts';

const chromium = chromiumFor('the page of a report in a browser');
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

describe.skipIf(chromium === null)('the page of a report', { timeout: 300_000 }, () => {
  let browser: Browser;
  let page: Page;
  const file = join(base, 'page.html');
  const url = pathToFileURL(file).href;
  let troubles: string[];

  beforeAll(async () => {
    const { html } = await reportRun(await refined(hostileInput()), { gallery: 20 });
    writeFileSync(file, html);
    browser = await openBrowser(chromium!);
    page = await browser.newPage({ viewport: { width: 1100, height: 800 } });
    page.setDefaultTimeout(120_000);
    troubles = troublesOf(page, (asked) => asked === url);
    await page.goto(url);
  }, 300_000);
  afterAll(() => browser?.close());

  it('is quiet: no script, no request, no word on the console', async () => {
    expect(await page.evaluate('window.pwned')).toBeUndefined();
    expect(await page.locator('h1').innerText()).toBe('Refined corpus');
    expect(await page.locator('figure svg').count()).toBeGreaterThanOrEqual(4);
    // The policy names the style sheet that is there: text is set in the page's own face and colours.
    expect(await page.evaluate('getComputedStyle(document.body).maxWidth')).toBe('1020px');
    expect(troubles).toEqual([]);
  });

  it.each(['light', 'dark'] as const)('has no finding of axe in %s', async (colorScheme) => {
    await page.emulateMedia({ colorScheme, media: 'screen' });
    const paper = await page.evaluate('getComputedStyle(document.body).backgroundColor');
    expect(paper).toBe(colorScheme === 'light' ? 'rgb(255, 255, 255)' : 'rgb(22, 24, 29)');
    await page.evaluate(axe);
    const violations = await page.evaluate(
      'axe.run(document, { resultTypes: ["violations"] }).then((found) => found.violations.map(({ id, nodes }) => [id, nodes.slice(0, 3).map(({ html, failureSummary }) => html.slice(0, 200) + " " + failureSummary)]))',
    );
    expect(violations).toEqual([]);
  });

  it('prints on light paper, without what is for screens, nothing cut off at the side', async () => {
    await page.emulateMedia({ colorScheme: 'dark', media: 'print' });
    const printed = (await page.evaluate(
      '[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.querySelector("nav")).display]',
    )) as unknown[];
    expect(printed).toEqual(['rgb(255, 255, 255)', 'none']);
    await page.setViewportSize({ width: 720, height: 1000 });
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(720);
    const pdf = await page.pdf({ format: 'A4' });
    expect(pdf.subarray(0, 5).toString('latin1')).toBe('%PDF-');
    expect(pdf.byteLength).toBeGreaterThan(20_000);
    expect(troubles).toEqual([]);
  });
});
