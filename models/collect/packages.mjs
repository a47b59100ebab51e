/**
 * Packages as three package managers, and plain checkouts, lay them out: for each its name, its licence where that is
 * permissive, and its files as paths and texts. Packages without a permissive licence are not given out.
 */
import { existsSync, lstatSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { gunzipSync } from 'node:zlib';
import {
  licenceOfCopyright,
  licenceOfManifest,
  licenceOfMetadata,
  licenceOfText,
} from './licences.mjs';

/** Largest file that is looked at, before and after decompression. */
const MAX_FILE_BYTES = 400_000;
const MAX_FILES = 60_000;

/** A file's text, decompressed; null where it is too large or no UTF-8. */
export function readText(file) {
  try {
    if (lstatSync(file).size > MAX_FILE_BYTES) return null;
    const stored = readFileSync(file);
    const bytes = file.endsWith('.gz')
      ? gunzipSync(stored, { maxOutputLength: MAX_FILE_BYTES })
      : stored;
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
}

/** Files below a folder, relative to it, in a fixed order; links are not followed. */
function filesBelow(folder, skipped = (_name) => false) {
  const found = [];
  const waiting = [folder];
  while (waiting.length > 0 && found.length < MAX_FILES) {
    const here = waiting.pop();
    for (const entry of entriesOf(here)) {
      const path = join(here, entry.name);
      if (entry.isDirectory()) {
        if (!skipped(entry.name)) waiting.push(path);
      } else if (entry.isFile()) found.push(relative(folder, path));
    }
  }
  return found.sort();
}

function entriesOf(folder) {
  try {
    return readdirSync(folder, { withFileTypes: true }).sort((left, right) =>
      left.name < right.name ? -1 : 1,
    );
  } catch {
    return [];
  }
}

const reader = (root) => (path) => readText(join(root, path));

/** Packages in `node_modules` folders at any depth below `folder`; of several versions the first that is met. */
export function* npmPackages(folder, seen = new Set()) {
  for (const modules of modulesBelow(folder)) {
    for (const name of namesIn(modules)) {
      if (seen.has(name) || name.startsWith('@types/')) continue;
      seen.add(name);
      const root = join(modules, name);
      const licence = licenceOfManifest(jsonOf(join(root, 'package.json')));
      if (licence === null) continue;
      const files = filesBelow(root, (inner) => inner === 'node_modules' || inner === '.git');
      yield { source: 'npm', name, licence, files, read: reader(root) };
    }
  }
}

function* modulesBelow(folder) {
  const waiting = [folder];
  while (waiting.length > 0) {
    const here = waiting.shift();
    const isModules = /(^|\/)node_modules$/.test(here);
    if (isModules) yield here;
    const inner = isModules
      ? namesIn(here)
      : entriesOf(here).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
    for (const name of inner) {
      const nested = join(here, name, 'node_modules');
      if (name === 'node_modules') waiting.push(join(here, name));
      else if (existsSync(nested)) waiting.push(nested);
    }
  }
}

function namesIn(modules) {
  return entriesOf(modules).flatMap((entry) => {
    if (!entry.isDirectory() || entry.name.startsWith('.')) return [];
    if (!entry.name.startsWith('@')) return [entry.name];
    return entriesOf(join(modules, entry.name)).flatMap((inner) =>
      inner.isDirectory() ? [`${entry.name}/${inner.name}`] : [],
    );
  });
}

function jsonOf(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) ?? {};
  } catch {
    return {};
  }
}

