/**
 * Compiles the JavaScript side: `npm run build`.
 *
 *   src/**.ts  ── tsc ──►  dist/**.js, .d.ts       (ESM; workers are started from here)
 *              ── esbuild ──►  dist/index.cjs      (the public API for require())
 *   src/annotate/prompts/  ──►  dist/annotate/prompts/
 *
 * In the CommonJS bundle packages that can be required stay external; those that are ESM only are bundled.
 * Both forms of the library share dist/program/worker.js and the native addon.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dist = join(root, 'dist');
const require = createRequire(import.meta.url);
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

/** Dependencies without a CommonJS build. */
const ESM_ONLY = new Set(['hyparquet', 'hyparquet-writer']);

compile();
// Prompts are read at run time, from beside the code that names them.
rmSync(join(dist, 'annotate/prompts'), { recursive: true, force: true });
cpSync(join(root, 'src/annotate/prompts'), join(dist, 'annotate/prompts'), { recursive: true });
await bundle();
// What `require` of the bundle sees: the same declarations (TypeScript reads ESM from CommonJS since 5.8).
writeFileSync(join(dist, 'index.d.cts'), "export * from './index.js';\n");
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

async function bundle() {
  const { build } = await import('esbuild');
  await build({
    absWorkingDir: root,
    entryPoints: ['src/index.ts'],
    outfile: join(dist, 'index.cjs'),
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    sourcemap: true,
    logLevel: 'warning',
    external: Object.keys(manifest.dependencies).filter((name) => !ESM_ONLY.has(name)),
    define: { 'import.meta.url': 'importMetaUrl' },
    banner: {
      js: `const importMetaUrl = require('node:url').pathToFileURL(__filename).href;`,
    },
  });
  // A bundle that cannot be loaded is found here, not by the first consumer.
  execFileSync(process.execPath, ['-e', `require(${JSON.stringify(join(dist, 'index.cjs'))})`]);
  execFileSync(process.execPath, [
    '--input-type=module',
    '-e',
    `await import(${JSON.stringify(pathToFileURL(join(dist, 'index.js')).href)})`,
  ]);
}
