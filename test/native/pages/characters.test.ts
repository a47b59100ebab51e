import { expect, it } from 'vitest';
import { native } from '../../../src/native/index.ts';
import { makeTables } from '../../oracle/pages/characters.ts';

it('knows characters as this Node does, but for those of another version of Unicode', () => {
  const own = native().characterTable();
  const node = makeTables();
  const different: number[] = [];
  for (let unit = 0; unit < 65_536; unit++) {
    const same =
      own.plain[unit] === node.plain[unit] &&
      own.folded[own.plain[unit]!] === node.folded[node.plain[unit]!] &&
      own.classes[unit] === node.classes[node.plain[unit]!];
    if (!same) different.push(unit);
  }
  if (own.unicode === process.versions['unicode']) {
    expect(different).toEqual([]);
    return;
  }
  // Characters that one of the two versions does not assign have no class there; others hardly ever change.
  const changed = different.filter(
    (unit) => own.classes[unit] !== 0 && !/\p{Cn}/u.test(String.fromCharCode(unit)),
  );
  expect(changed.length).toBeLessThan(20);
});
