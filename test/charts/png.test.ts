/** PNG of our figures: sizes from the file's own header, and that text is drawn. */
import { inflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { drawFigure } from '../../src/charts/figure.ts';
import { pngOf } from '../../src/charts/png.ts';

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
  const figure = (title: string) => drawFigure(() => ({ title, panels: [] }));

  it('draws at the scale that is asked for, with text', async () => {
    const empty = read(await pngOf(await figure('')));
    const text = read(await pngOf(await figure('learning rate')));
    expect(text.nShades).toBeGreaterThan(empty.nShades + 200);
    const small = read(await pngOf(await figure(''), 1));
    expect([empty.width, empty.height]).toEqual([2 * small.width, 2 * small.height]);
  });

  it('refuses what is no figure', async () => {
    await expect(pngOf('no figure')).rejects.toMatchObject({ code: 'OPTION_INVALID' });
  });
});
