/**
 * Where the loader looks for the libraries that we build: beside them, and nowhere else. An empty entry in `RUNPATH` stands for
 * the working directory: a libgomp.so.1 that lay there was loaded, and its code run, by every command that opens the engine.
 */
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { defaultModelFile } from '../../src/paths.ts';
import { defaultSizes } from '../../src/refine/devices.ts';

const folder = fileURLToPath(new URL('../../build/Release', import.meta.url));
const DYNAMIC = 2;
const LOAD = 1;
const TAG = { STRTAB: 5n, RPATH: 15n, RUNPATH: 29n } as const;

/** Entries of the search path of a 64-bit little-endian ELF file; null for files of another form. */
function searchPath(file: Buffer): string[] | null {
  if (file.toString('latin1', 0, 6) !== '\x7fELF\x02\x01') return null;
  const start = Number(file.readBigUInt64LE(32));
  const size = file.readUInt16LE(54);
  const segments = Array.from({ length: file.readUInt16LE(56) }, (_, index) => {
    const at = start + index * size;
    const field = (offset: number) => Number(file.readBigUInt64LE(at + offset));
    return { type: file.readUInt32LE(at), offset: field(8), address: field(16), bytes: field(32) };
  });
  const dynamic = segments.find(({ type }) => type === DYNAMIC)!;
  const entries: [bigint, number][] = [];
  for (let at = dynamic.offset; at < dynamic.offset + dynamic.bytes; at += 16) {
    entries.push([file.readBigUInt64LE(at), Number(file.readBigUInt64LE(at + 8))]);
  }
  const table = entries.find(([tag]) => tag === TAG.STRTAB)![1];
  const holder = segments.find(
    ({ type, address, bytes }) => type === LOAD && table >= address && table < address + bytes,
  )!;
  const strings = table - holder.address + holder.offset;
  return entries
    .filter(([tag]) => tag === TAG.RPATH || tag === TAG.RUNPATH)
    .flatMap(([, at]) => {
      const begin = strings + at;
      return file.toString('latin1', begin, file.indexOf(0, begin)).split(':');
    });
}

describe.skipIf(process.platform !== 'linux')('the search path of the libraries', () => {
  const names = existsSync(folder)
    ? readdirSync(folder).filter((name) => /\.(so|node)$/.test(name))
    : [];

  it('is read from files that are there', () => {
    expect(names).toContain('gristmill.node');
    expect(names).toContain('libgristmill-llama.so');
    expect(names).toContain('libggml-cpu.so');
  });

  it.each(names)('%s looks beside itself alone', (name) => {
    const entries = searchPath(readFileSync(join(folder, name)));
    // The CUDA backend may also name the toolkit's folder, absolutely.
    const toolkit = name.includes('cuda') ? entries?.slice(1) : [];
    expect(entries).toEqual(['$ORIGIN', ...(toolkit ?? [])]);
    for (const entry of toolkit ?? []) expect(entry).toMatch(/^\//);
  });

  it('says in the words of the loader why a backend is not there', () => {
    // What was said before: `device cpu is not there; available: none`.
    const copy = mkdtempSync(join(tmpdir(), 'gristmill-runpath-'));
    try {
      cpSync(folder, copy, { recursive: true });
      writeFileSync(join(copy, 'libggml-cpu.so'), 'no library');
      // The refiner that writes programs is a model of llama.cpp's; those that score need no backend.
      const options = { ...defaultSizes('cpu'), modelPath: defaultModelFile('programs') };
      const script = `const { Engine } = require(process.argv[1]);
        new Engine({ ...JSON.parse(process.argv[2]), device: 'cpu', nCtxSlot: 512 }).open()
          .catch((error) => console.log(JSON.stringify(error)));`;
      const args = ['-e', script, join(copy, 'gristmill.node'), JSON.stringify(options)];
      const said = execFileSync(process.execPath, args, { encoding: 'utf8' });
      expect(said).toMatch(/ENGINE_DEVICE_MISSING.*libggml-cpu\.so: .*(header|ELF|too short)/);
    } finally {
      rmSync(copy, { recursive: true, force: true });
    }
  });
});
