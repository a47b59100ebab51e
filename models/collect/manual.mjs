/**
 * Manual pages as text: troff with the macros of man(7) or mdoc(7), laid out as `man` does on a terminal, without bold.
 *
 * Requests that are not known vanish, their definitions and conditions with them; tables (`.TS`) and pictures make a
 * page unreadable this way, so such a page is null.
 */

const INDENT = 7;
const WIDTH = 78;

/** Two-character names of troff's glyphs, as far as manual pages use them. */
const GLYPHS = new Map(
  Object.entries({
    ...{
      em: '—',
      en: '–',
      hy: '-',
      bu: '•',
      co: '©',
      rg: '®',
      tm: '™',
      lq: '“',
      rq: '”',
      oq: '‘',
      cq: '’',
    },
    ...{
      dq: '"',
      aq: "'",
      ga: '`',
      ha: '^',
      ti: '~',
      rs: '\\',
      sl: '/',
      ba: '|',
      br: '|',
      mu: '×',
      '+-': '±',
    },
    ...{
      '->': '→',
      '<-': '←',
      '>=': '≥',
      '<=': '≤',
      '==': '≡',
      '!=': '≠',
      de: '°',
      12: '½',
      sc: '§',
      dg: '†',
    },
    ...{
      "'e": 'é',
      '`e': 'è',
      "'a": 'á',
      '`a': 'à',
      ':a': 'ä',
      ':o': 'ö',
      ':u': 'ü',
      ss: 'ß',
      ',c': 'ç',
      '~n': 'ñ',
    },
    ...{
      Fo: '«',
      Fc: '»',
      la: '⟨',
      ra: '⟩',
      lB: '[',
      rB: ']',
      lC: '{',
      rC: '}',
      at: '@',
      sh: '#',
      Do: '$',
      Eu: '€',
    },
  }),
);

/** mdoc macros that wrap their words. */
const MDOC_WRAPS = new Map(
  Object.entries({
    Op: ['[', ']'],
    Pq: ['(', ')'],
    Dq: ['“', '”'],
    Sq: ['‘', '’'],
    Ql: ['‘', '’'],
    Bq: ['[', ']'],
    Aq: ['<', '>'],
    Brq: ['{', '}'],
    Qq: ['"', '"'],
  }),
);
/** mdoc macros whose words stay as they are. */
const MDOC_PLAIN = new Set(
  'Ar Pa Cm Ic Li Em Sy Ev Va Vt Fa Fn Ft Er Dv An Ad Ms Tn No Nm Xr St Lk Mt Cd In Sx Bx Fx Ox Nx Ux At'.split(
    ' ',
  ),
);
const PUNCTUATION = /^[.,;:)\]?!]+$/;

