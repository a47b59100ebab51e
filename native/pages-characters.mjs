#!/usr/bin/env node
/**
 * Writes native/pages/character_table.cc: what the featuriser of pages knows about the characters of the basic plane.
 *
 * Run by hand when the table is to follow a newer Unicode version; a model that was trained with another table must then
 * be trained again. The table is checked in, so that a build and its scores depend on no Node and no ICU; its header says
 * which version of Unicode it is of.
 */
import { writeFileSync } from 'node:fs';

const [LETTER, UPPER, DIGIT, SPACE, UNSPACED] = [1, 2, 4, 8, 16];
const N_UNITS = 65_536;
const isSurrogate = (unit) => unit >= 0xd800 && unit <= 0xdfff;
const UNSPACED_SCRIPTS = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]/u;

function classOf(unit) {
  // Planes 2 and 3 are Han; the low half of a pair belongs to the character before.
  if (isSurrogate(unit)) return unit >= 0xd840 && unit <= 0xd888 ? LETTER | UNSPACED : 0;
  const character = String.fromCharCode(unit);
  let bits = 0;
  // Marks are part of words: Hindi and Arabic would fall apart without them.
  if (/\p{L}|\p{M}/u.test(character)) bits |= LETTER;
  if (/\p{Lu}|\p{Lt}/u.test(character)) bits |= UPPER;
  if (/\p{N}/u.test(character)) bits |= DIGIT;
  if (/\s/.test(character)) bits |= SPACE;
  if ((bits & (LETTER | DIGIT)) !== 0 && UNSPACED_SCRIPTS.test(character)) bits |= UNSPACED;
  return bits;
}

/** What a unit stands for (NFKC, where that is one unit). */
function plainOf(unit) {
  if (isSurrogate(unit)) return unit;
  const compatible = String.fromCharCode(unit).normalize('NFKC');
  return compatible.length === 1 ? compatible.charCodeAt(0) : unit;
}

/** Lower case, where that is one unit. */
function lowerOf(unit) {
  if (isSurrogate(unit)) return unit;
  const lower = String.fromCharCode(unit).toLowerCase();
  return lower.length === 1 ? lower.charCodeAt(0) : unit;
}

/** Runs of equal classes: first unit, bits. */
function classRuns() {
  const runs = [];
  for (let unit = 0; unit < N_UNITS; unit++) {
    const bits = classOf(unit);
    if (runs.length === 0 || runs.at(-1)[1] !== bits) runs.push([unit, bits]);
  }
  return runs;
}

/** Units that become others, as runs of one step and one distance: first unit, count, step, first target. */
function mappingRuns(targetOf) {
  const runs = [];
  for (let unit = 0; unit < N_UNITS; unit++) {
    const target = targetOf(unit);
    if (target === unit) continue;
    const run = runs.at(-1);
    const step = run ? unit - (run[0] + (run[1] - 1) * run[2]) : 0;
    const distance = run ? run[3] - run[0] : 0;
    if (run && target - unit === distance && step <= 2 && (run[1] === 1 || run[2] === step)) {
      run[1]++;
      run[2] = step;
    } else {
      runs.push([unit, 1, 1, target]);
    }
  }
  return runs;
}

for (let unit = 0; unit < N_UNITS; unit++) {
  // The scan asks for space once, after taking a unit for what it stands for.
  if (((classOf(unit) ^ classOf(plainOf(unit))) & SPACE) !== 0) throw new Error(`space ${unit}`);
}

const lines = (rows) => {
  const out = [];
  let line = '   ';
  for (const row of rows) {
    const cell = ` {${row.join(', ')}},`;
    if (line.length + cell.length > 100) {
      out.push(line);
      line = '   ';
    }
    line += cell;
  }
  return [...out, line].join('\n');
};
const file = new URL('./pages/character_table.cc', import.meta.url);
writeFileSync(
  file,
  `// Written by native/pages-characters.mjs from Unicode ${process.versions.unicode}; longer than other files as it is data.
//
// Checked in, so that features depend on no Node and no ICU: every machine sees the characters as
// the models were trained on them, also those that a later version assigns.
#include "pages/character_table.h"

namespace gristmill::pages {

const char* const kUnicodeVersion = "${process.versions.unicode}";

// clang-format off
const std::vector<ClassRun>& ClassRuns() {
  static const std::vector<ClassRun> runs{
${lines(classRuns())}
  };
  return runs;
}

const std::vector<MappingRun>& PlainRuns() {
  static const std::vector<MappingRun> runs{
${lines(mappingRuns(plainOf))}
  };
  return runs;
}

const std::vector<MappingRun>& LowerRuns() {
  static const std::vector<MappingRun> runs{
${lines(mappingRuns(lowerOf))}
  };
  return runs;
}
// clang-format on

}  // namespace gristmill::pages
`,
);
