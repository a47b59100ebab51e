/** A refined corpus of hostile documents, in a folder that goes with the tests. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { refineCorpus } from '../../src/refine/run.ts';
import type { RefineCorpusOptions } from '../../src/refine/run-options.ts';

export const base = mkdtempSync(join(tmpdir(), 'gristmill-report-'));
afterAll(() => rmSync(base, { recursive: true, force: true }));

const PROSE =
  'The miller opened the gate at dawn, and the water took the wheel round while the first carts came up the lane.';
const NOISE = [
  'Home',
  'Log in',
  'Accept all cookies',
  'Share on',
  'Subscribe',
  'Copyright 2024',
  'Next »',
];

/** What tries to get out of its text. */
export const HOSTILE = [
  '<script>window.pwned = true; alert(1)</script>',
  '"><img src="https://evil.example/x.png" onerror="window.pwned=true">',
  "</pre></details></style><style>body{display:none}</style><link rel='stylesheet' href='//evil.example/a.css'>",
  '\u202eright to left override\u2066',
  '\u001b[31mred\u001b]0;title\u0007\u0000 nul',
  'javascript:alert(1) [x](javascript:alert(1)) | cell | `code`',
  'half \ud800 pair',
];

let made = 0;

/** Documents whose text, id, address and language are hostile; every fifth is nothing but noise. */
export function hostileInput(nDocs = 60): string {
  const file = join(base, `hostile-${made++} <b>&amp;.jsonl`);
  const lines = Array.from({ length: nDocs }, (_, at) => {
    const nasty = HOSTILE[at % HOSTILE.length]!;
    const body =
      at % 5 === 0
        ? [...NOISE, nasty, ...NOISE]
        : [...NOISE, PROSE, nasty, `${PROSE} ${at}`, ...NOISE, PROSE];
    const long = at === 7 ? [`${nasty}${'x'.repeat(1_000_000)}`] : [];
    return JSON.stringify({
      text: [...body, ...long].join('\n'),
      id: `${nasty} ${at}`,
      url: at % 3 === 0 ? `https://www.site-${at % 4}.example/${at}` : nasty,
      language: at % 2 === 0 ? 'en' : nasty,
    });
  });
  writeFileSync(file, `${lines.join('\n')}\n{"text": 3}\nnot json\n`);
  return file;
}

/** Refines with the defaults. */
export async function refined(
  input: string,
  options: Partial<RefineCorpusOptions> = {},
): Promise<string> {
  const out = join(base, `run-${made++}`);
  await refineCorpus({ inputs: [input], out, isolate: false, threads: 1, workers: 1, ...options });
  return out;
}
