/** The bundled libraries, as the build makes them: in a folder where no package is to be found. */
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { libraries, libraryFile } from '../../src/libraries/index.ts';
import { distFile } from '../../src/paths.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-libraries-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
cpSync(distFile('libraries'), folder, { recursive: true });
type Libraries = typeof libraries;
const load = async <Name extends keyof Libraries>(name: Name) =>
  (await import(/* @vite-ignore */ pathToFileURL(join(folder, `${name}.js`)).href)) as Awaited<
    ReturnType<Libraries[Name]>
  >;

describe('the bundled libraries', () => {
  it('have every name that the sources have', async () => {
    for (const name of Object.keys(libraries) as (keyof Libraries)[]) {
      const wanted = Object.keys(await libraries[name]()).sort();
      expect([name, Object.keys(await load(name)).sort()]).toEqual([name, wanted]);
    }
  });

  it('draw a figure and make a picture of it', async () => {
    const { Plot, parseHTML } = await load('plot');
    const { document } = parseHTML('<!doctype html><html><body></body></html>');
    const figure = Plot.plot({
      document: document as never,
      marks: [Plot.dot([[1, 2]]), Plot.text([[3, 4]], { text: () => 'Wort' })],
    });
    expect(figure.outerHTML).toMatch(/^<svg[\s\S]*<circle[\s\S]*Wort/);
    const { initWasm, Resvg } = await load('resvg');
    await initWasm(readFileSync(join(folder, 'resvg.wasm')));
    const fontBuffers = [readFileSync(join(folder, 'DejaVuSans.ttf'))];
    const svg =
      '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20"><text y="15">W</text></svg>';
    const image = new Resvg(svg, {
      font: { fontBuffers, defaultFontFamily: 'DejaVu Sans' },
    }).render();
    expect([image.width, image.height]).toEqual([40, 20]);
    // The font was found: something is drawn.
    expect(image.pixels.some((value) => value > 0)).toBe(true);
    expect(existsSync(libraryFile('resvg.wasm'))).toBe(true);
  });

  it('ask a bucket, signed', async () => {
    const asked: { url: string | undefined; signature: string | undefined }[] = [];
    const server = createServer(({ url, headers }, answer) => {
      asked.push({ url, signature: headers.authorization });
      answer.writeHead(200, { 'content-length': 5, etag: '"e"' }).end('bytes');
    }).listen(0, '127.0.0.1');
    try {
      await new Promise((resolve) => server.once('listening', resolve));
      const { S3Client, GetObjectCommand } = await load('s3');
      const { port } = server.address() as AddressInfo;
      const client = new S3Client({
        endpoint: `http://127.0.0.1:${port}`,
        ...{ region: 'us-east-1', forcePathStyle: true },
        credentials: { accessKeyId: 'key', secretAccessKey: 'secret' },
      });
      const { Body, ETag } = await client.send(
        new GetObjectCommand({ Bucket: 'bucket', Key: 'a key' }),
      );
      expect([await Body!.transformToString(), ETag]).toEqual(['bytes', '"e"']);
      client.destroy();
    } finally {
      server.close();
    }
    expect(asked[0]!.url).toMatch(/^\/bucket\/a%20key/);
    expect(asked[0]!.signature).toMatch(/^AWS4-HMAC-SHA256 Credential=key\//);
  });

  it('ask the hub', async () => {
    const { listFiles } = await load('hub');
    const asked: string[] = [];
    const fetch = async (url: unknown): Promise<Response> => {
      asked.push(String(url));
      return Response.json([{ type: 'file', path: 'model.gguf', size: 3, oid: 'o' }]);
    };
    const names: string[] = [];
    for await (const { path } of listFiles({ repo: 'owner/name', fetch })) names.push(path);
    expect([names, asked[0]]).toEqual([['model.gguf'], expect.stringContaining('owner/name')]);
  });
});
