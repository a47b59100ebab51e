/**
 * Writes four small corpora of web pages, and clean held-out text of each: `node examples/chain/make-corpora.mjs OUT [PAGES] [SEED]`.
 *
 *     OUT/NAME.jsonl             pages as a crawl has them: text inside menus, notices, shares, comments; some without any text
 *     OUT/held-out/NAME.jsonl    the text alone, of pages that are in no corpus
 *
 * Sentences are drawn from templates written for this example, the chrome around them is that of the example corpus
 * (../corpus). A function of PAGES and SEED alone: the same bytes on every machine. The corpora differ in size, as corpora do:
 * `tides` has all PAGES, `garden` a third of them.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { renderPage } from '../corpus/page.mjs';
import { Random } from '../corpus/random.mjs';
import { readChrome } from '../corpus/source.mjs';

/**
 * @typedef {object} Domain
 * @property {string} kind of the page, as page.mjs knows it
 * @property {number} share of PAGES
 * @property {Record<string, string[]>} words
 * @property {string[]} titles
 * @property {string[]} sentences
 */

/** @type {Record<string, Domain>} */
const DOMAINS = {
  tides: {
    kind: 'article',
    share: 1,
    words: {
      boat: [
        'the Grey Linnet',
        'the Marigold',
        'the ferry Ansgar',
        'a pilot cutter',
        'the dredger Oxeye',
        'the trawler Wren',
      ],
      place: [
        'the outer harbour',
        'Saltmarsh Quay',
        'the north breakwater',
        'the lock at Fenwick',
        'the old slipway',
        'Gull Sound',
      ],
      wind: [
        'a steady north-easterly',
        'a light westerly',
        'gusts from the south',
        'a falling breeze',
      ],
      who: [
        'The harbour master',
        'A spokeswoman for the port',
        'The lifeboat crew',
        'Two anglers',
        'The pilots',
        'The council',
      ],
      when: [
        'before dawn on Tuesday',
        'shortly after the evening tide',
        'on Saturday afternoon',
        'at slack water',
        'late on Thursday',
      ],
      number: ['three', 'four', 'seven', 'eleven', 'twenty'],
      cargo: ['timber', 'barley', 'road salt', 'turbine blades', 'ice and herring', 'cement'],
    },
    titles: [
      'Delay for {boat} at {place}',
      'Harbour notes: {cargo} and {wind}',
      'What the tide left at {place}',
      'New moorings for {place}',
    ],
    sentences: [
      '{who} said that {boat} had left {place} {when} with {number} people aboard.',
      'The tide at {place} stood {number} centimetres above the forecast, and {wind} kept it there until noon.',
      '{boat} came alongside {when}, carrying {cargo}, and was unloaded by {number} men in a single shift.',
      '{who} asked small craft to keep clear of {place} while the channel is sounded again.',
      'With {wind} and a strong ebb, {boat} needed two tugs to turn off {place}.',
      'Work on the lights at {place} will go on for {number} weeks, {who} announced {when}.',
      'Nobody was hurt when a rope parted {when} at {place}, although the quay was closed for {number} hours.',
      'Landings of {cargo} rose again this month, while {number} berths at {place} stood empty.',
      'Fog held {boat} outside the bar for most of the night; the horn at {place} sounded every {number} seconds.',
      '{who} expects {wind} for the rest of the week, and a spring tide of more than {number} metres.',
      'The buoy that had drifted off {place} was found {when} by the crew of {boat}.',
      'Divers inspected the gates near {place} and reported {number} places where the steel is worn.',
    ],
  },
  manuals: {
    kind: 'docs',
    share: 0.8,
    words: {
      part: [
        'the feed roller',
        'the upper bearing',
        'the drive belt',
        'the pressure valve',
        'the cutting head',
        'the oil filter',
      ],
      tool: [
        'a torque wrench',
        'a 6 mm hex key',
        'a soft brush',
        'a feeler gauge',
        'a lint-free cloth',
      ],
      value: ['12 Nm', '0.4 mm', '65 °C', '3 bar', '1500 rpm', '24 V'],
      panel: ['the left side panel', 'the service cover', 'the lower guard', 'the control cabinet'],
      sign: ['E14', 'E22', 'F03', 'F17'],
      often: ['every 200 hours', 'once a month', 'before each shift', 'twice a year'],
    },
    titles: [
      'Replacing {part}',
      'Adjusting {part} to {value}',
      'Fault {sign}: {part}',
      'Maintenance {often}',
    ],
    sentences: [
      'Switch off the machine, wait until {part} has come to rest, and open {panel}.',
      'Loosen the screws with {tool} and lift {part} out of its seat without tilting it.',
      'If the display shows {sign}, measure the gap at {part}: it must not exceed {value}.',
      'Tighten the bolts crosswise to {value}, then turn {part} by hand through one full revolution.',
      'Clean {part} {often} with {tool}; never use solvents or compressed air.',
      'The sensor behind {panel} reports {sign} when the temperature of {part} rises above {value}.',
      'Note the position of the spacer before {part} is removed, as it fits in one direction only.',
      'Set the regulator to {value} and let the machine run empty for five minutes before {panel} is closed.',
      'A worn edge on {part} can be recognised by a dull sound above {value}.',
      'Grease the guide of {part} {often}, using no more than a thin film.',
      'After {sign} has been acknowledged, the counter starts again and {part} moves to its reference point.',
      'Replace {part} and its seal together; the old seal will not hold {value} a second time.',
    ],
  },
  kitchen: {
    kind: 'recipe',
    share: 0.6,
    words: {
      veg: [
        'leeks',
        'small turnips',
        'two onions',
        'a head of fennel',
        'floury potatoes',
        'white beans',
      ],
      fat: ['butter', 'olive oil', 'a spoonful of lard', 'rapeseed oil'],
      spice: ['caraway', 'black pepper', 'sweet paprika', 'thyme', 'a bay leaf', 'nutmeg'],
      time: ['ten minutes', 'twenty minutes', 'half an hour', 'an hour and a quarter'],
      pot: ['a heavy pot', 'a wide pan', 'a baking dish', 'an iron skillet'],
      amount: ['200 g', '350 g', 'half a litre', 'two tablespoons', '80 g'],
      grain: ['barley', 'rye flour', 'semolina', 'oats', 'brown rice'],
    },
    titles: [
      '{veg} with {spice}',
      'A slow pot of {veg}',
      '{grain} baked with {veg}',
      'Soup of {veg} and {grain}',
    ],
    sentences: [
      'Melt {amount} of {fat} in {pot} and let {veg} soften in it for {time} without colouring.',
      'Stir in {amount} of {grain}, season with salt and {spice}, and cover with warm stock.',
      'Cook everything gently for {time}, until {veg} can be crushed against the side of {pot}.',
      'Taste before you add more {spice}, because {grain} takes up salt slowly.',
      'Peel {veg}, cut them into even pieces and dry them well, so that they fry in {fat} instead of steaming.',
      'Leave the dough of {grain} to rest for {time} under a damp cloth.',
      'Bake in {pot} for {time}; the top should be brown and the edge should bubble.',
      'If it turns out too thick, thin it with {amount} of the cooking water and a little {fat}.',
      'My grandmother put {spice} into this, and never measured {grain} in her life.',
      'What is left over keeps for three days and fries well in {fat} with {veg}.',
      'Scatter {spice} over the dish, add a last piece of {fat}, and serve from {pot}.',
      'For a richer version replace half of {grain} with {veg} and double the {fat}.',
    ],
  },
  garden: {
    kind: 'blog',
    share: 0.34,
    words: {
      plant: [
        'the broad beans',
        'the sweet peas',
        'my quince',
        'the black currants',
        'the hellebores',
        'the young apple trees',
      ],
      pest: ['slugs', 'greenfly', 'a family of voles', 'pigeons', 'blackfly'],
      bed: [
        'the raised bed',
        'the strip along the wall',
        'the wet corner',
        'the cold frame',
        'the far end of the plot',
      ],
      month: ['March', 'April', 'late May', 'August', 'October'],
      weather: ['a week of rain', 'the first frost', 'a dry wind', 'warm nights', 'heavy dew'],
      deed: ['mulched', 'weeded', 'dug over', 'watered', 'netted'],
    },
    titles: [
      '{month}: {plant} and {weather}',
      'What happened in {bed}',
      'On {pest}, again',
      'Late {month} in {bed}',
    ],
    sentences: [
      'In {month} I {deed} {bed} and moved {plant} a little further into the sun.',
      'After {weather} {plant} looked as if nothing would ever grow there again.',
      'There were {pest} on {plant}, so I {deed} everything twice and hoped.',
      'My neighbour swears by wood ash against {pest}; {bed} has proved her wrong.',
      'I have never understood why {plant} prefer {bed}, which gets no light before noon.',
      'By {month} {plant} had reached the string, and {weather} did the rest.',
      'We {deed} {bed} by hand, stopped for tea, and found {pest} under every stone.',
      'Nothing tells you more about a garden than {weather} in {month}.',
      'Next year {plant} will go into {bed}, whatever {pest} may think of it.',
      'I cut back {plant} too hard in {month}, and {weather} punished me for it.',
      'The seedlings from {bed} are strong enough now, though {pest} have taken the outer row.',
      'If {weather} comes before the end of {month}, I leave {plant} as they are and do nothing at all.',
    ],
  },
};

