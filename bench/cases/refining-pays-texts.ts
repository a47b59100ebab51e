/** Texts of the case `refining-pays` as files. */
import { writeFileSync } from 'node:fs';

/** Writes texts as JSON lines. @returns their bytes (UTF-8), without the JSON around them */
export function writeTexts(file: string, texts: readonly string[]): number {
  writeFileSync(file, texts.map((text) => `${JSON.stringify({ text })}\n`).join(''));
  return texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
}
