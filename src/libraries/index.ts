/**
 * Libraries of others that have many packages behind them, and are loaded when they are first needed. The build bundles each into one
 * file of dist/libraries/, whatever imports it from there (native/build-js.mjs): who installs gristmill installs none of those
 * packages, 120 of them and half of all files. Files that they need at run time are put beside them.
 */
import { distFile } from '../paths.ts';

/** Loads a library. */
export const libraries = Object.freeze({
  plot: () => import('./plot.ts'),
  resvg: () => import('./resvg.ts'),
  hub: () => import('./hub.ts'),
  s3: () => import('./s3.ts'),
});

/** A file that a library needs at run time. */
export function libraryFile(name: 'resvg.wasm' | 'DejaVuSans.ttf'): string {
  return distFile(`libraries/${name}`);
}
