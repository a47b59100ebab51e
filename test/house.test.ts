/**
 * The house as docs/architecture.md describes it: its rooms are there, they depend one way, and no file imports in a circle.
 * Seven circles of up to eight files had grown before anybody looked.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const house = readFileSync(join(root, 'docs/architecture.md'), 'utf8');

/** Imports against the rules, `file -> file`, each with its reason. It only shrinks: one that is mended has to go. */
const EXCEPTIONS: Readonly<Record<string, string>> = {
  'src/program/pool.ts -> node:fs': 'looks whether its worker has been built, and touches no data',
};

/** Built-in modules that reach out of the process. */
const OUTSIDE = /^node:(fs|net|http|https|http2|tls|dgram|dns|child_process|cluster|readline)\b/;
/** Readers and writers of file formats. */
const FORMATS = /^src\/corpus\/(arrow|dremel|json|jsonl|parquet|plain|thrift|brotli)/;

const files = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => `src/${name}`);

/** What each file names in imports and re-exports, types too; our own files by their paths from the root. */
const imports = new Map(files.map((file) => [file, importsOf(file)]));

function importsOf(file: string): string[] {
  const text = readFileSync(join(root, file), 'utf8');
  // The formatter keeps quotes and line breaks of imports as this expects them.
  const found = text.matchAll(
    /(?:^(?:import|export)\b[^;'"`]*?\bfrom |^import |\bimport\()'([^']+)'/gm,
  );
  return [...found].map(([, name]) => (name!.startsWith('.') ? join(dirname(file), name!) : name!));
}

/** The order of rooms: lines from the top, of groups of rooms. */
function roomOrder(): string[][][] {
  const block = /<!-- rooms, from the top -->\n```\n([\s\S]*?)```/.exec(house)![1]!;
  return block
    .trim()
    .split('\n')
    .map((line) => line.split('|').map((group) => group.split(',').map((room) => room.trim())));
}

/** `helpers` for files right in src/, `top` for the public API: `src/index.ts` and `src/api/`. */
function roomOf(file: string): string {
  const parts = file.split('/');
  if (parts[1] === 'api') return 'top';
  if (parts.length > 2) return parts[1]!;
  return file === 'src/index.ts' ? 'top' : 'helpers';
}

/** A circle that begins and ends with the same file, for every file that is on one and was not named before. */
function circles(): string[][] {
  const state = new Map<string, 'open' | 'done'>();
  const found: string[][] = [];
  const visit = (file: string, path: readonly string[]): void => {
    if (state.get(file) === 'done') return;
    if (state.get(file) === 'open') {
      found.push([...path.slice(path.indexOf(file)), file]);
      return;
    }
    state.set(file, 'open');
    for (const next of imports.get(file) ?? []) visit(next, [...path, file]);
    state.set(file, 'done');
  };
  for (const file of files) visit(file, []);
  return found;
}

/** Imports for which `isWrong` holds, without the exceptions. */
function wrongImports(isWrong: (from: string, to: string) => boolean): string[] {
  return [...imports]
    .flatMap(([from, all]) => all.filter((to) => isWrong(from, to)).map((to) => `${from} -> ${to}`))
    .filter((each) => !Object.hasOwn(EXCEPTIONS, each));
}

describe('the house', () => {
  const order = roomOrder();
  const levels = new Map<string, { readonly line: number; readonly group: number }>([
    ['top', { line: -1, group: 0 }],
    ...order.flatMap((groups, line) =>
      groups.flatMap((rooms, group) => rooms.map((room) => [room, { line, group }] as const)),
    ),
    ['helpers', { line: order.length, group: 0 }],
  ]);

  it('has the rooms that the document names, and names the rooms that it has', () => {
    const named = [...house.matchAll(/^\| `([\w/]+)\/` \|/gm)].map(([, room]) => room!);
    expect(named.length).toBeGreaterThan(20);
    expect(named.filter((room) => !existsSync(join(root, room)))).toEqual([]);
    const present = ['src', 'native'].flatMap((folder) =>
      readdirSync(join(root, folder), { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map(({ name }) => `${folder}/${name}`),
    );
    expect(present.filter((room) => !named.includes(room))).toEqual([]);
    const rooms = [...new Set(files.map(roomOf))];
    expect(rooms.filter((room) => !levels.has(room))).toEqual([]);
    expect(order.flat(2).filter((room) => !rooms.includes(room))).toEqual([]);
  });

  it('sees the imports of the sources', () => {
    expect(imports.get('src/index.ts')!.length).toBeGreaterThan(20);
    expect(imports.get('src/api/mix.ts')!.length).toBeGreaterThan(20);
    expect(imports.get('src/cli/main.ts')).toContain('src/cli/program.ts');
    const ours = [...imports.values()].flat().filter((name) => name.startsWith('src/'));
    expect(ours.filter((name) => !imports.has(name))).toEqual([]);
    const unseen = files.filter((file) => {
      const text = readFileSync(join(root, file), 'utf8');
      const named = [...text.matchAll(/\b(?:from|import) ?\(?\s*'(\.[^']+)'/g)].length;
      return named !== imports.get(file)!.filter((name) => name.startsWith('src/')).length;
    });
    expect(unseen).toEqual([]);
  });

  it('has no file that imports in a circle', () => {
    expect(circles().map((circle) => circle.join(' -> '))).toEqual([]);
  });

  it('depends one way', () => {
    const wrong = wrongImports((from, to) => {
      if (!imports.has(to) || roomOf(from) === roomOf(to)) return false;
      const here = levels.get(roomOf(from))!;
      const there = levels.get(roomOf(to))!;
      return here.line === there.line ? here.group !== there.group : here.line > there.line;
    });
    expect(wrong).toEqual([]);
  });

  it('keeps input and output out of program, and formats of files out of refine', () => {
    const wrong = wrongImports((from, to) => {
      if (roomOf(from) === 'program') {
        return OUTSIDE.test(to) || /^src\/(durable-files|local-path|pending-file)\.ts$/.test(to);
      }
      return (
        roomOf(from) === 'refine' && (FORMATS.test(to) || /^(hyparquet|apache-arrow)/.test(to))
      );
    });
    expect(wrong).toEqual([]);
  });

  it('has an exception for nothing that keeps to the rules', () => {
    const there = new Set(
      [...imports].flatMap(([from, all]) => all.map((to) => `${from} -> ${to}`)),
    );
    expect(Object.keys(EXCEPTIONS).filter((each) => !there.has(each))).toEqual([]);
  });

  it('knows no room of refining where mixtures and continuations are made', () => {
    const wrong = wrongImports(
      (from, to) =>
        ['mixture', 'continual'].includes(roomOf(from)) &&
        imports.has(to) &&
        roomOf(to) === 'refine',
    );
    expect(wrong).toEqual([]);
  });
});
