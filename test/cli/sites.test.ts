/** `gristmill sites` as its users run it. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { sitePages, writeJsonl } from '../sites/sites-support.ts';
import { start } from './support.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-sites-cli-'));
afterAll(() => rmSync(folder, { recursive: true }));
const corpus = join(folder, 'corpus.jsonl');
const rows = sitePages(90, ['alpha.example', 'beta.example']);
// A line that would act on a terminal.
writeJsonl(
  corpus,
  rows.map((row) => ({ ...row, text: `\u001b[31mred menu\u202e\n${row.text}` })),
);
const out = join(folder, 'sites.counts');

const run = async (...args: string[]) => {
  const { code, stdout, stderr } = await start(args).finished;
  return { code, stdout: stdout.toString(), stderr };
};

describe('gristmill sites', () => {
  it('counts a corpus and prints the template of a site, in which nothing acts on the terminal', async () => {
    const counted = await run(
      'sites',
      'count',
      corpus,
      '--site-column',
      'url',
      '--out',
      out,
      '--json',
    );
    expect(counted).toMatchObject({ code: 0 });
    const summary = JSON.parse(counted.stdout);
    expect(summary).toMatchObject({ siteColumn: 'url', counts: { sites: 2 } });
    const { createHash } = await import('node:crypto');
    expect(createHash('sha256').update(readFileSync(out)).digest('hex')).toBe(
      summary.counts.sha256,
    );
    const shown = await run('sites', 'show', out, 'https://forum.alpha.example/thread');
    expect(shown.code).toBe(0);
    expect(shown.stdout).toContain('alpha.example: ');
    expect(shown.stdout).toContain('100 %  imprint');
    expect(shown.stdout).toMatch(/100 % {2}.*red menu/);
    expect(shown.stdout).not.toContain('\u001b');
    expect(shown.stdout).not.toContain('\u202e');
    const largest = await run('sites', 'show', out, '--json');
    expect(JSON.parse(largest.stdout).largest.length).toBe(2);
  });

  it('names a site that it does not know, and a file that is none of its own', async () => {
    const unknown = await run('sites', 'show', out, 'gamma.example');
    expect(unknown).toMatchObject({ code: 1 });
    expect(unknown.stderr).toContain('SITES_NOT_KNOWN');
    const wrong = await run('sites', 'show', corpus, 'alpha.example');
    expect(wrong.stderr).toContain('SITES_FILE_INVALID');
    const absent = await run(
      'sites',
      'count',
      corpus,
      '--site-column',
      'link',
      '--out',
      join(folder, 'x'),
    );
    expect(absent.stderr).toContain('CORPUS_COLUMN_MISSING');
    expect(existsSync(join(folder, 'x'))).toBe(false);
  });
});