/** The text of a manual page's source, or null where it is none or cannot be read without troff. */
export function manualText(source) {
  if (!/^[.']\s*(TH|Dt)\b/m.test(source) || /^\.(TS|PS|EQ)\b/m.test(source)) return null;
  const page = new Page(/^\.Dt\b/m.test(source));
  for (const line of withoutDefinitions(source)) page.take(line);
  const text = page.finish();
  return /\\[a-z(*[]|^\.[A-Z]{2}/m.test(text) ? null : text;
}

/** Lines less comments, macro definitions and conditional blocks. */
function* withoutDefinitions(source) {
  let inDefinition = false;
  let depth = 0;
  for (const raw of source.split('\n')) {
    const line = raw.replace(/\\["#].*$/, '').replace(/\r$/, '');
    if (/^[.']\s*\\?"?\s*$/.test(line) && !inDefinition) continue;
    if (inDefinition) {
      if (/^\.\.\s*$/.test(line)) inDefinition = false;
      continue;
    }
    if (/^[.']\s*(de|am|ig)\b/.test(line)) {
      inDefinition = true;
      continue;
    }
    const isCondition = /^[.']\s*(if|ie|el)\b/.test(line);
    if (isCondition || depth > 0) {
      depth += (line.match(/\\\{/g) ?? []).length - (line.match(/\\\}/g) ?? []).length;
      depth = Math.max(0, depth);
      continue;
    }
    yield line;
  }
}

/** Escapes of troff resolved: fonts and sizes vanish, glyphs become characters. */
export function withoutEscapes(text) {
  return text
    .replace(/\\f(\[[^\]]*\]|\(..|.)/g, '')
    .replace(/\\s[-+]?(\d|\(\d\d|\[[^\]]*\])/g, '')
    .replace(/\\\*(\(..|\[[^\]]*\]|.)/g, (_, name) =>
      /lq/.test(name) ? '“' : /rq/.test(name) ? '”' : '',
    )
    .replace(/\\\[u([0-9A-F]{4,5})\]/g, (_, code) =>
      String.fromCodePoint(Number.parseInt(code, 16)),
    )
    .replace(/\\\((..)|\\\[([^\]]+)\]/g, (_, two, long) => GLYPHS.get(two ?? long) ?? '')
    .replace(/\\[hvwlLDoN]'[^']*'/g, '')
    .replace(/\\n(\(..|\[[^\]]*\]|.)|\\[mM]\[[^\]]*\]/g, '')
    .replace(/\\[&|^%/,:{}cdtup!?)]|\\$/g, '')
    .replace(/\\[ ~0]/g, ' ')
    .replace(/\\-/g, '-')
    .replace(/\\([eE'`.])/g, (_, name) => (name === 'e' || name === 'E' ? '\\' : name));
}

/** Words of a request, quotes joined. */
function wordsOf(text) {
  const found = [];
  for (const [, quoted, plain] of text.matchAll(/"((?:[^"]|"")*)"?|(\S+)/g)) {
    found.push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
  }
  return found;
}

class Page {
  #out = [];
  #words = [];
  #indent = INDENT;
  #isFilled = true;
  /** What stands before an item; null where none does. */
  #tag = null;
  #wantsTag = false;
  #isMdoc;
  #name = '';

  constructor(isMdoc) {
    this.#isMdoc = isMdoc;
  }

  take(line) {
    const request = /^[.']\s*([A-Za-z]\w*)\s*(.*)$/.exec(line);
    if (request !== null) return this.#request(request[1], request[2]);
    if (/^[.']/.test(line)) return;
    if (line.trim() === '') {
      this.#flush();
      this.#blank();
      return;
    }
    this.#text(withoutEscapes(line));
  }

  finish() {
    this.#flush();
    return this.#out.join('\n').trim();
  }

  #text(text) {
    if (this.#wantsTag) {
      this.#flush();
      this.#tag = text.trim();
      this.#wantsTag = false;
    } else if (this.#isFilled) this.#words.push(...text.split(/\s+/).filter((word) => word !== ''));
    else {
      this.#flush();
      this.#out.push(`${' '.repeat(this.#indent)}${text.trimEnd()}`);
    }
  }

  #blank() {
    if (this.#out.length > 0 && this.#out.at(-1) !== '') this.#out.push('');
  }

  #flush() {
    const hanging = this.#tag;
    this.#tag = null;
    if (hanging === null && this.#words.length === 0) return;
    const inner = this.#indent + (hanging === null ? 0 : INDENT);
    let line = hanging === null ? '' : ' '.repeat(this.#indent) + hanging;
    if (hanging !== null && this.#words.length > 0) {
      if (line.length < inner) line = line.padEnd(inner);
      else {
        this.#out.push(line);
        line = '';
      }
    }
    let isFresh = true;
    for (const word of this.#words) {
      if (line === '') line = ' '.repeat(inner) + word;
      else if (isFresh && line.length === inner) line += word;
      else if (line.length + 1 + word.length <= WIDTH) line += ` ${word}`;
      else {
        this.#out.push(line);
        line = ' '.repeat(inner) + word;
      }
      isFresh = false;
    }
    if (line !== '') this.#out.push(line);
    this.#words = [];
  }

  #heading(text, indent) {
    this.#flush();
    this.#blank();
    this.#out.push(' '.repeat(indent) + withoutEscapes(text));
    this.#indent = INDENT;
    this.#isFilled = true;
  }

  #paragraph() {
    this.#flush();
    this.#blank();
  }

  #request(name, rest) {
    const words = wordsOf(rest);
    const joined = words.join(' ');
    switch (name) {
      case 'TH':
        this.#out.push(withoutEscapes(`${words[0]}(${words[1] ?? ''})`), '');
        return;
      case 'Dt':
        this.#out.push(`${words[0]}(${words[1] ?? ''})`, '');
        return;
      case 'SH':
      case 'Sh':
        return this.#heading(joined, 0);
      case 'SS':
      case 'Ss':
        return this.#heading(joined, 3);
      case 'PP':
      case 'P':
      case 'LP':
      case 'Pp':
        this.#paragraph();
        return;
      case 'TP':
      case 'TQ':
        this.#paragraph();
        this.#wantsTag = true;
        return;
      case 'IP':
        this.#paragraph();
        if (words[0] !== undefined) this.#tag = withoutEscapes(words[0]);
        return;
      case 'It':
        this.#paragraph();
        if (joined !== '') this.#tag = this.#mdoc(words);
        return;
      case 'RS':
        this.#flush();
        this.#indent += 4;
        return;
      case 'RE':
        this.#flush();
        this.#indent = Math.max(INDENT, this.#indent - 4);
        return;
      case 'nf':
      case 'EX':
      case 'Vb':
        this.#flush();
        this.#isFilled = false;
        return;
      case 'fi':
      case 'EE':
      case 'Ve':
      case 'Ed':
        this.#flush();
        this.#isFilled = true;
        return;
      case 'Bd':
        this.#paragraph();
        if (/-literal|-unfilled/.test(rest)) this.#isFilled = false;
        return;
      case 'br':
        this.#flush();
        return;
      case 'sp':
        this.#paragraph();
        return;
      case 'B':
      case 'I':
      case 'SM':
      case 'SB':
        if (joined !== '') this.#text(withoutEscapes(joined));
        return;
      case 'BR':
      case 'BI':
      case 'RB':
      case 'RI':
      case 'IR':
      case 'IB':
        this.#text(withoutEscapes(words.join('')));
        return;
      case 'UR':
      case 'MT':
        if (joined !== '') this.#text(withoutEscapes(joined));
        return;
      case 'Fo':
        this.#flush();
        this.#text(`${joined}(`);
        return;
      case 'Fc':
        this.#text(')');
        this.#flush();
        return;
      case 'Ex':
        this.#text(`The ${this.#name} utility exits 0 on success, and >0 if an error occurs.`);
        return;
      default:
        if (['Ft', 'In', 'Fd'].includes(name)) this.#flush();
        if (this.#isMdoc) this.#text(this.#mdoc([name, ...words]));
    }
  }

  /** A line of mdoc, its callable macros resolved. */
  #mdoc(words) {
    const [name, ...rest] = words;
    if (name === undefined) return '';
    if (['Dd', 'Os', 'Bl', 'El', 'Bk', 'Ek', 'Rs', 'Re', 'Ns', 'Xo', 'Xc'].includes(name)) {
      return name === 'Ns' ? this.#mdoc(rest) : '';
    }
    if (name === 'Nm') {
      if (rest[0] !== undefined && !PUNCTUATION.test(rest[0]) && this.#name === '')
        this.#name = rest[0];
      return rest.length === 0
        ? this.#name
        : this.#inner(PUNCTUATION.test(rest[0]) ? [this.#name, ...rest] : rest);
    }
    if (name === 'Nd') return `— ${this.#inner(rest)}`;
    if (name === 'Fl') return this.#inner([`-${rest[0] ?? ''}`, ...rest.slice(1)]);
    if (name === 'Xr') return this.#inner([`${rest[0]}(${rest[1] ?? ''})`, ...rest.slice(2)]);
    const wrap = MDOC_WRAPS.get(name);
    if (wrap !== undefined) {
      const last = PUNCTUATION.test(rest.at(-1) ?? '') ? rest.pop() : '';
      return `${wrap[0]}${this.#inner(rest)}${wrap[1]}${last}`;
    }
    if (MDOC_PLAIN.has(name)) return this.#inner(rest);
    return this.#inner(words);
  }

  #inner(words) {
    let text = '';
    for (let at = 0; at < words.length; at++) {
      const word = words[at];
      const isMacro =
        this.#isMdoc &&
        (MDOC_WRAPS.has(word) ||
          ['Fl', 'Ns', 'Xr', 'Ar', 'Cm', 'Pa', 'Nm', 'No', 'Li', 'Em', 'Sy', 'Ev'].includes(word));
      const rest = isMacro ? this.#mdoc(words.slice(at)) : withoutEscapes(word);
      text += text === '' || PUNCTUATION.test(rest) ? rest : ` ${rest}`;
      if (isMacro) break;
    }
    return text;
  }
}
