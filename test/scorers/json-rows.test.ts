import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { ByteLine } from '../../src/corpus/byte-lines.ts';
import { jsonItems } from '../../src/scorers/json-rows.ts';

async function* groups(text: string): AsyncGenerator<ByteLine[]> {
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    const bytes = Buffer.from(line);
    yield [{ bytes, byteLength: bytes.length, line: index + 1, row: index, byteOffset: 0 }];
  }
}

async function itemsOf(text: string, maxBytes = 1 << 20) {
  const found: { readonly value?: unknown; readonly line: number; readonly fault?: string }[] = [];
  for await (const { bytes, line, fault } of jsonItems(groups(text), maxBytes)) {
    found.push(fault ? { line, fault } : { line, value: JSON.parse(bytes.toString()) });
  }
  return found;
}

it('gives one value a line', async () => {
  expect(await itemsOf('{"a":1}\n\n{"a":2}\n')).toEqual([
    { line: 1, value: { a: 1 } },
    { line: 3, value: { a: 2 } },
  ]);
});

it('gives the items of an array, however it is printed', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.dictionary(fc.string(), fc.jsonValue()), { maxLength: 5 }),
      fc.constantFrom(undefined, 2, '\t'),
      async (rows, indent) => {
        const text = JSON.stringify(rows, null, indent);
        const found = await itemsOf(`\n ${text} \n\n`);
        expect(found.map(({ value }) => value)).toEqual(JSON.parse(text));
        for (const { line } of found) {
          if (indent !== undefined) expect(text.split('\n')[line - 2]).toMatch(/^\s+\{/);
        }
      },
    ),
  );
});

it.each([
  ['[{"a":1},', 1, /without its end/],
  ['[\n{"a":"]"', 2, /without its end/],
  ['[{"a":1},,{"a":2}]', 1, /nothing between two items/],
  ['[{"a":1},]', 1, /nothing between two items/],
  ['[{"a":1}]\n[{"a":2}]', 2, /something behind the array/],
  ['[{"a":1}]\n]', 2, /something behind the array/],
  ['[\n{"a":"xxxxxxxxxxxxxxxxxxxx",\n"b":"xxxxxxxxxxxxxxxxxxxxxx"}]', 2, /more than 40 bytes/],
])('says what is wrong with %j', async (text, line, fault) => {
  const found = await itemsOf(text, 40);
  expect(found.at(-1)).toEqual({ line, fault: expect.stringMatching(fault) });
});
