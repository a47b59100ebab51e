import { describe, expect, it } from 'vitest';
import { c4 } from '../../../src/scorers/baselines/rules.ts';
import type { KindExample } from '../../../src/scorers/defaults/document-stack.ts';
import {
  defaultDocumentContender,
  kindsLeftOut,
  type LineContender,
  newDomains,
  sourcesLeftOut,
} from '../../../src/scorers/defaults/tables.ts';
import {
  documentKindsTable,
  documentsTable,
  groupsTable,
  lengthsTable,
  lineKindsTable,
  measuresTable,
  sourcesTable,
} from '../../../src/scorers/defaults/tables-markdown.ts';
import { putTables } from '../../../src/scorers/defaults/tables-run.ts';
import { tradeOffFigure } from '../../../src/scorers/defaults/trade-off-figure.ts';
import type { GoldPage } from '../../../src/scorers/gold.ts';
import { groupOf } from '../../../src/scorers/gold.ts';
import type { LineRefiner } from '../../../src/scorers/line-scorer.ts';
import { syntheticPages } from '../../train/support.ts';

const SOURCES = ['news', 'forums', 'shops', 'manuals', 'blogs', 'wikis', 'schools', 'papers'];
const pages = syntheticPages(96, 3).map(
  (page, index): GoldPage => ({
    ...page,
    source: SOURCES[index % SOURCES.length]!,
    pageType: index % 2 === 0 ? 'article' : 'listing',
    language: index % 3 === 0 ? 'de' : 'en',
  }),
);
const byText = new Map(pages.map((page) => [page.lines.join('\n'), page]));

/** Scores 0.9 for prose, by its length, and tells what every scorer learnt and was asked. */
function spy(): { refiner: LineRefiner; fits: { learnt: GoldPage[]; asked: GoldPage[] }[] } {
  const fits: { learnt: GoldPage[]; asked: GoldPage[] }[] = [];
  return {
    fits,
    refiner: {
      name: 'spy',
      trainable: true,
      fit: (learnt) => {
        const own = { learnt: [...learnt], asked: [] as GoldPage[] };
        fits.push(own);
        return {
          name: 'spy',
          threshold: 0.5,
          scoreLines: (lines) => {
            const page = byText.get(lines.join('\n'));
            if (page) own.asked.push(page);
            return Float32Array.from(lines, ({ length }) => (length > 60 ? 0.9 : 0.1));
          },
        };
      },
    },
  };
}

describe('sourcesLeftOut', () => {
  it('scores every page once, by a refiner that saw nothing of its source or domain', async () => {
    const { refiner, fits } = spy();
    const [found] = await sourcesLeftOut(pages, [['spy', refiner]]);
    const asked = fits.flatMap((fit) => fit.asked);
    expect(new Set(asked).size).toBe(pages.length);
    for (const { learnt, asked: own } of fits) {
      const sources = new Set(own.map(({ source }) => source));
      const domains = new Set(own.map(groupOf));
      expect(learnt.length).toBeGreaterThan(0);
      expect(learnt.some((page) => sources.has(page.source) || domains.has(groupOf(page)))).toBe(
        false,
      );
    }
    expect(found!.whole).toMatchObject({ nDocs: pages.length, macroF1: 1 });
    expect(found!.light.nLines).toBeLessThan(found!.whole.nLines);
  });
});

