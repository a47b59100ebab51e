/**
 * Compiles the JavaScript side: `npm run build`.
 *
 *   src/**.ts  ── tsc ──►  dist/**.js, .d.ts       (ESM; workers are started from here)
 *              ── esbuild ──►  dist/gristmill.cjs  (the public API for require(), all entries in one, so that errors and classes
 *                                                  are the same ones whichever of them is required)
 *                              dist/index.cjs, dist/api/*.cjs    (the names of each entry, out of that)
 *                              dist/cli/main.js …  (what is started as a process or thread of its own, in few files: every
 *                                                  one costs a millisecond, and 300 are 300 descriptors at once)
 *   dist/**.d.ts  ──►  dist/**.d.cts                (its declarations, as CommonJS)
 *   src/libraries/  ── esbuild ──►  dist/libraries/   (each library of others with all its packages in one file, LICENSES.txt)
 *   src/annotate/prompts/  ──►  dist/annotate/prompts/
 *   src/inspect/page/  ── esbuild ──►  dist/inspect/page/    (what the inspector's server sends)
 *
 * In the CommonJS bundle packages that can be required stay external; those that are ESM only are bundled.
 * Both forms of the library share the workers and the native addon.
 */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dist = join(root, 'dist');
const require = createRequire(import.meta.url);
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

/** Dependencies without a CommonJS build. */
const ESM_ONLY = new Set(['hyparquet', 'hyparquet-writer']);

/** Files of packages that libraries read at run time. */
const LIBRARY_FILES = {
  'resvg.wasm': '@resvg/resvg-wasm/index_bg.wasm',
  'DejaVuSans.ttf': 'dejavu-fonts-ttf/ttf/DejaVuSans.ttf',
};

/** Dependencies of many modules, or needed at every start. NOTICE names them. */
const BUNDLED = new Set([
  '@huggingface/jinja',
  'apache-arrow',
  'commander',
  'flatbuffers',
  'hyparquet',
  'hyparquet-writer',
  'tinyglobby',
  'zod',
]);

compile();
// Prompts are read at run time, from beside the code that names them.
rmSync(join(dist, 'annotate/prompts'), { recursive: true, force: true });
cpSync(join(root, 'src/annotate/prompts'), join(dist, 'annotate/prompts'), { recursive: true });
await bundleLibraries();
await bundle();
await bundleStarted();
await bundlePage();
const declared = new Set();
for (const { types } of entries()) declareForRequire(join(root, types), declared);
if (existsSync(join(dist, 'cli/main.js'))) chmodSync(join(dist, 'cli/main.js'), 0o755);

function compile() {
  // The incremental record would make tsc skip files that somebody deleted from dist/.
  if (!existsSync(join(dist, 'index.js'))) rmSync(join(root, 'build/tsbuildinfo'), { force: true });
  const tsc = join(dirname(require.resolve('typescript/package.json')), 'bin/tsc');
  try {
    execFileSync(process.execPath, [tsc, '-p', join(root, 'tsconfig.build.json')], {
      stdio: 'inherit',
    });
  } catch {
    process.stderr.write('build: tsc reported errors\n');
    process.exit(1);
  }
}

/** See src/libraries/index.ts. */
async function bundleLibraries() {
  const { build } = await import('esbuild');
  const folder = join(dist, 'libraries');
  const names = readdirSync(join(root, 'src/libraries'))
    .map((name) => name.replace(/\.ts$/, ''))
    .filter((name) => name !== 'index');
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: names.map((name) => `src/libraries/${name}.ts`),
    outdir: folder,
    bundle: true,
    minifySyntax: true,
    minifyWhitespace: true,
    metafile: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    // ES modules where there are some: what is not used is left out.
    mainFields: ['module', 'main'],
    external: Object.keys(manifest.dependencies),
    logLevel: 'warning',
    legalComments: 'none',
    banner: {
      js: `import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(import.meta.url);`,
    },
  });
  for (const [name, file] of Object.entries(LIBRARY_FILES)) {
    cpSync(require.resolve(file), join(folder, name));
  }
  writeFileSync(join(folder, 'LICENSES.txt'), licencesOf(Object.keys(metafile.inputs)));
}

