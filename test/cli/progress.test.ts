import { describe, expect, it } from 'vitest';
import { progressLine, summaryTable } from '../../src/cli/progress.ts';
import type { RefineProgress } from '../../src/refine/run-options.ts';
import { type RunSummary, ZERO_COUNTS } from '../../src/refine/statistics.ts';

const PROGRESS: RefineProgress = {
  rows: 0,
  nRows: null,
  rowsResumed: 0,
  bytes: 0,
  nBytes: 1e9,
  bytesResumed: 0,
  kept: 0,
  edited: 0,
  dropped: 0,
  failed: 0,
  seconds: 0.5,
  newTokens: 0,
  docsPerSecond: 0,
  tokensPerSecond: 0,
  done: false,
};
const SUMMARY: RunSummary = {
  ...ZERO_COUNTS,
  rowsIn: 400,
  kept: 100,
  edited: 280,
  dropped: 19,
  failed: 1,
  reasons: { doc_refiner: 18, edited: 280, keep: 100, null_text: 1, too_much_removed: 1 },
  units: 24,
  unitsResumed: 1,
  unitsDone: 8,
  unitsFailed: 0,
  seconds: 4,
  docsPerSecond: 100,
  tokensPerSecond: 5000,
  interrupted: false,
  out: 'out',
  errors: [],
  thresholds: { document: 0.12211, documentRetention: 0.97, line: 0.127 },
};

describe('progressLine', () => {
  // The first line of a run over JSONL said "ETA 24h07m38s" for a job of 5 s.
  it('says how long the rest takes only when enough is done', () => {
    expect(progressLine(PROGRESS)).toBe('0.0% | 0 docs | 0.0/s');
    const some = { ...PROGRESS, rows: 900, kept: 450, docsPerSecond: 200, seconds: 10 };
    expect(progressLine(some)).toBe('0.0% | 900 docs | 200.0/s | kept 50.0%');
    expect(progressLine({ ...some, bytes: 1e7 })).not.toContain('ETA');
    expect(progressLine({ ...some, bytes: 1e8 })).toMatch(/^10\.0% .*\| ETA 1m30s$/);
    // What was done before is no work of this command.
    const resumed = { ...some, bytes: 9e8, bytesResumed: 9e8 };
    expect(progressLine(resumed)).not.toContain('ETA');
    expect(progressLine({ ...some, nRows: 1800 })).toMatch(/^50\.0% .*\| ETA 10s$/);
  });

  it('counts tokens where some are written', () => {
    const scored = { ...PROGRESS, rows: 9, tokensPerSecond: 4000 };
    expect(progressLine(scored)).not.toContain('tokens');
    expect(progressLine({ ...scored, newTokens: 5 })).toContain('| 4,000 tokens/s |');
  });
});

describe('summaryTable', () => {
  it('says each thing once', () => {
    const lines = summaryTable(SUMMARY).split('\n');
    const named = (name: string): string[] => lines.filter((line) => line.trim().startsWith(name));
    expect(named('edited')).toHaveLength(1);
    expect(named('keep')).toEqual([]);
    expect(named('doc_refiner')).toEqual([expect.stringMatching(/^ {2}doc_refiner +18 {2}4\.5%$/)]);
    expect(named('units')).toEqual([expect.stringMatching(/^units +8 of 24 {2}1 resumed$/)]);
    expect(named('tokens/s')).toEqual([]);
    expect(named('document threshold')).toEqual([expect.stringMatching(/ 0\.122$/)]);
    expect(named('note')).toEqual([]);
    const other = summaryTable({ ...SUMMARY, kept: 101, newTokens: 3, unitsDone: 24 });
    expect(other).toMatch(/^ {2}keep +100/m);
    expect(other).toMatch(/^tokens\/s +5,000$/m);
    expect(other).toMatch(/^units +24 +1 resumed$/m);
  });

  // 22.5 % of technical documents went, and nothing told by which threshold, or what to do.
  it('says what to try when a model drops far more than in validation', () => {
    const many = { ...SUMMARY, reasons: { doc_refiner: 90 } };
    expect(summaryTable(many)).toMatch(
      /note: 22\.5% .*below 0\.122 .*validation.*\n.*3\.0%.*\n.*--stages chunk.*--doc-threshold/,
    );
    const given = { ...SUMMARY.thresholds, documentRetention: null };
    expect(summaryTable({ ...many, thresholds: given })).not.toContain('note');
    expect(summaryTable({ ...many, rowsIn: 40 })).not.toContain('note');
  });
});
