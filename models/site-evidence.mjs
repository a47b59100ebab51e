/**
 * Fits what a site's repetition weighs: `npm run models:sites -- REFINER FILE…`.
 *
 * Each source of the labelled pages is scored by a refiner that saw none of it; behind those scores the three factors of
 * native/pages/site_evidence.cc are fitted, of all sources and of all but each. Prints them as JSON, with the noise that is
 * removed at 99 % of content without and with the factors that are in use. REFINER is one that can be trained: `default`
 * (half an hour on two cores), or `logistic` and `boosted` for a look.
 */
import { evaluateLines } from '../dist/scorers/cross-validate.js';
import { readGoldPages } from '../dist/scorers/gold.js';
import { lineRefiner } from '../dist/scorers/refiners.js';
import { addSiteRows, fitSiteWeights, noSiteRows } from '../dist/scorers/site-fit.js';
import { countPages } from '../dist/scorers/site-scores.js';

const [refiner, ...files] = process.argv.slice(2);
if (refiner === undefined || files.length === 0) {
  process.stderr.write('usage: npm run models:sites -- REFINER FILE...\n');
  process.exit(2);
}
const pages = [];
for (const file of files) for await (const page of readGoldPages(file)) pages.push(page);
const sites = await countPages(pages);
const bySource = new Map();
const result = await evaluateLines({
  refiner: lineRefiner(refiner, { folds: true }),
  pages,
  nFolds: null,
  leaveOut: 'source',
  sites: true,
  onFold: (fold, nTrain, nScored) =>
    process.stderr.write(`fold ${fold + 1}: ${nTrain} pages train, ${nScored} scored\n`),
  onScores(page, scores) {
    const rows = bySource.get(page.source) ?? noSiteRows();
    bySource.set(page.source, rows);
    addSiteRows(rows, page, scores, sites.steps(page));
  },
});
sites.dispose();

/** Rows of several sources as one. */
function joined(all) {
  const rows = noSiteRows();
  for (const own of all) {
    for (const name of Object.keys(rows)) for (const value of own[name]) rows[name].push(value);
  }
  return rows;
}

function kindsOf({ byPageType, withSites }) {
  return Object.entries(byPageType).map(([kind, own]) => [kind, own, withSites.byPageType[kind]]);
}

const others = (source) =>
  joined([...bySource].filter(([name]) => name !== source).map(([, own]) => own));
console.log(
  JSON.stringify(
    {
      lines: joined([...bySource.values()]).labels.length,
      factors: fitSiteWeights(joined([...bySource.values()])),
      withoutSource: Object.fromEntries(
        [...bySource.keys()].map((source) => [source, fitSiteWeights(others(source))]),
      ),
      pages: result.nDocs,
      noiseRemoved: Object.fromEntries(
        [['all', result, result.withSites], ...kindsOf(result)].map(([name, before, after]) => [
          name,
          {
            pages: before.nDocs,
            without: before.noiseCharsRemovedAt,
            with: after.noiseCharsRemovedAt,
          },
        ]),
      ),
    },
    null,
    2,
  ),
);