/** The licences of the packages that files are of. */
function licencesOf(files) {
  const folders = new Set(
    [...files, ...Object.values(LIBRARY_FILES).map((file) => `node_modules/${file}`)]
      .map((file) => /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1])
      .filter((folder) => folder !== undefined),
  );
  // Many of them have one text.
  const named = new Map();
  for (const folder of [...folders].sort()) {
    const { name, version, license } = JSON.parse(
      readFileSync(join(root, folder, 'package.json'), 'utf8'),
    );
    const file = readdirSync(join(root, folder)).find((each) => /^licen[cs]e/i.test(each));
    const text = file
      ? readFileSync(join(root, folder, file), 'utf8').trim()
      : `Licence: ${license}`;
    named.set(text, [...(named.get(text) ?? []), `${name} ${version} (${license})`]);
  }
  const parts = [...named].map(([text, names]) => `${names.join('\n')}\n\n${text}\n`);
  const rule = `\n${'-'.repeat(80)}\n\n`;
  return `The files of this folder hold parts of these packages.\n${rule}${parts.join(rule)}`;
}

/** In bundles, which lie anywhere below dist/, libraries are the files of dist/libraries/. */
function librariesOutside() {
  return {
    name: 'libraries-outside',
    setup({ onLoad }) {
      onLoad({ filter: /[\\/]src[\\/]libraries[\\/]index\.ts$/ }, ({ path }) => {
        const source = readFileSync(path, 'utf8').replaceAll(
          /import\('\.\/(\w+)\.ts'\)/g,
          (_, name) => `import(pathToFileURL(distFile('libraries/${name}.js')).href)`,
        );
        return {
          contents: `import { pathToFileURL } from 'node:url';\n${source}`,
          loader: 'ts',
        };
      });
    },
  };
}

/** Packages go into what is started without their comments: a start reads every byte, and a tenth of them is those. */
function packagesBare(transform) {
  return {
    name: 'packages-bare',
    setup({ onLoad }) {
      onLoad({ filter: /[\\/]node_modules[\\/].*\.[cm]?js$/ }, async ({ path }) => {
        const source = readFileSync(path, 'utf8');
        const { code } = await transform(source, {
          ...{ minifyWhitespace: true, legalComments: 'eof' },
          ...{ platform: 'node', target: 'node20' },
        });
        return { contents: code, loader: 'js' };
      });
    },
  };
}

/**
 * What `require` of the bundle sees: every declaration that `file` reaches once more, as a CommonJS module. With module
 * node16 and node18 TypeScript reads no ES module from CommonJS, but types of one that are named as such.
 */
