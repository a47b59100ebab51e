/**
 * What kind of document a file is, by its path, and whether its text is one that a person would call whole and readable.
 */
import { basename, extname } from 'node:path';

const CODE = new Map(
  Object.entries({
    js: '.js .mjs .cjs .jsx',
    ts: '.ts .tsx .mts',
    python: '.py .pyx',
    c: '.c .h',
    cpp: '.cc .cpp .hpp .cxx',
    rust: '.rs',
    go: '.go',
    java: '.java',
    kotlin: '.kt',
    ruby: '.rb',
    perl: '.pl .pm',
    php: '.php',
    shell: '.sh .bash .zsh',
    lua: '.lua',
    css: '.css .scss .less .styl',
    sql: '.sql',
    swift: '.swift',
    scala: '.scala',
    haskell: '.hs',
    ocaml: '.ml',
    lisp: '.el .lisp .scm',
    erlang: '.erl',
    elixir: '.ex .exs',
    r: '.r',
    julia: '.jl',
    csharp: '.cs',
    objc: '.m .mm',
    tcl: '.tcl',
    template: '.vue .svelte .pug .ejs .hbs',
    cmake: '.cmake',
    proto: '.proto',
    graphql: '.graphql .gql',
    asm: '.s .asm',
    fortran: '.f90 .f',
    ada: '.adb .ads',
    vim: '.vim',
    awk: '.awk',
  }).flatMap(([language, extensions]) =>
    extensions.split(' ').map((extension) => [extension, `code-${language}`]),
  ),
);
const DATA = new Map(
  Object.entries({
    '.csv': 'table',
    '.tsv': 'table',
    '.tex': 'latex',
    '.bib': 'bibliography',
    '.srt': 'subtitles',
    '.vtt': 'subtitles',
    '.yaml': 'config',
    '.yml': 'config',
    '.toml': 'config',
    '.ini': 'config',
    '.conf': 'config',
    '.cfg': 'config',
    '.feature': 'specification',
    '.ics': 'calendar',
    '.diff': 'patch',
    '.patch': 'patch',
    '.po': null,
    '.json': null,
  }),
);
const PROSE = /^\.(md|markdown|mdx|rst|txt|adoc|asciidoc|org|texi|textile|pod)$/;
const MADE =
  /(^|\/)(dist|build|umd|cjs|bundles?|fesm\w*|esm\w*|es|es5|_bundled|vendor|third_party|lib-esm|minified|out|node_modules|fixtures?|__pycache__|_static|coverage)\//i;
const PLACELESS =
  /^(genindex|search|py-modindex|modindex|contents|sitemap|index-all|allclasses.*|package-lock|requirements.*|manifest|record|top_level|entry_points|sources|authors|contributors|maintainers|thanks|backers|sponsors|codeowners|md5sums|version|cmakelists)$/i;

/** The kind of a file, or null for one that is no document. `path` is relative to its package. */
export function kindOf(path) {
  const file = path.replace(/\.gz$/, '');
  const name = basename(file);
  const extension = extname(name).toLowerCase();
  const stem = name.slice(0, name.length - extension.length).replace(/\.(rst|md|en|html)$/, '');
  if (
    /\.ipynb\b|_sources\/(api|generated|reference\/generated|_?autosummary|modules)\/|\.min\.|-min\.|\.bundle\.|\.prod\.|\.lock$|(^|\/)\./.test(
      file,
    ) ||
    PLACELESS.test(stem)
  )
    return null;
  if (
    /(^|\/)man\/(.*\/)?man\d\w*\/[^/]+\.\d\w*$/.test(file) ||
    /(^|\/)man\/[^/]+\.[1-9]$/.test(file)
  )
    return 'man';
  // A two-letter ending may be a language (README.de), but not where it is one of a programming language.
  const isText =
    !CODE.has(extension) &&
    !DATA.has(extension) &&
    (extension === '' || PROSE.test(extension) || /^\.[a-z]{2}([-_]\w+)?$/.test(extension));
  if (/^read[-_]?me/i.test(name) && isText) return 'readme';
  if (isText || extension === '.html') {
    if (/^(changelog|changes|history|news|releases?|release[-_]notes|whatsnew.*)$/i.test(stem))
      return 'changelog';
    if (/^(licen[cs]es?|copying|copyright|notice)([-._]|$)/i.test(stem)) return 'licence';
    if (
      /^(contributing|code[-_]of[-_]conduct|security|governance|support|hacking)([-._]|$)/i.test(
        stem,
      )
    )
      return 'guidelines';
    if (
      /(^|\/)help\//i.test(file) ||
      /^help([-._]|$)/i.test(stem) ||
      /(^|\/)locales?\//i.test(file)
    )
      return 'help';
  }
  if (MADE.test(file) && !PROSE.test(extension)) return null;
  if (
    PROSE.test(extension) ||
    extension === '.html' ||
    /^(install|faq|todo|notes?|tutorial|overview|upgrading|usage)$/i.test(name)
  ) {
    return /(^|\/)(faq|questions)/i.test(file)
      ? 'faq'
      : /tutorial|getting.?started|howto|how-to|guide|quickstart/i.test(file)
        ? 'tutorial'
        : 'documentation';
  }
  if (
    /^(dockerfile|makefile|gnumakefile|rakefile|gemfile|justfile|vagrantfile|jenkinsfile)$/i.test(
      name,
    )
  )
    return 'config';
  if (DATA.has(extension)) return DATA.get(extension);
  if (/\.d\.(ts|mts|cts)$/.test(name)) return 'api-declarations';
  return CODE.get(extension) ?? null;
}

/** Whether a text is a whole one that reads like its kind, not litter of a build or a stub. */
export function isReadable(text, kind) {
  const lines = text.split('\n');
  const nLetters = (text.match(/\p{L}|\p{M}/gu) ?? []).length;
  if (nLetters < (kind === 'table' ? 0.1 : 0.35) * text.replace(/\s/g, '').length) return false;
  if (/[\0\ufffd]/.test(text) || /[A-Za-z0-9+/=]{300,}/.test(text)) return false;
  const distinct = new Set(
    text
      .toLowerCase()
      .match(
        /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]|[\p{L}\p{M}]+/gu,
      ) ?? [],
  );
  if (distinct.size < 25) return false;
  if (kind.startsWith('code-') || kind === 'api-declarations' || kind === 'config') {
    if (lines.length < 8 || lines.some((line) => line.length > 400)) return false;
    if (
      text.length / lines.length > 90 ||
      /@generated|auto-?generated|DO NOT EDIT|sourceMappingURL|__webpack|__esModule|_interopRequire|tslib/i.test(
        text,
      )
    )
      return false;
    return true;
  }
  const links = (text.match(/https?:\/\/\S+|\]\([^)]*\)/g) ?? []).join('').length;
  if (links > 0.6 * text.length) return false;
  if (
    /this (package|module|project|repository) (is|has been|was) (deprecated|moved|renamed)|^# installation\s+> `npm install --save @types/im.test(
      text,
    ) &&
    text.length < 1_500
  )
    return false;
  const directives =
    text.match(/^(\.\. \w+::| {2,3}:\w[\w-]*:| {3}\w[\w./-]*$|\.\. raw::).*$/gm) ?? [];
  if (directives.length > 0.4 * lines.filter((line) => line.trim() !== '').length) return false;
  return !/^(==+ )?(index|table of contents|see also)\s*$/im.test(lines[0]);
}
