/** Bundles the TypeScript runner (Node 20 runs no TypeScript) and starts it with the arguments given. */
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const folder = dirname(fileURLToPath(import.meta.url));
const outfile = join(folder, '..', 'build', 'bench', 'run.mjs');
await build({
  entryPoints: [join(folder, 'run.ts')],
  outfile,
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  packages: 'external',
  logLevel: 'warning',
  // The runner uses the compiled library, so that workers and paths are those of users.
  plugins: [
    {
      name: 'library',
      setup(builder) {
        builder.onResolve({ filter: /\/src\/.*\.ts$/ }, (args) => ({
          path: join(
            folder,
            '..',
            'dist',
            args.path.replace(/^.*\/src\//, '').replace(/\.ts$/, '.js'),
          ),
          external: true,
        }));
      },
    },
  ],
});
const { status } = spawnSync(process.execPath, [outfile, ...process.argv.slice(2)], {
  stdio: 'inherit',
  env: { ...process.env, GRISTMILL_BENCH_FOLDER: folder },
});
process.exit(status ?? 1);
