/**
 * The inspector in a real Chromium, over documents that want to be more than text: nothing executes, nothing breaks, nothing
 * leaves the machine; by keyboard alone, in light and dark, without a finding of axe.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Inspector, openInspector } from '../../src/inspect/server.ts';
import { chromiumFor, openBrowser, troublesOf } from '../browser.ts';
import { writeHostile } from './hostile.ts';
import { clientOf, refined, temporaryFolder } from './support.ts';

const chromium = chromiumFor('the inspector in a browser');
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const { folder, remove } = temporaryFolder();

describe.skipIf(chromium === null)('the inspector in a browser', () => {
  let inspector: Inspector;
  let browser: Browser;
  let page: Page;
  let nDocuments: number;
  let out: string;
  /** What the page said that it should not have, and what it asked of others. */
  let troubles: string[];

  beforeAll(async () => {
    const input = join(folder, 'hostile.parquet');
    nDocuments = await writeHostile(input);
    out = await refined(input, join(folder, 'out'), { keepScores: true });
    inspector = await openInspector({ dir: out });
    await clientOf(inspector).rest();
    browser = await openBrowser(chromium!);
    page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
    page.setDefaultTimeout(120_000);
    troubles = troublesOf(
      page,
      (url) => url.startsWith(inspector.url) || url === 'about:blank' || url === 'data:,',
    );
  });
  afterAll(async () => {
    await browser?.close();
    await inspector?.close();
    remove();
  });

  async function open(hash = ''): Promise<void> {
    await page.goto('about:blank');
    await page.goto(`${inspector.url}${hash}`);
    await page.waitForSelector('#main');
  }

  async function expectQuiet(): Promise<void> {
    expect(await page.evaluate('[window.hacked, document.getElementById("injected")]')).toEqual([
      undefined,
      null,
    ]);
    expect(troubles).toEqual([]);
  }

  /** What axe finds. */
  async function expectAccessible(): Promise<void> {
    await page.evaluate(axe);
    const violations = (await page.evaluate(
      'axe.run(document, { resultTypes: ["violations"] }).then((found) => found.violations.map(({ id, nodes }) => [id, nodes.slice(0, 3).map(({ html, failureSummary }) => html.slice(0, 200) + " " + failureSummary)]))',
    )) as unknown[];
    expect(violations).toEqual([]);
  }

  /** Waits for an expression: the page's policy lets nobody evaluate strings in it, its tests neither but from outside. */
  async function until(expression: string): Promise<void> {
    for (let tries = 0; tries < 1_200; tries++) {
      if (await page.evaluate(expression)) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`${expression} never came; troubles: ${troubles.join('; ')}`);
  }

  const matched = (): Promise<string> => page.locator('.matched').innerText();

  it('shows every document as text, by keyboard', async () => {
    await open();
    await until(`document.querySelectorAll('tbody tr').length === ${nDocuments}`);
    await until("document.querySelectorAll('tbody strong').length > 10");
    await expectQuiet();
    await expectAccessible();
    await page.locator('tbody tr').first().focus();
    await page.keyboard.press('Enter');
    const seen = new Set<string>();
    for (let at = 0; at < nDocuments; at++) {
      await until(`new URLSearchParams(location.hash.slice(1)).get('doc') === '0:${at}'`);
      await until(`document.querySelector('.pane')?.dataset.key === '0:${at}'`);
      await until(`document.querySelectorAll('tr.open')[0]?.rowIndex === ${at + 1}`);
      const title = await page.locator('#document-title').innerText();
      seen.add(title);
      await page.keyboard.press('f');
      await page.keyboard.press(']');
    }
    expect(seen.size).toBeGreaterThan(nDocuments - 4);
    await expectQuiet();
  });

  it('writes out what is hidden, and cuts what no screen holds', async () => {
    const texts: string[] = [];
    for (const position of [1, 11, 13, 15, 21, 27]) {
      await open(`#doc=0:${position}&show=all`);
      await page.waitForSelector('.line-text');
      texts.push(await page.locator('.lines').innerText());
    }
    const [script, bidi, terminal, nul, long, broken] = texts as [
      string,
      string,
      string,
      string,
      string,
      string,
    ];
    expect(script).toContain('<script>window.hacked = "script"</script>');
    expect(bidi).toContain('\\u202egnp.exe\\u202c');
    expect(terminal).toContain('\\u001b[31mred');
    expect(nul).toContain('before\\u0000after');
    expect(long).toMatch(/1,044,576 characters more/);
    expect(broken).toContain('broken \ufffd\ufffd');
    // Line breaks and tabs of the page itself aside.
    const hidden = (text: string): string[] =>
      text
        .match(/[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/gu)
        ?.filter((one) => !'\n\t'.includes(one)) ?? [];
    for (const text of texts) expect(hidden(text)).toEqual([]);
    await expectQuiet();
    await expectAccessible();
  });

  // A row that took the focus chose itself, the open document another one, for ever.
  it('opens links in turn, again and again', async () => {
    for (const position of [21, 11, 13]) {
      await open(`#doc=0:${position}`);
      await until(`document.querySelector('.pane')?.dataset.key === '0:${position}'`);
      await until(
        `document.querySelector('tr[aria-selected="true"]')?.rowIndex === ${position + 1}`,
      );
    }
    await expectQuiet();
  });

  // Letters that were typed while an earlier answer came were lost.
  it('filters by a click and by words, counts, and opens the same view from its link', async () => {
    await open();
    expect(await matched()).toBe(`${nDocuments} of ${nDocuments} documents`);
    const bar = page.locator('.facet').first().locator('.bar').first();
    const count = Number(await bar.locator('.bar-count').innerText());
    await bar.click();
    await until(`document.querySelector('.matched').innerText.startsWith('${count} of')`);
    await page.keyboard.press('/');
    await page.keyboard.type('window.hacked');
    await until("location.hash.includes('words=')");
    // What is found of the words, and no longer the count without them.
    await until(
      `!/looking/.test(document.querySelector('.matched').innerText) && !document.querySelector('.matched').innerText.startsWith('${count} of')`,
    );
    const [before, hash] = [await matched(), new URL(page.url()).hash];
    await open(hash);
    await until(`document.querySelector('.matched').innerText === ${JSON.stringify(before)}`);
    expect(await page.locator('.search').inputValue()).toBe('window.hacked');
    await page.goBack();
    await open();
    const columns = page.locator('.histogram').first().locator('button');
    await columns.last().click();
    await until('/score=/.test(location.hash)');
    await page.locator('.facets-head button').click();
    await until("location.hash === ''");
    await expectQuiet();
  });

  it('takes judgements by keyboard, of documents and of lines', async () => {
    await open('#doc=0:1&show=all');
    await page.waitForSelector('.line');
    await page.locator('#document-title').focus();
    await page.keyboard.press('3');
    await until("document.querySelector('.saved').innerText === 'saved'");
    await page.keyboard.press('n');
    await page.waitForSelector('.line[data-chosen="true"]');
    await page.keyboard.press('s');
    await page.waitForSelector('.line[data-chosen="true"] [aria-pressed="true"]');
    await page.keyboard.press('e');
    await page.keyboard.type('a <b>note</b>');
    await page.keyboard.press('Enter');
    await until("document.querySelector('.saved').innerText === 'saved'");
    await page.keyboard.press('Escape');
    await until("document.querySelector('.pane') === null");
    // Once the rows are there again.
    await until("document.activeElement.tagName === 'TR'");
    const journal = readFileSync(join(out, '_judgements/judgements.jsonl'), 'utf8');
    expect(journal).toContain('"verdict":"should_go"');
    expect(journal).toMatch(/"kind":"line".*"verdict":"stay"/);
    expect(journal).toContain('a <b>note</b>');
    await open('#tab=judged');
    await page.waitForSelector('.judged table');
    await expectAccessible();
    await expectQuiet();
  });

  it('moves thresholds, and figures follow', async () => {
    await open('#tab=what-if');
    const cell = page.locator('.result tbody tr').nth(2).locator('td').first();
    const before = await cell.innerText();
    await page.locator('#slider-line').focus();
    for (let press = 0; press < 40; press++) await page.keyboard.press('ArrowRight');
    await until(
      `document.querySelectorAll('.result tbody tr')[2].querySelector('td').innerText !== ${JSON.stringify(before)}`,
    );
    await expectAccessible();
    await expectQuiet();
  });

  it('asks blindly', async () => {
    await open('#tab=blind');
    for (let question = 0; question < 4; question++) {
      await page.waitForSelector('.asked');
      expect(await page.locator('.blind').innerHTML()).not.toMatch(/<del|status-/);
      await page.keyboard.press(question % 2 === 0 ? 'g' : 's');
      await until(
        `document.querySelector('.blind').innerText.includes('Question ${question + 2}')`,
      );
    }
    await page.getByText('Show the result').click();
    await page.waitForSelector('.result caption');
    await expectAccessible();
    await expectQuiet();
  });

  it('is as readable in the dark, on a small screen, and with the keys shown', async () => {
    await page.emulateMedia({ colorScheme: 'dark' });
    await open('#doc=0:1');
    await page.waitForSelector('.line');
    await expectAccessible();
    await page.setViewportSize({ width: 700, height: 900 });
    await expectAccessible();
    await page.setViewportSize({ width: 1440, height: 900 });
    await page.keyboard.press('?');
    await page.waitForSelector('dialog[open]');
    await expectAccessible();
    await page.keyboard.press('Escape');
    await until("document.querySelector('dialog') === null");
    await expectQuiet();
  });
});
