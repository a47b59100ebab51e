/** PNG of our figures: sizes from the file's own header, and that text is drawn. */
import { inflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { pngOf } from '../../src/charts/png.ts';
import { svgOf, textAt } from '../../src/charts/svg.ts';

interface Picture {
  readonly width: number;
  readonly height: number;
  /** Bytes of the filtered rows that are not 0 or 255: edges of something drawn. */
  readonly nShades: number;
}

function read(png: Uint8Array): Picture {
  const bytes = Buffer.from(png);
  expect(bytes.subarray(0, 8).toString('latin1')).toBe('\x89PNG\r\n\x1a\n');
  const data: Buffer[] = [];
  for (let at = 8; at < bytes.length; ) {
    const length = bytes.readUInt32BE(at);
    if (bytes.toString('latin1', at + 4, at + 8) === 'IDAT') {
      data.push(bytes.subarray(at + 8, at + 8 + length));
    }
    at += 12 + length;
  }
  const rows = inflateSync(Buffer.concat(data));
  const nShades = rows.reduce((count, byte) => count + (byte > 8 && byte < 248 ? 1 : 0), 0);
  return { width: bytes.readUInt32BE(16), height: bytes.readUInt32BE(20), nShades };
}

describe('pngOf', () => {
  it('draws at the scale that is asked for, with text', async () => {
    const empty = read(await pngOf(svgOf(120, 40, [])));
    expect([empty.width, empty.height]).toEqual([240, 80]);
    const text = read(await pngOf(svgOf(120, 40, [textAt(5, 20, 'learning rate')])));
    expect(text.nShades).toBeGreaterThan(empty.nShades + 200);
    const small = read(await pngOf(svgOf(120, 40, []), 1));
    expect([small.width, small.height]).toEqual([120, 40]);
  });

  it('refuses what is no figure', async () => {
    await expect(pngOf('no figure')).rejects.toMatchObject({ code: 'OPTION_INVALID' });
  });
});
