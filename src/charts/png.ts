/**
 * Figures as PNG: resvg in WebAssembly with a font of its own, so that a machine needs neither a browser nor fonts.
 *
 * Nothing is loaded before the first figure is asked for. resvg reads no files and opens no addresses from within it.
 */
import { readFile } from 'node:fs/promises';
import type { Resvg } from '@resvg/resvg-wasm';
import { GristmillError } from '../errors.ts';
import { libraries, libraryFile } from '../libraries/index.ts';
import { inlineFigure } from './figure.ts';
import { paletteOf, withColours } from './theme.ts';

interface Renderer {
  readonly Resvg: typeof Resvg;
  readonly font: Uint8Array;
}

let opened: Promise<Renderer> | null = null;

/**
 * Draws a figure, on light paper.
 *
 * @param svg one of ours: its root has a width
 * @param scale pixels by unit of the figure, above 0. Default 2
 * @throws OPTION_INVALID for what is no SVG
 */
export async function pngOf(svg: string, scale = 2): Promise<Uint8Array> {
  opened ??= open();
  const { Resvg, font } = await opened;
  let drawing: InstanceType<typeof Resvg>;
  try {
    drawing = new Resvg(withColours(inlineFigure(svg), 'light'), {
      fitTo: { mode: 'zoom', value: scale },
      background: paletteOf('light').get('paper')!,
      font: {
        fontBuffers: [font],
        defaultFontFamily: 'DejaVu Sans',
        sansSerifFamily: 'DejaVu Sans',
      },
    });
  } catch (cause) {
    const details = { option: 'svg', expected: 'an SVG figure', received: String(cause) };
    throw new GristmillError('OPTION_INVALID', details, { cause });
  }
  try {
    const image = drawing.render();
    try {
      return Uint8Array.from(image.asPng());
    } finally {
      image.free();
    }
  } finally {
    drawing.free();
  }
}

async function open(): Promise<Renderer> {
  const { initWasm, Resvg } = await libraries.resvg();
  const [wasm, font] = await Promise.all([
    readFile(libraryFile('resvg.wasm')),
    readFile(libraryFile('DejaVuSans.ttf')),
  ]);
  await initWasm(wasm);
  return { Resvg, font };
}
