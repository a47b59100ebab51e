/**
 * Files beside a corpus that are called like one: `.json` is what JSON lines are called by some, and settings and
 * descriptions of data sets by all.
 */
import type { GristmillError } from '../errors.ts';
import { openFile } from './storage/storages.ts';

const HEAD_BYTES = 1 << 16;
/** First bytes of what is compressed, whatever its name says. */
const COMPRESSED = ['1f8b', '28b52ffd', '425a68', 'fd377a58', '504b0304'];
const CODES: readonly string[] = [
  'CORPUS_FILE_INVALID',
  'CORPUS_COLUMN_MISSING',
  'CORPUS_COLUMN_TYPE',
];

/**
 * Whether a file that a folder or a glob gave, and that cannot be read as JSON lines of texts, is no corpus but something
 * beside one. What seems to hold texts is a corpus that cannot be read, however it is written.
 *
 * @param inputs as they were named: what is named outright is what was meant
 */
export async function isSideFile(
  path: string,
  inputs: readonly string[],
  textColumn: string,
  { code }: GristmillError,
): Promise<boolean> {
  if (!path.toLowerCase().endsWith('.json') || inputs.includes(path)) return false;
  return CODES.includes(code) && !(await seemsToHoldTexts(path, textColumn).catch(() => true));
}

async function seemsToHoldTexts(path: string, textColumn: string): Promise<boolean> {
  const file = await openFile(path);
  try {
    const head = Buffer.from(await file.read(0, HEAD_BYTES));
    if (COMPRESSED.some((mark) => head.toString('hex').startsWith(mark))) return true;
    // Without the zeros of UTF-16 and UTF-32, which need not be told apart for this.
    const text = head.filter((byte) => byte !== 0).toString();
    const key = JSON.stringify(textColumn);
    for (let at = text.indexOf(key); at >= 0; at = text.indexOf(key, at + 1)) {
      if (/^\s{0,64}:\s{0,64}"/.test(text.slice(at + key.length, at + key.length + 130)))
        return true;
    }
    return false;
  } finally {
    await file.close();
  }
}
