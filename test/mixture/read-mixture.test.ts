import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readMixture } from '../../src/mixture/read-mixture.ts';

const folder = mkdtempSync(join(tmpdir(), 'read-mixture-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let nFiles = 0;
const read = (extension: string, text: string) => {
  const file = join(folder, `m${nFiles++}.${extension}`);
  writeFileSync(file, text);
  return readMixture(file);
};
const ash = { ash: 0.75, elm: 0.25 };

describe('readMixture', () => {
  it.each([
    ['weights by name', 'json', JSON.stringify(ash)],
    ['with a byte order mark', 'json', `\ufeff${JSON.stringify(ash)}`],
    ['indented by tabs', 'json', JSON.stringify(ash, null, '\t')],
    ['under weights', 'json', JSON.stringify({ name: 'x', weights: ash })],
    ['side by side', 'json', '{"domains":["ash","elm"],"weights":[0.75,0.25],"nUnits":100}'],
    [
      'DoReMi',
      'json',
      '{"train_domain_weights":{"ash":0.75,"elm":0.25},"eval_domain_weights":{"ash":1}}',
    ],
    ['Olmix', 'json', '[{"domain":"ash","weight":0.75},{"domain":"elm","weight":0.25}]'],
    ['RegMix', 'yaml', 'train:\n  ash: 0.75\n  elm: 0.25\nvalid:\n  ash: 1.0\nmodel_name: tiny\n'],
    ['RegMix as a list', 'yml', 'train:\n  - ash: 0.75\n  - elm: 0.25\n'],
    [
      'OLMo-core',
      'yaml',
      'sources:\n  - source_name: ash\n    target_ratio: 0.75\n    paths: [a]\n  - {source_name: elm, target_ratio: 0.25, paths: [b]}\n',
    ],
    ['names and weights', 'csv', 'domain,weight\nash,0.75\nelm,0.25\n'],
    ['the same by tabs', 'tsv', '\ufeffdomain\tweight\r\nash\t0.75\r\nelm\t0.25\r\n'],
    ['the same by semicolons', 'csv', 'domain;weight\nash;0,75\nelm;0,25\n'],
    ['a row of a table', 'csv', 'index,ash,elm\n1,0.75,0.25\n2,1,0\n'],
  ])('reads %s', async (_, extension, text) => {
    const { domains, ids, weights, notes } = await read(extension, text);
    expect([domains, ids, [...weights], notes]).toEqual([['ash', 'elm'], ['1'], [0.75, 0.25], []]);
  });

  it.each([
    ['json', '{"ash":3,"elm":1}', 4],
    ['json', '{"ash":75,"elm":25}', 100],
    ['yaml', 'ash: 75 %\nelm: 25%\n', 1],
    ['yaml', 'ash: 1.5e+1\nelm: 5\n', 20],
    ['csv', 'domain,weight\nash,3000000000\nelm,1e9\n', 4e9],
  ])('divides weights of any sum by it, and says so: %s %j', async (extension, text, sum) => {
    const { weights, notes } = await read(extension, text);
    expect([...weights]).toEqual([0.75, 0.25]);
    expect(notes.join()).toMatch(sum === 1 ? /^$/ : new RegExp(`sum to ${sum} and are divided`));
  });

  it('keeps every name: prototypes are domains too', async () => {
    for (const extension of ['json', 'yaml']) {
      const text = '{"ash":0.5,"__proto__":0.25,"constructor":0.25}';
      const { domains, weights } = await read(extension, text);
      expect([domains, [...weights]]).toEqual([
        ['ash', '__proto__', 'constructor'],
        [0.5, 0.25, 0.25],
      ]);
    }
  });

  it.each([
    ['json', '{"ash":0.5,"ash":0.5}', /distinct names of domains/],
    ['yaml', 'ash: 0.5\nash: 0.5\n', /distinct names of domains/],
    [
      'json',
      '{"train_ash":0.5,"ash":0.3,"elm":0.2}',
      /one column for ash, found train_ash and ash/,
    ],
    ['csv', 'domain,weight\nash,1\nash,1\n', /one column for ash, found ash twice/],
    ['csv', 'domain,weight\n ,1\nash,1\n', /the name of a domain/],
    ['json', '{"ash":-0.5,"elm":1.5}', /column ash: expected a weight of at least 0, found -0.5/],
    ['json', '{"ash":0,"elm":0}', /weights of a sum above 0, found 0/],
    ['json', '{"ash":1e999,"elm":0}', /column ash: expected a finite number/],
    ['yaml', 'ash: .nan\nelm: 1\n', /column ash: expected a weight, found nothing/],
    ['json', '{"ash":0.5,', /expected JSON of weights by domain, found {"ash":0.5,/],
    ['json', '{"ash":{"a":1}}', /expected weights by domain/],
    ['json', '{"ash":null,"elm":1}', /expected weights by domain/],
    ['json', '[]', /expected weights by domain/],
    ['yaml', 'ash: [1\n', /expected YAML of weights by domain/],
    ['csv', 'domain,weight\n', /expected weights by domain, found none/],
  ])('refuses %s %j', async (extension, text, message) => {
    const error = await read(extension, text).catch((cause) => cause);
    expect(error.code).toBe('MIXTURE_TABLE_INVALID');
    expect(error.message).toMatch(message);
  });
});
