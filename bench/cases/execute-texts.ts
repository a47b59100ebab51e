/** Seeded documents that look like extracted web pages, each with a program in the spelling of ProX. */

/** A document and its program. */
export interface ProgrammedText {
  readonly text: string;
  readonly program: string;
}

const WORDS =
  'the of and to in is that for it as was with be by on not he his but at are this have from or had an they which one you were all her she there would their we him been has when who will no more if out so said what up its about than into them can only other time new some could these two may first then do any like my now over such our man me even most made after also did many off before must well back through years much where your way down should because long each just state those people too mr how little good world make very year still see own work men day get here between both life being under three never know same last another while us might great go come since against right came take used himself few house use during without again place american around however home small found thought went say part once général naïve Straße größer café'.split(
    ' ',
  );

/** Documents of about 2.5 kB, `nBytes` in total. */
export function makeTexts(nBytes: number, seed: number): ProgrammedText[] {
  const texts: ProgrammedText[] = [];
  let state = seed >>> 0;
  const random = (below: number): number => {
    // mulberry32
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
  const words = (count: number): string =>
    Array.from({ length: count }, () => WORDS[random(WORDS.length)]!).join(' ');
  let total = 0;
  for (let doc = 0; total < nBytes; doc++) {
    const link = `http://example.org/page?id=${doc}&ref=${random(1000)}`;
    const lines = ['Home | About | Contact', `You are here: ${words(3)}`, `${words(6)}`];
    const nParagraphs = 9 + random(15);
    for (let paragraph = 0; paragraph < nParagraphs; paragraph++) {
      const cites = paragraph === 2 ? ` (see ${link}, cited)` : '';
      lines.push(`${words(8 + random(45))}${cites}.`);
      if (random(3) === 0) lines.push('');
    }
    const body = lines.length;
    lines.push('Share this page', `© 2024 ${words(2)}. All rights reserved.`, 'Privacy | Terms');
    const text = lines.join('\n');
    const program = [
      'remove_lines(start=0, end=1)',
      `normalize(source_str=" (see ${link}, cited)", target_str="")`,
      ...(random(2) ? [`remove_lines(start=${body}, end=${lines.length - 1})`] : []),
      ...(random(2) ? [`remove_lines(start=${body - 1}, end=${body - 1})`] : []),
      ...(random(4) === 0 ? ['normalize(source_str="Read more »", target_str="")'] : []),
    ].join('\n');
    texts.push({ text, program });
    total += text.length;
  }
  return texts;
}
