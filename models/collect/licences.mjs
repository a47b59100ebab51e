/**
 * Which licences let a text be learnt from: permissive ones only, and where packages state theirs.
 *
 * A licence that is not understood is refused: {@link permissive} answers null, never a guess.
 */

/** SPDX identifiers, lower case, and spellings that packages use for them. */
const PERMISSIVE = new Map(
  Object.entries({
    MIT: [
      'mit',
      'expat',
      'mit license',
      'the mit license',
      'mit/x11',
      'mit license (mit)',
      'mit-style',
    ],
    'MIT-0': ['mit-0', 'mit no attribution license (mit-0)'],
    ISC: ['isc', 'isc license', 'isc license (iscl)'],
    'BSD-2-Clause': [
      'bsd-2-clause',
      'bsd-2',
      'bsd-2-clauses',
      'bsd 2-clause',
      'simplified bsd',
      '2-clause bsd license',
    ],
    'BSD-3-Clause': [
      ...[
        'bsd-3-clause',
        'bsd-3',
        'bsd-3-clauses',
        'bsd 3-clause',
        'bsd-3-clause license',
        '3-clause bsd',
      ],
      ...[
        'new bsd',
        'modified bsd',
        'new bsd license',
        'modified bsd license',
        '3-clause bsd license',
      ],
      ...['bsd 3-clause license', 'bsd 3 clause', 'bsd-new'],
    ],
    BSD: ['bsd', 'bsd license', 'bsd-style', 'bsd-4-clause', 'bsd-like'],
    '0BSD': ['0bsd'],
    'Apache-2.0': [
      ...[
        'apache-2.0',
        'apache-2',
        'apache 2.0',
        'apache2',
        'apache license 2.0',
        'apache software license',
      ],
      ...[
        'apache license, version 2.0',
        'apache license version 2.0',
        'apache 2',
        'apache license, version 2',
      ],
      ...['apache 2.0 license', 'apache software license 2.0', 'apache'],
    ],
    'PSF-2.0': [
      ...['psf-2.0', 'psf', 'python-2.0', 'python-2.0.1', 'python software foundation license'],
      ...['psf license', 'psfl', 'cnri-python'],
    ],
    'CC-BY': ['cc-by-3.0', 'cc-by-4.0', 'cc-by-2.0', 'cc-by-2.5', 'cc-by'],
    'CC0-1.0': ['cc0-1.0', 'cc0', 'cc0 1.0 universal (cc0 1.0) public domain dedication'],
    'public domain': [
      'public-domain',
      'public domain',
      'pd',
      'unlicense',
      'the unlicense (unlicense)',
      'unlicensed-pd',
    ],
    Zlib: ['zlib', 'zlib/libpng', 'libpng', 'libpng-2.0', 'zlib/libpng license'],
    PostgreSQL: ['postgresql', 'postgresql license'],
    'BSL-1.0': ['bsl-1.0', 'boost', 'boost software license 1.0 (bsl-1.0)'],
    'BlueOak-1.0.0': ['blueoak-1.0.0'],
    HPND: [
      'hpnd',
      'historical permission notice and disclaimer (hpnd)',
      'historical permission notice and disclaimer',
    ],
    WTFPL: ['wtfpl', 'wtfpl-2'],
    NCSA: ['ncsa', 'university of illinois/ncsa open source license'],
    X11: ['x11', 'x11-dec-bell'],
    Unicode: ['unicode-dfs-2016', 'unicode-3.0', 'unicode', 'icu'],
    curl: ['curl'],
    TCL: ['tcl', 'tcltk'],
    'OFL-1.1': ['ofl-1.1'],
    AFL: ['afl-2.1', 'afl-3.0', 'academic free license (afl)'],
    ZPL: ['zpl-2.1', 'zope public license'],
    OpenSSL: ['openssl'],
  }).flatMap(([name, spellings]) => spellings.map((spelling) => [spelling, name])),
);