/** Pages whose text says nothing: one in so many. */
const EMPTY_EVERY = 12;
const N_SITES = 9;

/** @param {string} template @param {Domain} domain @param {Random} random */
function fill(template, { words }, random) {
  const text = template.replace(/\{(\w+)\}/g, (whole, name) =>
    words[name] ? random.pick(words[name]) : whole,
  );
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** @param {string} name @param {Domain} domain @param {string} key @returns {import('../corpus/source.mjs').Source} */
function sourceOf(name, domain, key) {
  const random = new Random(`chain ${key}`);
  const title = fill(random.pick(domain.titles), domain, random);
  const body = Array.from({ length: random.int(3, 7) }, () => {
    const text = Array.from({ length: random.int(2, 4) }, () =>
      fill(random.pick(domain.sentences), domain, random),
    ).join(' ');
    return { text, role: /** @type {const} */ ('content') };
  });
  const site = `${name}-${random.int(1, N_SITES)}.example`;
  return {
    kind: domain.kind,
    language: 'en',
    domain: site,
    slug: key.replaceAll(' ', '-'),
    tags: [name],
    title,
    body,
  };
}

/** @param {string} folder @param {number} nPages @param {number} seed */
function write(folder, nPages, seed) {
  const chrome = readChrome().get('en');
  if (!chrome) throw new Error('no English chrome');
  mkdirSync(join(folder, 'held-out'), { recursive: true });
  for (const [name, domain] of Object.entries(DOMAINS)) {
    const count = Math.max(1, Math.round(nPages * domain.share));
    const nHeldOut = Math.max(20, Math.round(nPages / 10));
    const sources = Array.from({ length: count + nHeldOut }, (_, page) =>
      sourceOf(name, domain, `${name} ${seed} ${page}`),
    );
    const headlines = sources.slice(0, 40).map(({ title }) => title);
    const pages = sources.slice(0, count).map((source, page) => {
      const isEmpty = page % EMPTY_EVERY === EMPTY_EVERY - 1;
      const lines = renderPage(source, chrome, headlines).filter(({ keep }) => !isEmpty || !keep);
      return {
        id: source.slug,
        url: `https://www.${source.domain}/${source.slug}`,
        text: lines.map(({ text }) => text).join('\n'),
      };
    });
    const clean = sources.slice(count).map((source) => ({
      text: [source.title, ...source.body.map(({ text }) => text)].join('\n'),
    }));
    writeFileSync(
      join(folder, `${name}.jsonl`),
      pages.map((row) => `${JSON.stringify(row)}\n`).join(''),
    );
    writeFileSync(
      join(folder, 'held-out', `${name}.jsonl`),
      clean.map((row) => `${JSON.stringify(row)}\n`).join(''),
    );
  }
}

const [folder, pages = '600', seed = '1'] = process.argv.slice(2);
if (!folder) throw new Error('usage: make-corpora.mjs OUT [PAGES] [SEED]');
write(folder, Number(pages), Number(seed));
