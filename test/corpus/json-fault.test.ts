import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { jsonFault } from '../../src/corpus/json-fault.ts';

describe('what is wrong with a line', () => {
  it.each([
    ['{"a": NaN}', /^character 7: NaN is no JSON \(Python/],
    ['{"a": [1, -Infinity]}', /^character 11: -Infinity is no JSON \(Python/],
    ["{'a': 1}", /^character 2: expected a key in double quotes$/],
    ['{"a": \'b\'}', /^character 7: single quotes are no JSON$/],
    ['{"a": None}', /^character 7: None is Python/],
    ['{"a": 1,}', /^character 9: expected a key/],
    ['{"a" 1}', /^character 6: expected : after a key$/],
    ['{"a": 01}', /^character 8: expected , or \}$/],
    ['{"a": 1} {"b": 2}', /^character 10: more after the end of the value$/],
    ['{"a": "\t"}', /^character 8: a control character \(U\+0009\) in a string$/],
    ['{"a": "\\x41"}', /^character 8: no JSON escape$/],
    ['{"a": "cut', /^it ends at character 10, inside a string$/],
    ['{"a": "cut\\u00', /^it ends at character 14, inside a string$/],
    ['{"a": {"b": 1}', /^it ends at character 14, inside an object$/],
    ['{"a": [1', /^it ends at character 8, inside an array$/],
    ['{', /^it ends at character 1, inside an object$/],
    ['[', /^it ends at character 1, where a value is expected$/],
    ['#', /^character 1: no JSON value begins so$/],
    ['[1}', /^character 3: expected , or \]$/],
  ])('%s', (line, expected) => {
    expect(() => JSON.parse(line)).toThrow();
    expect(jsonFault(line)).toMatch(expected);
  });

  it('a bracket of any depth does not exhaust the stack', () => {
    expect(jsonFault('['.repeat(300_000))).toMatch(/where a value is expected/);
  });

  it('property: it finds a fault in whatever JSON.parse refuses, and none in what it takes', () => {
    const mutated = fc
      .tuple(fc.json(), fc.nat(), fc.constantFrom('', '"', '{', '}', ',', ':', '1', '\\', 'n', ' '))
      .map(([json, at, piece]) => {
        const index = at % (json.length + 1);
        return json.slice(0, index) + piece + json.slice(index + 1);
      });
    fc.assert(
      fc.property(mutated, (line) => {
        let valid = true;
        try {
          JSON.parse(line);
        } catch {
          valid = false;
        }
        expect(jsonFault(line) === 'it is not JSON').toBe(valid);
      }),
      { numRuns: 3000 },
    );
  });
});