/**
 * The permissive licence that an SPDX-like expression grants, or null. Of `A OR B` one permissive part is enough; of
 * `A AND B`, and of Debian's `A, B`, every part must be.
 */
export function permissive(expression) {
  if (typeof expression !== 'string' || expression.length > 300) return null;
  const text = expression
    .trim()
    .toLowerCase()
    .replace(/^\(([^()]*)\)$/, '$1');
  const known = PERMISSIVE.get(text);
  if (known !== undefined) return known;
  if (/\(.*\bor\b.*\)/.test(text)) return null;
  for (const [splitter, needsAll] of [
    [/\s+and\/or\s+/, false],
    [/\s+or\s+|\s*\|\s*/, false],
    [/\s+and\s+|\s*,\s*|\s*;\s*/, true],
  ]) {
    const parts = text.split(splitter);
    if (parts.length < 2) continue;
    const names = parts.map((part) => permissive(part.replace(/^\(|\)$/g, '')));
    if (needsAll) return names.includes(null) ? null : [...new Set(names)].join(' AND ');
    return names.find((name) => name !== null) ?? null;
  }
  return null;
}

/** The licence of a `package.json`: a string, `{type}`, or the old list of them, any of which may be chosen. */
export function licenceOfManifest({ license, licenses } = {}) {
  const stated = [license, ...(Array.isArray(licenses) ? licenses : [licenses])].flatMap((entry) =>
    typeof entry === 'string' ? [entry] : typeof entry?.type === 'string' ? [entry.type] : [],
  );
  return stated.map(permissive).find((name) => name !== null) ?? null;
}

/** The licence of a Python distribution's METADATA (its header lines). */
export function licenceOfMetadata(header) {
  const field = (name) => new RegExp(`^${name}: *(.+)$`, 'im').exec(header)?.[1];
  const classifiers = [...header.matchAll(/^Classifier: License :: (?:OSI Approved :: )?(.+)$/gim)]
    .map(([, name]) => name)
    .filter((name) => name !== 'OSI Approved');
  if (classifiers.some((name) => /GNU|GPL|Proprietary|Mozilla|Eclipse/i.test(name))) return null;
  for (const stated of [field('License-Expression'), ...classifiers, field('License')]) {
    const name = permissive(stated);
    if (name !== null) return name;
  }
  return null;
}

/**
 * The licence of a Debian package's `copyright`: that of its `Files: *` paragraph, or, in the old free form, what the
 * text names, provided that it names no copyleft.
 */
export function licenceOfCopyright(text) {
  if (/^Format:/im.test(text)) {
    const whole = text.split(/\n\s*\n/).find((paragraph) => /^Files:\s*\*\s*$/im.test(paragraph));
    const stated = /^License:\s*(.+)$/im.exec(whole ?? '')?.[1];
    return stated === undefined ? null : permissive(stated);
  }
  return licenceOfText(text);
}

/** What a licence's own text is, or null; any mention of copyleft makes it null. */
export function licenceOfText(text) {
  if (/\bA?L?GPL|GNU|copyleft|share.?alike|\bMPL\b|Mozilla Public|Eclipse Public/i.test(text))
    return null;
  const folded = text.replace(/\s+/g, ' ').toLowerCase();
  if (/creative commons attribution 4|cc.by.4\.0/.test(folded)) {
    return /noncommercial|non-commercial|by-nc|noderiv/.test(folded) ? null : 'CC-BY';
  }
  if (folded.includes('apache license') && folded.includes('2.0')) return 'Apache-2.0';
  if (folded.includes('permission is hereby granted, free of charge')) return 'MIT';
  if (folded.includes('permission to use, copy, modify, and')) return 'ISC';
  if (folded.includes('redistribution and use in source and binary forms')) return 'BSD';
  if (folded.includes('python software foundation license')) return 'PSF-2.0';
  if (/public domain|cc0/.test(folded)) return 'public domain';
  return null;
}
