/**
 * A real Chromium for tests and pictures: `CHROMIUM`, or what Debian and others call theirs. Where there is none tests skip,
 * and say so; `.ci/run` installs one where it can.
 */
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome'];

/** The browser's file, or null. */
export function findChromium(): string | null {
  const given = process.env['CHROMIUM'];
  if (given) return existsSync(given) ? given : null;
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  const candidates = folders.flatMap((folder) => NAMES.map((name) => join(folder, name)));
  return candidates.find((file) => existsSync(file)) ?? null;
}

/** The browser's file for `describe.skipIf`; says on stderr what is not tested without one. */
export function chromiumFor(what: string): string | null {
  const found = findChromium();
  if (found === null) {
    process.stderr.write(
      `\nSKIPPED: ${what}: no Chromium (apt-get install chromium, or CHROMIUM=FILE)\n`,
    );
  }
  return found;
}

/** Starts it, without a window. */
export function openBrowser(file: string): Promise<Browser> {
  // Tests run as root in containers, where its own sandbox cannot be set up.
  const sandbox = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  return chromium.launch({ executablePath: file, args: [...sandbox, '--disable-gpu'] });
}

/**
 * What a page does that it should not: words on its console, errors, dialogs, and requests that are not its own. Filled as it
 * happens.
 */
export function troublesOf(page: Page, isOwn: (url: string) => boolean): string[] {
  const troubles: string[] = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) troubles.push(message.text());
  });
  page.on('pageerror', (error) => troubles.push(error.message));
  page.on('dialog', (dialog) => {
    troubles.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on('request', (request) => {
    if (!isOwn(request.url())) troubles.push(`request: ${request.url()}`);
  });
  return troubles;
}
