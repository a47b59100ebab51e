/** The table of bench/gpu.md names tests: they are there, by file and title. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { packageRoot } from '../../src/paths.ts';

const page = readFileSync(join(packageRoot, 'bench/gpu.md'), 'utf8');
const rows = [...page.matchAll(/^\| (\d+[ab]?) \| ([^|]+) \| ([^|]+) \|$/gm)].map(
  ([, finding, , held]) => ({ finding: finding!, held: held! }),
);

/** `file`: "title"; "title"; `file`: "title" */
function namedBy(held: string): { readonly file: string; readonly title: string }[] {
  let file = '';
  return [...held.matchAll(/`([^`]+)`: |"([^"]+)"/g)].flatMap(([, path, title]) => {
    if (path !== undefined) file = path;
    return title === undefined ? [] : [{ file, title }];
  });
}

describe('what was found without a GPU', () => {
  it('is all in the table', () => {
    const findings = new Set(rows.map(({ finding }) => Number.parseInt(finding, 10)));
    expect([...findings]).toEqual(Array.from({ length: 14 }, (_, at) => at + 1));
  });

  it.each(rows)('$finding has the tests that are named, or a reason', ({ finding, held }) => {
    const named = namedBy(held);
    if (held.includes('below')) expect(page).toContain(`\n**${finding}.** `);
    else expect(named).not.toEqual([]);
    for (const { file, title } of named) {
      expect(existsSync(join(packageRoot, file)), file).toBe(true);
      expect(readFileSync(join(packageRoot, file), 'utf8'), file).toContain(title);
    }
  });
});