function declareForRequire(file, seen) {
  if (seen.has(file)) return;
  seen.add(file);
  const source = readFileSync(file, 'utf8');
  const text = source.replace(
    /(\bfrom\s+|\bimport\(|\bimport\s+)(['"])([^'"\n]+)\2/g,
    (_, before, quote, specifier) => {
      if (ESM_ONLY.has(specifier)) {
        const mode = "{ 'resolution-mode': 'import' }";
        const attributes = before === 'import(' ? `, { with: ${mode} }` : ` with ${mode}`;
        return `${before}${quote}${specifier}${quote}${attributes}`;
      }
      if (!specifier.startsWith('.')) return `${before}${quote}${specifier}${quote}`;
      const stem = specifier.replace(/\.[jt]s$/, '');
      declareForRequire(join(dirname(file), `${stem}.d.ts`), seen);
      return `${before}${quote}${stem}.cjs${quote}`;
    },
  );
  writeFileSync(
    file.replace(/\.d\.ts$/, '.d.cts'),
    text.replace(/^\/\/# sourceMappingURL.*$/m, ''),
  );
}

/**
 * Scripts that are started, each in place of what tsc made of it, with the packages that have many modules. Every group is
 * a build of its own: what only another process needs of a module is then not in it. The worker of programs is CommonJS:
 * Piscina requires it, and a thread that ends while an ES module is required ends the process.
 */
async function bundleStarted() {
  const { build, transform } = await import('esbuild');
  const common = {
    absWorkingDir: root,
    bundle: true,
    platform: 'node',
    target: 'node20',
    logLevel: 'warning',
    legalComments: 'eof',
  };
  rmSync(join(dist, 'chunks'), { recursive: true, force: true });
  const group = (name, entryPoints, core, before = []) =>
    build({
      ...common,
      entryPoints,
      outdir: dist,
      outbase: 'src',
      format: 'esm',
      splitting: true,
      chunkNames: `chunks/${name}/[name]-[hash]`,
      external: Object.keys(manifest.dependencies).filter((each) => !BUNDLED.has(each)),
      plugins: [librariesOutside(), gathered(core, before), packagesBare(transform)],
      // CommonJS packages inside of those that are bundled.
      banner: {
        js: `import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(import.meta.url);`,
      },
    });
  await Promise.all([
    group(
      'cli',
      ['src/cli/main.ts'],
      ['src/cli/program.ts', 'src/cli/refine.ts', 'src/cli/commands/refine.ts'],
      // Asked for the version, main.ts loads this and nothing else.
      ['src/version.ts'],
    ),
    group('worker', ['src/refine/run-worker.ts'], ['src/refine/run-worker.ts']),
    group(
      'others',
      [
        'src/annotate/expert/expert-process.ts',
        'src/inspect/index-worker.ts',
        'src/refine/template-worker.ts',
        'src/mixture/proxies/proxy-process.ts',
      ],
      [],
    ),
  ]);
  await build({
    ...common,
    entryPoints: ['src/program/worker.ts'],
    outfile: join(dist, 'program/worker.cjs'),
    format: 'cjs',
    external: ['piscina'],
  });
}

/** The inspector's page: one script with all that it needs, as its server sends three files and nothing of anybody else. */
async function bundlePage() {
  const { build } = await import('esbuild');
  const page = join(dist, 'inspect/page');
  rmSync(page, { recursive: true, force: true });
  await build({
    absWorkingDir: root,
    entryPoints: ['src/inspect/page/app.ts', 'src/inspect/page/app.css'],
    outdir: page,
    bundle: true,
    minify: true,
    platform: 'browser',
    format: 'esm',
    target: ['chrome111', 'firefox113', 'safari16.4'],
    charset: 'utf8',
    logLevel: 'warning',
    legalComments: 'none',
    banner: { js: '/* gristmill; with Preact (MIT) and htm (Apache-2.0): see NOTICE */' },
  });
  cpSync(join(root, 'src/inspect/page/index.html'), join(page, 'index.html'));
}

/**
 * Gathers all that `core` imports in one chunk. esbuild makes a chunk for every set of modules that the same entries and
 * `import()`s reach, which are some thirty for a start; where whatever is imported later imports the core too, it is one
 * set. The core is there by then, so this costs nothing; it must not await at its top, as what it imports would wait for it.
 *
 * @param before what is imported before the core, and must not bring it along
 */
function gathered(core, before) {
  const files = core.map((file) => join(root, file));
  const named = (except) =>
    files
      .filter((file) => file !== except)
      .map((file) => `import ${JSON.stringify(file)};`)
      .join('');
  const later = new Set([...files, ...importedLater()]);
  for (const file of before) later.delete(join(root, file));
  return {
    name: 'gathered',
    setup({ onLoad }) {
      onLoad({ filter: /\.ts$/ }, ({ path }) => {
        if (!later.has(path)) return null;
        return { contents: `${readFileSync(path, 'utf8')}\n${named(path)}`, loader: 'ts' };
      });
    },
  };
}

/** The sources that others `import()`. */
function importedLater() {
  const src = join(root, 'src');
  return readdirSync(src, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .flatMap((name) => {
      const found = readFileSync(join(src, name), 'utf8').matchAll(/\bimport\('(\.[^']+)'\)/g);
      return [...found].map(([, path]) => join(src, dirname(name), path));
    });
}

/** The entries of package.json's `exports` that are code, as their files below dist/. */
function entries() {
  return Object.values(manifest.exports)
    .filter((each) => typeof each === 'object')
    .map((each) => ({
      module: each.import.default,
      types: each.import.types,
      common: each.require.default,
      source: each.import.default.replace('/dist/', '/src/').replace(/\.js$/, '.ts'),
    }));
}

async function bundle() {
  const { build } = await import('esbuild');
  const whole = join(dist, 'gristmill.cjs');
  await build({
    absWorkingDir: root,
    stdin: {
      contents: entries()
        .map(({ source }) => `export * from ${JSON.stringify(source)};`)
        .join('\n'),
      resolveDir: root,
      loader: 'ts',
    },
    outfile: whole,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    sourcemap: true,
    logLevel: 'warning',
    external: Object.keys(manifest.dependencies).filter((name) => !ESM_ONLY.has(name)),
    plugins: [librariesOutside()],
    define: { 'import.meta.url': 'importMetaUrl' },
    banner: {
      js: `const importMetaUrl = require('node:url').pathToFileURL(__filename).href;`,
    },
  });
  for (const { module, common } of entries()) {
    const names = Object.keys(await import(pathToFileURL(join(root, module)).href));
    const file = join(root, common);
    const from = `./${relative(dirname(file), whole)}`;
    const lines = names.map((name) => `exports.${name} = all.${name};`);
    writeFileSync(file, [`const all = require('${from}');`, ...lines, ''].join('\n'));
    // A name that the bundle lacks, or two entries share, is found here, and not by the first consumer.
    const script = `for (const [name, value] of Object.entries(require(${JSON.stringify(file)}))) if (value === undefined) throw new Error(name)`;
    execFileSync(process.execPath, ['-e', script], { stdio: ['ignore', 'ignore', 'inherit'] });
  }
}
