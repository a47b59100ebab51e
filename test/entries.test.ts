/** The entries of the package, as package.json exports them: 157 values and 212 types in one flat list helped nobody. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  exports: Record<string, string | Record<'import' | 'require', { default: string }>>;
};
const entries = Object.entries(manifest.exports).flatMap(([name, files]) =>
  typeof files === 'string' ? [] : [{ name, files }],
);
const load = async (file: string) =>
  (await import(pathToFileURL(join(root, file)).href)) as Record<string, unknown>;
const required = (file: string) =>
  createRequire(import.meta.url)(join(root, file)) as Record<string, unknown>;

describe('the entries', () => {
  it('are one a job', () => {
    expect(entries.map(({ name }) => name)).toEqual([
      '.',
      './annotate',
      './train',
      './mix',
      './continue',
      './models',
    ]);
  });

  it.each(entries)('give with require what they give with import: $name', async ({ files }) => {
    const names = Object.keys(await load(files.import.default)).sort();
    expect(names.length).toBeGreaterThan(3);
    expect(names.length).toBeLessThan(60);
    const common = required(files.require.default);
    expect(Object.keys(common).sort()).toEqual(names);
    expect(Object.values(common)).not.toContain(undefined);
  });

  it('have no name in common', async () => {
    const names: string[] = [];
    for (const { files } of entries) names.push(...Object.keys(await load(files.import.default)));
    expect(names.filter((name, at) => names.indexOf(name) !== at)).toEqual([]);
  });

  it('throw errors of one class, whichever of them was required', () => {
    const { GristmillError } = required('dist/index.cjs') as { GristmillError: new () => Error };
    const { checkSchedule } = required('dist/api/continue.cjs') as {
      checkSchedule(input: unknown): unknown;
    };
    expect(() => checkSchedule({ kind: 'none' })).toThrow(GristmillError);
  });
});
