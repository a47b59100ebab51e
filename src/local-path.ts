/**
 * Paths of the local file system, and what is done to them before any room uses them: a URL is refused by name, never
 * made into a folder called `s3:`; folders are made one by one.
 */
import { mkdirSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { type ErrorCode, GristmillError } from './errors.ts';

/** Two letters at least: one letter is a drive of Windows. */
const SCHEME = /^([a-z][a-z0-9+.-]+):\/\//i;
/** Schemes that nobody means as a folder's name even where a shell or a library has swallowed one slash. */
const ONE_SLASH = /^(s3[an]?|gs|gcs|hf|https?|abfss?|az|wasbs?|hdfs|file):\/(?!\/)/i;

/** How a person gets at what lies behind a scheme; `{path}` is the URL. */
const FETCH: readonly (readonly [RegExp, string])[] = [
  [/^s3[an]?$/, '`aws s3 cp --recursive {path} FOLDER`'],
  [/^(gs|gcs)$/, '`gcloud storage cp -r {path} FOLDER`'],
  [/^(az|abfss?|wasbs?|adl)$/, '`azcopy copy {path} FOLDER --recursive`'],
  [/^hf$/, '`hf download ORGANISATION/NAME --repo-type dataset --local-dir FOLDER`'],
  [/^(https?|ftps?)$/, '`curl -LO {path}`'],
  [/^hdfs$/, '`hdfs dfs -get {path} FOLDER`'],
];
const STORE: readonly (readonly [RegExp, string])[] = [
  [/^s3[an]?$/, '`aws s3 cp --recursive FOLDER {path}`'],
  [/^(gs|gcs)$/, '`gcloud storage cp -r FOLDER {path}`'],
  [/^(az|abfss?|wasbs?|adl)$/, '`azcopy copy FOLDER {path} --recursive`'],
  [/^hf$/, '`hf upload ORGANISATION/NAME FOLDER --repo-type dataset`'],
  [/^hdfs$/, '`hdfs dfs -put FOLDER {path}`'],
];

/** Whether a path is read or written; it decides the way out that is named. */
export type PathUse = 'input' | 'output';

/** The scheme of a URL in lower case; null for what is a path. */
export function schemeOf(path: string): string | null {
  const found = SCHEME.exec(path) ?? ONE_SLASH.exec(path);
  return found ? found[1]!.toLowerCase() : null;
}

/**
 * Refuses what is not a path of the local file system.
 *
 * @param use what will be done with it
 * @param name what it is called to the person, e.g. `--out`; default `input` or `output`
 * @returns the path
 * @throws PATH_REMOTE naming the way out
 */
export function localPath(path: string, use: PathUse, name: string = use): string {
  const scheme = schemeOf(path);
  if (scheme === null) return path;
  throw new GristmillError('PATH_REMOTE', { name, path, scheme, hint: hintOf(path, scheme, use) });
}

function hintOf(path: string, scheme: string, use: PathUse): string {
  if (scheme === 'file') return 'give the path alone, without file://';
  const [known, otherwise] =
    use === 'input'
      ? [FETCH, 'copy it to a local folder first']
      : [STORE, 'write to a local folder and copy it from there'];
  const command = known.find(([schemes]) => schemes.test(scheme))?.[1];
  return command ? `${otherwise}: ${command.split('{path}').join(path)}` : otherwise;
}

/**
 * Makes a folder and those above it. One by one: `mkdir` with `recursive` never returns where a file system refuses a
 * name below a folder that is there (`/proc/x`).
 *
 * @param code of failures; without one they are those of the file system
 * @throws PATH_REMOTE, `code`
 */
export function makeFolder(path: string, code?: ErrorCode): void {
  localPath(path, 'output');
  try {
    makeMissing(resolve(path));
  } catch (cause) {
    if (code === undefined) throw cause;
    throw new GristmillError(code, { path, reason: (cause as Error).message }, { cause });
  }
}

function makeMissing(path: string): void {
  const missing: string[] = [];
  for (let folder = path; !isFolder(folder); folder = dirname(folder)) missing.push(folder);
  for (const folder of missing.reverse()) {
    try {
      mkdirSync(folder);
    } catch (error) {
      // Another process may have made it in between.
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || !isFolder(folder)) throw error;
    }
  }
}

/** True for a folder, false where there is nothing; a file in the way, or no permission, is an error. */
function isFolder(path: string): boolean {
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found) return path === dirname(path);
  if (found.isDirectory()) return true;
  throw Object.assign(new Error(`ENOTDIR: ${path} is a file, not a folder`), { code: 'ENOTDIR' });
}
