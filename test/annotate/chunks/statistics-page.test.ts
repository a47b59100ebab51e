import { describe, expect, it } from 'vitest';
import type { ChunkStatistics } from '../../../src/annotate/chunks/chunk-statistics.ts';
import { statisticsPage } from '../../../src/annotate/chunks/statistics-page.ts';

const part = {
  nExamples: 3,
  kinds: { keep: 1, remove: 2, replace: 0, both: 0, all: 0 },
  ops: { remove_lines: 4 },
  charsBefore: 1000,
  charsAfter: 750,
  linesBefore: 40,
  linesAfter: 30,
};
const statistics: ChunkStatistics = {
  way: 'rewrite',
  expert: '<script>alert("expert")</script>',
  dialect: 'prox',
  profile: "it's <b>",
  nDocuments: 2,
  nDocumentsSkipped: 0,
  nLinesTooLong: 0,
  nWindows: 8,
  parts: {
    train: part,
    validation: { ...part, nExamples: 0, kinds: { ...part.kinds, keep: 0, remove: 0 }, ops: {} },
  },
  rejected: { near_duplicate: 5 },
  ambiguousEdits: 1,
  rewordedChars: 9,
  languages: { '': 1, '<i>': 2 },
  nDomains: 2,
  requests: null,
  stopped: 'budget',
  stoppedBy: 'the budget of 3 requests is spent',
  causes: [],
  seconds: 1.25,
  settings: { inputs: ['a"&<.jsonl'], nearDuplicate: 0.8 },
};

describe('statisticsPage', () => {
  it('shows the numbers and says when the set is a part', () => {
    const page = statisticsPage(statistics);
    expect(page).toContain(
      '<td>near_duplicate: the window is nearly the same as one before it</td><td>5</td>',
    );
    expect(page).toContain('<td>characters kept</td><td>75.0 %</td>');
    expect(page).toContain('The budget was spent');
    expect(statisticsPage({ ...statistics, stopped: null })).not.toContain('The budget was spent');
  });

  it('tells a quota from a budget', () => {
    const page = statisticsPage({ ...statistics, stopped: 'quota' });
    expect(page).toContain(
      'The quota at the expert’s endpoint was used up before the inputs ended',
    );
    expect(page).not.toContain('The budget was spent');
  });

  it('lets no text through as markup', () => {
    const page = statisticsPage(statistics);
    expect(page).toContain('&lt;script&gt;alert(&quot;expert&quot;)&lt;/script&gt;');
    expect(page).not.toMatch(/<script|<i>|<b>/);
    expect(page).not.toContain('a"&<');
  });
});
