/** Files of JSON lines that are made and then damaged, from a seed. */

/** Numbers in 0..1 from a seed (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const KEYS = [
  '"text"',
  '"a"',
  '"b"',
  '"t\\u0065xt"',
  '"c d"',
  '"漢"',
  '"__proto__"',
  '""',
  '"\\ud800"',
];
const VALUES = [
  '1',
  '-0',
  '0',
  '9223372036854775807',
  '9223372036854775808',
  '-9223372036854775808',
  '18446744073709551615',
  '18446744073709551616',
  '9007199254740993',
  '0.1',
  '1.50',
  '1e5',
  '1E+2',
  '1e400',
  '1e-7',
  '-1.25e2',
  '0.1234567890123456789',
  '123456789012345678901234567890.5',
  'true',
  'false',
  'null',
  '{}',
  '[]',
  '{"x":[1,{}]}',
  '["]","}"]',
  '"s"',
  '"\\ud83d\\ude00"',
  '"\\ud83d"',
  '"é"',
  '"\\u0000"',
  '"\\"\\\\"',
  '"🙂"',
  'NaN',
  '-Infinity',
  '{"k":NaN}',
];
const PIECES = [
  '{',
  '}',
  '[',
  ']',
  '"',
  ',',
  ':',
  '\\',
  '\n',
  '\r',
  '\r\n',
  '\n\n',
  ' ',
  '\t',
  '\u0000',
  '0',
  '-',
  'e',
  '\ufeff',
  '{"text":"x"}\n',
  '\\u',
  'null',
];

/** One file. */
export function randomFile(random: () => number): Buffer {
  const below = (n: number): number => Math.floor(random() * n);
  const pick = (from: readonly string[]): string => from[below(from.length)]!;
  const lines: string[] = [];
  for (let left = below(8); left >= 0; left--) lines.push(randomLine(below, pick));
  const end = pick(['\n', '\r\n', '\n', '\n \n']);
  let bytes: Buffer = Buffer.from(
    `${random() < 0.1 ? '\ufeff' : ''}${lines.join(end)}${random() < 0.5 ? end : ''}`,
  );
  for (let left = random() < 0.5 ? 0 : 1 + below(4); left > 0; left--)
    bytes = damage(bytes, below, pick);
  return bytes;
}

function randomLine(
  below: (n: number) => number,
  pick: (from: readonly string[]) => string,
): string {
  const kind = below(20);
  if (kind === 0) return pick(VALUES);
  if (kind === 1) return '';
  const fields = [`"text":${below(8) === 0 ? pick(VALUES) : `"text ${below(1000)} é\\n"`}`];
  for (let left = below(5); left > 0; left--) fields.push(`${pick(KEYS)}:${pick(VALUES)}`);
  if (below(4) === 0) fields.push(fields.shift()!);
  const space = pick(['', '', ' ', '\t']);
  return `${space}{${space}${fields.join(`${space},${space}`)}${space}}${space}`;
}

function damage(
  bytes: Buffer,
  below: (n: number) => number,
  pick: (from: readonly string[]) => string,
): Buffer {
  const at = below(bytes.byteLength + 1);
  const to = Math.min(bytes.byteLength, at + below(12));
  switch (below(6)) {
    case 0:
      return Buffer.concat([bytes.subarray(0, at), Buffer.from(pick(PIECES)), bytes.subarray(at)]);
    case 1:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(to)]);
    case 2:
      return Buffer.concat([bytes.subarray(0, at), Buffer.of(below(256)), bytes.subarray(at + 1)]);
    case 3:
      return Buffer.concat([bytes.subarray(0, to), bytes.subarray(at)]);
    case 4:
      return bytes.subarray(0, at);
    default:
      return Buffer.concat([bytes, bytes]);
  }
}