/** Distributions installed into `folder` (site-packages, or a target of `pip install --target`), or below it. */
export function* pipPackages(folder, seen = new Set()) {
  const folders = [
    folder,
    ...entriesOf(folder).flatMap((entry) =>
      entry.isDirectory() ? [join(folder, entry.name)] : [],
    ),
  ];
  for (const site of folders) {
    for (const { name: info } of entriesOf(site)) {
      if (!/\.dist-info$/.test(info)) continue;
      const metadata = readText(join(site, info, 'METADATA'));
      if (metadata === null) continue;
      const cut = metadata.search(/\r?\n\r?\n/);
      const header = cut < 0 ? metadata : metadata.slice(0, cut);
      const name = /^Name: *(\S+)/m.exec(header)?.[1].toLowerCase();
      const licence = licenceOfMetadata(header);
      if (name === undefined || licence === null || seen.has(name)) continue;
      seen.add(name);
      const listed = (readText(join(site, info, 'RECORD')) ?? '').split('\n').slice(0, MAX_FILES);
      const files = listed.map((row) => row.replace(/,[^,]*,[^,]*$/, '').replaceAll('"', ''));
      const description = cut < 0 ? '' : metadata.slice(cut).trim();
      yield {
        source: 'pip',
        name,
        licence,
        files: [
          'README.md',
          ...files.filter(
            (path) => !path.startsWith('..') && !/dist-info\/(METADATA|RECORD|WHEEL)/.test(path),
          ),
        ],
        read: (path) => (path === 'README.md' ? description : readText(join(site, path))),
      };
    }
  }
}

/**
 * Debian packages: unpacked each into a folder of its own (`dpkg -x`), or installed in a system whose root is `folder`.
 */
export function* debianPackages(folder, seen = new Set()) {
  const lists = join(folder, 'var/lib/dpkg/info');
  const isSystem = existsSync(lists);
  const packages = isSystem
    ? entriesOf(lists).flatMap(({ name }) => (name.endsWith('.list') ? [name.slice(0, -5)] : []))
    : entriesOf(folder).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
  for (const entry of packages) {
    const name = entry.replace(/:.*$/, '');
    if (seen.has(name)) continue;
    seen.add(name);
    const root = isSystem ? folder : join(folder, entry);
    const copyright = readText(join(root, 'usr/share/doc', name, 'copyright'));
    const licence = copyright === null ? null : licenceOfCopyright(copyright);
    if (licence === null) continue;
    const files = isSystem
      ? readFileSync(join(lists, `${entry}.list`), 'utf8')
          .split('\n')
          .flatMap((path) =>
            /^\/usr\/share\/(doc|man)\/./.test(path) && isFile(path, folder) ? [path.slice(1)] : [],
          )
      : filesBelow(root);
    // Debian's own changelogs and copyright files look all the same.
    const own = files.filter(
      (path) =>
        !/changelog\.Debian|NEWS\.Debian|README\.Debian|\/copyright$|TODO\.Debian/.test(path),
    );
    yield { source: 'debian', name, licence, files: own, read: reader(root) };
  }
  const texts = join(folder, 'usr/share/common-licenses');
  if (!existsSync(texts) || seen.has('common-licenses')) return;
  seen.add('common-licenses');
  const files = entriesOf(texts).flatMap((entry) =>
    entry.isFile() ? [`LICENSE-${entry.name}`] : [],
  );
  yield {
    source: 'debian',
    name: 'common-licenses',
    licence: 'verbatim',
    files,
    read: (path) => readText(join(texts, path.slice(8))),
  };
}

function isFile(path, folder) {
  try {
    return lstatSync(join(folder, path)).isFile();
  } catch {
    return false;
  }
}

/** Checked-out projects, each in a subfolder with a licence file at its top; the subfolder's name is the project's. */
export function* checkouts(folder, seen = new Set()) {
  for (const entry of entriesOf(folder)) {
    if (!entry.isDirectory() || seen.has(entry.name)) continue;
    seen.add(entry.name);
    const root = join(folder, entry.name);
    const file = entriesOf(root).find(({ name }) =>
      /^(licen[cs]e(-docs)?|copying|unlicense)(\.\w+)?$/i.test(name),
    );
    const licence =
      file === undefined ? null : licenceOfText(readText(join(root, file.name)) ?? '');
    if (licence === null) continue;
    yield {
      source: 'checkout',
      name: entry.name,
      licence,
      files: filesBelow(root, (name) => name === '.git'),
      read: reader(root),
    };
  }
}
