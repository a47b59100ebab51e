import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { listTensors } from '../../../src/model/convert/safetensors.ts';
import { smallConfig, writeJson, writeModel, writeRawSafetensors } from '../../support/hf-model.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-safetensors-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let nFolders = 0;

function emptyFolder(): string {
  const dir = join(folder, `${nFolders++}`);
  mkdirSync(dir);
  return dir;
}

/** What reading a file of this header and so many bytes of data throws. */
function refusal(header: unknown, dataBytes: number): { code?: string; message: string } {
  const dir = emptyFolder();
  const text = typeof header === 'string' ? header : JSON.stringify(header);
  writeRawSafetensors(join(dir, 'model.safetensors'), text, new Uint8Array(dataBytes));
  return refusalOf(dir);
}

function refusalOf(dir: string): { code?: string; message: string } {
  try {
    listTensors(dir);
  } catch (error) {
    return error as { code?: string; message: string };
  }
  return { message: 'nothing was thrown' };
}

const tensor = (
  begin: number,
  end: number,
  shape: unknown = [(end - begin) / 4],
  dtype = 'F32',
) => ({
  dtype,
  shape,
  data_offsets: [begin, end],
});

describe('listTensors', () => {
  it('lists tensors with their places, sorted by name', () => {
    const dir = emptyFolder();
    const header = { __metadata__: { a: 'b' }, b: tensor(8, 16), a: tensor(0, 8, [2, 2], 'BF16') };
    writeRawSafetensors(join(dir, 'model.safetensors'), JSON.stringify(header), new Uint8Array(16));
    const start = 8 + JSON.stringify(header).length;
    expect(listTensors(dir)).toEqual([
      {
        name: 'a',
        file: join(dir, 'model.safetensors'),
        offset: start,
        bytes: 8,
        type: 'bf16',
        shape: [2, 2],
      },
      {
        name: 'b',
        file: join(dir, 'model.safetensors'),
        offset: start + 8,
        bytes: 8,
        type: 'f32',
        shape: [2],
      },
    ]);
  });

  it.each([
    ['no JSON', '{"a":', 0, 'JSON'],
    ['an array', '[]', 0, 'no JSON object'],
    [
      'a size that is not the shape’s',
      { a: tensor(0, 8, [3]) },
      8,
      'tensor a: bytes 0..8 for shape [3]',
    ],
    ['a shape that overflows', { a: tensor(0, 8, [2 ** 40, 2 ** 40]) }, 8, 'tensor a'],
    ['a negative extent', { a: tensor(0, 8, [-2]) }, 8, 'shape.0'],
    ['a fractional extent', { a: tensor(0, 8, [2.5]) }, 8, 'shape.0'],
    ['offsets in reverse', { a: tensor(8, 0, [2]) }, 8, 'tensor a'],
    ['offsets beyond the file', { a: tensor(0, 80) }, 8, 'end at byte'],
    ['data behind the tensors', { a: tensor(0, 8) }, 12, 'end at byte'],
    ['an overlap', { a: tensor(0, 8), b: tensor(4, 12) }, 12, 'tensor b overlaps'],
    ['a hole', { a: tensor(0, 8), b: tensor(12, 16) }, 16, 'tensor b leaves a hole'],
    [
      'a name given twice',
      '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}',
      16,
      'leaves a hole',
    ],
    ['no offsets', { a: { dtype: 'F32', shape: [2] } }, 8, 'data_offsets'],
    ['a tensor that is a number', { a: 3 }, 8, 'tensor a'],
  ])('refuses %s', (_, header, dataBytes, reason) => {
    const { code, message } = refusal(header, dataBytes);
    expect(message).toContain(reason);
    expect(code).toBe('MODEL_FILES_INVALID');
  });

  it.each(['F64', 'I64', 'F8_E4M3', 'U8'])('refuses values of type %s by name', (dtype) => {
    const { code, message } = refusal({ a: tensor(0, 8, [1], dtype) }, 8);
    expect([code, message]).toEqual(['MODEL_CONVERT_UNSUPPORTED', expect.stringContaining(dtype)]);
  });

  it('refuses truncated files and headers of any claimed size', () => {
    const dir = emptyFolder();
    writeModel(dir, smallConfig('LlamaForCausalLM'));
    const file = join(dir, 'model.safetensors');
    expect(listTensors(dir)).toHaveLength(21);
    truncateSync(file, 20_000);
    expect(refusalOf(dir).message).toContain('the file at 20000');
    truncateSync(file, 100);
    expect(refusalOf(dir).message).toContain('in a file of 100');
    truncateSync(file, 5);
    expect(refusalOf(dir).message).toContain('cut short');
    writeFileSync(file, Buffer.from('ffffffffffffffff00', 'hex'));
    expect(refusalOf(dir).message).toContain('the bound is');
    writeFileSync(file, Buffer.from('0200000000000000fffe', 'hex'));
    expect(refusalOf(dir).message).toContain('not UTF-8');
  });

  it('reads several files with an index, and without', () => {
    const dir = emptyFolder();
    writeModel(dir, smallConfig('LlamaForCausalLM'), { shards: 3 });
    expect(listTensors(dir)).toHaveLength(21);
    rmSync(join(dir, 'model.safetensors.index.json'));
    expect(listTensors(dir)).toHaveLength(21);
  });

  it('holds an index against the files', () => {
    const dir = emptyFolder();
    writeModel(dir, smallConfig('LlamaForCausalLM'), { shards: 2 });
    const names = listTensors(dir);
    const places = Object.fromEntries(
      names.map(({ name, file }) => [name, file.slice(dir.length + 1)]),
    );
    const index = (weight_map: unknown) =>
      writeJson(dir, 'model.safetensors.index.json', { weight_map });
    index({ ...places, 'more.weight': 'model-1-of-2.safetensors' });
    expect(refusalOf(dir).message).toContain('has no tensor more.weight');
    const { 'model.norm.weight': _, ...fewer } = places;
    index(fewer);
    expect(refusalOf(dir).message).toContain('model.norm.weight');
    index({ ...places, 'model.norm.weight': 'model-3-of-2.safetensors' });
    expect(refusalOf(dir).message).toContain('does not place tensor model.norm.weight');
    index({ ...places, 'model.norm.weight': 3 });
    expect(refusalOf(dir).message).toContain('weight_map');
  });

  it.each(['../other.safetensors', '/etc/passwd', 'a/b.safetensors', '..', '.hidden', '', 'a\0b'])(
    'takes no path from an index: %j',
    (name) => {
      const dir = emptyFolder();
      writeJson(dir, 'model.safetensors.index.json', { weight_map: { a: name } });
      const { code, message } = refusalOf(dir);
      expect([code, message]).toEqual([
        'MODEL_FILES_INVALID',
        expect.stringContaining('is not a file of the folder'),
      ]);
    },
  );

  it('says that pickled weights are not read', () => {
    const dir = emptyFolder();
    writeFileSync(join(dir, 'pytorch_model.bin'), '');
    expect(refusalOf(dir).message).toContain('pickled');
  });
});