describe('kindsLeftOut', () => {
  const examples = pages.flatMap(({ id, text, goldText }, index): KindExample[] => {
    const kind = `kind-${index % 12}`;
    const menu = text
      .split('\n')
      .filter((line) => line.length < 30)
      .join('\n');
    return [
      { id, kind, text: Array(3).fill(goldText).join('\n'), label: 1, weight: 1 },
      { id: `${id} menu`, kind, text: menu, label: 0, weight: 1 },
    ];
  });

  it('counts what rules and classifiers do to good and bad ones', async () => {
    const found = await kindsLeftOut(examples);
    expect(found.map(({ name }) => name)).toEqual([
      'C4 rules',
      'Gopher and FineWeb rules',
      'fastText-style',
    ]);
    const [rule, , scored] = found;
    expect(rule!.auc).toBeNull();
    expect(rule!.points).toEqual([{ goodKept: expect.any(Number), badDropped: 1 }]);
    expect(scored!.auc).toBeGreaterThan(0.95);
    expect(scored!.points.map(({ goodKept }) => goodKept)).toEqual([0.995, 0.99, 0.95]);
    expect(scored!.points.at(-1)!.badDropped).toBeGreaterThan(0.8);
    const nAll = scored!.kinds.reduce((sum, { nDocuments }) => sum + nDocuments, 0);
    expect(nAll).toBe(examples.length);
    const table = documentsTable(found);
    expect(table.split('\n')).toHaveLength(5);
    expect(documentKindsTable(found, new Set(['kind-1']))).toContain('bad: pages, their content');
  });

  it('takes the default refiner from its record', () => {
    const thresholds = [0.999, 0.995, 0.99, 0.95].map((retention) => ({
      ...{ retention, threshold: 0.1, noiseRemoved: 1 - retention },
    }));
    const { points } = defaultDocumentContender({ auc: 0.9, thresholds, kinds: [] });
    expect(points.map(({ goodKept, badDropped }) => goodKept + badDropped)).toEqual([1, 1, 1]);
  });
});

describe('tables and the figure', () => {
  it('say what was measured, and only what a contender has', async () => {
    const named = [['C4 <rules>', c4] as const, ['spy', spy().refiner] as const];
    const contenders: LineContender[] = await sourcesLeftOut(pages, named);
    const [ruleRow, spyRow] = sourcesTable(contenders).split('\n').slice(2);
    expect(ruleRow).toMatch(
      /^\| C4 <rules> \| [.\d]+ \| [.\d]+ \/ [.\d]+ \| – \| – \| – \| – \| – \|/,
    );
    expect(spyRow).toContain('| 1.000 | 1.000 / 1.000 | 1.000 |');
    const groups = groupsTable('type', contenders, ({ byPageType }) => byPageType, 2);
    expect(groups).toContain('| article | 48 |');
    expect(groupsTable('language', contenders, ({ byLanguage }) => byLanguage, 50)).not.toContain(
      '| de |',
    );
    expect(lineKindsTable(contenders)).toContain('| table row | – | – |');
    expect(lengthsTable(contenders[1]!.whole)).toContain('| up to 500 |');
    const domains = await newDomains(pages, [['spy', spy().refiner]]);
    const rows = domains.map(({ whole: report, ...rest }) => ({ ...rest, report }));
    expect(measuresTable(rows).split('\n')).toHaveLength(3);

    const figure = await tradeOffFigure('<title>', contenders);
    expect(figure).toContain('&lt;title&gt;');
    expect(figure).toContain('C4 &lt;rules&gt;');
    // The one refiner with scores: nothing else is drawn as a line, but in the legend.
    expect(figure.match(/<path d="M[^"]*" ?\/>|<path[^>]*d="M[^"]*L/g)).not.toBeNull();
    // In the legend, and in the figure where it is there.
    const kept = contenders[0]!.whole.contentCharsKept;
    expect(figure.match(/<circle/g) ?? []).toHaveLength(kept >= 0.7 ? 2 : 1);
  });

  it('stand between the markers of a README, again and again', () => {
    const marks = ['<!-- tables: begin (npm run models:tables) -->', '<!-- tables: end -->'];
    const readme = `# A\n\n${marks[0]}\nold\n${marks[1]}\n\n## B\n`;
    const once = putTables(readme, '| new |');
    expect(once).toBe(`# A\n\n${marks[0]}\n\n| new |\n\n${marks[1]}\n\n## B\n`);
    expect(putTables(once, '| new |')).toBe(once);
    expect(() => putTables('# A', '| new |')).toThrow(
      expect.objectContaining({ code: 'OPTION_INVALID' }),
    );
  });
});
