import { describe, expect, it } from 'vitest';
import { type EncoderHeader, HeaderFault, readHeader } from '../../src/lines/encoder-header.ts';

const sizes = { nFeatures: 3, maxBins: 4 };
const header: EncoderHeader = {
  version: 2,
  kind: 'line-score',
  head: 'stack',
  treeShare: 0.5,
  hashBits: 16,
  bins: { nFeatures: 0, maxBins: 2 },
  stack: { logisticBins: sizes, treeBins: sizes, base: -0.25, nTreeFeatures: 3 },
  calibration: { slope: 1, intercept: 0, byDoubt: { slope: 2, intercept: -1 } },
  thresholds: [{ retention: 0.99, threshold: 0.25, noiseRemoved: 0.5 }],
  arrays: { 'trees.cut': { type: 'u8', length: 3, offset: 8 } },
};

/** A copy with a value in the place of the one at `path`; `undefined` takes it away. */
function changed(path: string, value: unknown): unknown {
  const copy = JSON.parse(JSON.stringify(header)) as Record<string, unknown>;
  const names = path.split('/');
  const last = names.pop()!;
  let place = copy;
  for (const name of names) place = place[name] as Record<string, unknown>;
  if (value === undefined) delete place[last];
  else place[last] = value;
  return copy;
}

describe('readHeader', () => {
  it('gives back what is right, with what may be missing and without', () => {
    expect(readHeader(structuredClone(header))).toEqual(header);
    const { byDoubt: _, ...calibration } = header.calibration;
    const bare = { ...header, stack: null, calibration, thresholds: [], arrays: {} };
    expect(readHeader(bare)).toEqual(bare);
    expect(readHeader(bare).calibration).not.toHaveProperty('byDoubt');
  });

  it.each([
    ['version', 1, 'version is 1, expected 2'],
    ['kind', 'language', 'kind is "language", expected line-score or document-score'],
    ['head', undefined, 'head is nothing, expected network or stack'],
    ['treeShare', 1.5, 'treeShare is 1.5, expected a number in 0..1'],
    ['treeShare', null, 'treeShare is null, expected a number in 0..1'],
    ['hashBits', 25, 'hashBits is 25, expected a whole number in 1..24'],
    ['hashBits', 2.5, 'hashBits is 2.5, expected a whole number in 1..24'],
    ['bins', [], 'bins is [], expected an object'],
    ['bins/maxBins', 1, 'bins.maxBins is 1, expected a whole number in 2..256'],
    ['bins/more', 1, 'bins.more is 1, expected nothing'],
    ['stack', undefined, 'stack is nothing, expected an object'],
    ['stack/base', '0', 'stack.base is "0", expected a number'],
    ['stack/treeBins/nFeatures', 4097, 'stack.treeBins.nFeatures is 4097, expected a whole number'],
    ['calibration/byDoubt/slope', undefined, 'calibration.byDoubt.slope is nothing'],
    ['thresholds', {}, 'thresholds is {}, expected an array'],
    ['thresholds/0/threshold', true, 'thresholds[0].threshold is true, expected a number'],
    ['arrays', null, 'arrays is null, expected an object'],
    ['arrays/trees.cut/type', 'f64', 'arrays.trees.cut.type is "f64", expected f32 or i32'],
    ['arrays/trees.cut/offset', -8, 'arrays.trees.cut.offset is -8, expected a whole number'],
    ['more', 'x'.repeat(99), 'more is "xxx'],
  ])('refuses %s: %j', (path, value, said) => {
    expect(() => readHeader(changed(path, value))).toThrow(HeaderFault);
    expect(() => readHeader(changed(path, value))).toThrow(said);
  });

  it('refuses what is no object, and cuts what it shows', () => {
    expect(() => readHeader('text')).toThrow('the header is "text", expected an object');
    expect(() => readHeader(changed('more', 'x'.repeat(99)))).toThrow(/^more is "x{39}, expected/);
  });
});
