/** Heads of GGUF files: against the other reader of the tests, and damaged in every byte and length. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isGristmillError } from '../../../src/errors.ts';
import { entryText, readGgufHead } from '../../../src/model/merge/gguf-head.ts';
import { RANDOM_MODEL_PRESETS, writeRandomModel } from '../../../src/model/random.ts';
import { formatGguf, parseGguf } from '../../support/gguf-edit.ts';
import { readGguf } from '../../support/gguf-read.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-gguf-head-'));
const model = join(folder, 'model.gguf');
const damaged = join(folder, 'damaged.gguf');
beforeAll(() =>
  writeRandomModel({ ...RANDOM_MODEL_PRESETS.tiny, type: 'bf16', path: model, seed: 1 }),
);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('readGgufHead', () => {
  it('finds what another reader finds', () => {
    const [head, other] = [readGgufHead(model), readGguf(model)];
    expect([...head.entries.keys()]).toEqual(Object.keys(other.entries));
    expect(entryText(head.entries.get('general.architecture'))).toBe('"llama"');
    expect(entryText(head.entries.get('llama.block_count'))).toBe('2');
    const file = readFileSync(model);
    for (const { name, shape, type, offset, bytes } of head.tensors) {
      const tensor = other.tensors.get(name)!;
      expect([shape, type]).toEqual([tensor.shape, tensor.type === 0 ? 'f32' : 'bf16']);
      expect(file.subarray(offset, offset + bytes).equals(tensor.bytes)).toBe(true);
    }
    expect(head.tensors.length).toBe(other.tensors.size);
  });

  it('reads files whose data lie at multiples of 64', () => {
    const file = parseGguf(model);
    file.entries.set('general.alignment', { type: 4, value: 64 });
    const bytes = formatGguf(file, 64);
    writeFileSync(damaged, bytes);
    const [tensor] = readGgufHead(damaged).tensors;
    expect(
      bytes.subarray(tensor!.offset, tensor!.offset + tensor!.bytes).equals(file.tensors[0]!.bytes),
    ).toBe(true);
  });

  it('answers any damage with a code', () => {
    const whole = readFileSync(model);
    const headBytes = readGgufHead(model).tensors[0]!.offset;
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(headBytes - 1), fc.nat(255)), { maxLength: 4 }),
        fc.option(fc.nat(whole.length)),
        (changes, length) => {
          const bytes = Buffer.from(whole.subarray(0, length ?? whole.length));
          for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
          writeFileSync(damaged, bytes);
          try {
            const { tensors } = readGgufHead(damaged);
            for (const { offset, bytes: size } of tensors) {
              expect(offset + size).toBeLessThanOrEqual(bytes.length);
            }
          } catch (error) {
            if (!isGristmillError(error)) throw error;
            expect(['MODEL_FILES_INVALID', 'MODEL_MERGE_REFUSED']).toContain(error.code);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it('refuses a part of a model, names that come twice, and counts beyond the file', () => {
    const file = parseGguf(model);
    file.entries.set('split.count', { type: 4, value: 2 });
    writeFileSync(damaged, formatGguf(file));
    expect(() => readGgufHead(damaged)).toThrow(/split\.count: a part of a model/);
    file.entries.delete('split.count');
    file.tensors.push(file.tensors[0]!);
    writeFileSync(damaged, formatGguf(file));
    expect(() => readGgufHead(damaged)).toThrow(/is there twice/);
    const counts = Buffer.from(readFileSync(model));
    counts.writeBigUInt64LE(2n ** 62n, 8);
    writeFileSync(damaged, counts);
    expect(() => readGgufHead(damaged)).toThrow(
      expect.objectContaining({ code: 'MODEL_FILES_INVALID' }),
    );
  });
});
