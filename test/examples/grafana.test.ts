/** The dashboard asks for metrics that there are, by labels that they have, and leaves none out. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { METRIC_PREFIX, METRICS } from '../../src/observe/metrics.ts';

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: {
    readonly x: number;
    readonly y: number;
    readonly w: number;
    readonly h: number;
  };
  readonly targets?: readonly { readonly expr: string }[];
}
interface Dashboard {
  readonly panels: readonly Panel[];
  readonly templating: {
    readonly list: readonly { readonly name: string; readonly definition?: string }[];
  };
}

const file = fileURLToPath(new URL('../../examples/cluster/grafana.json', import.meta.url));
const board = JSON.parse(readFileSync(file, 'utf8')) as Dashboard;
const queries = [
  ...board.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)),
  ...board.templating.list.flatMap(({ definition }) => definition ?? []),
];
/** Labels that Prometheus adds, and that of buckets. */
const ADDED = new Set(['instance', 'le']);
const definitions = new Map(Object.entries(METRICS));

/** A series' name as its metric's. */
function metricOf(series: string): string {
  const name = series.slice(METRIC_PREFIX.length);
  const base = name.replace(/_(bucket|sum|count)$/, '');
  return definitions.get(base)?.[0] === 'histogram' ? base : name;
}

const used = queries.flatMap((query) =>
  [...query.matchAll(/gristmill_\w+/g)].map(([series]) => metricOf(series)),
);

describe('the dashboard', () => {
  it('asks for metrics that there are, and for all of them', () => {
    expect(used.filter((name) => !definitions.has(name))).toEqual([]);
    expect([...definitions.keys()].filter((name) => !used.includes(name))).toEqual([]);
  });

  it('selects and sums by labels that they have', () => {
    const wrong = queries.flatMap((query) => {
      const own = new Set(
        [...query.matchAll(/gristmill_\w+/g)].flatMap(
          ([series]) => (definitions.get(metricOf(series))?.[1] ?? []) as readonly string[],
        ),
      );
      const selected = [...query.matchAll(/gristmill_\w+\{([^}]*)\}/g)].flatMap(
        ([series, selector]) => {
          const has = definitions.get(metricOf(series.split('{')[0]!))![1] as readonly string[];
          const named = [...selector!.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)].map(
            ([, label]) => label!,
          );
          return named.filter((label) => !has.includes(label));
        },
      );
      const summed = [...query.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, labels]) =>
        labels!.split(',').map((label) => label.trim()),
      );
      const asked = [...selected, ...summed.filter((label) => !own.has(label))];
      return asked.filter((label) => !ADDED.has(label)).map((label) => `${label}: ${query}`);
    });
    expect(wrong).toEqual([]);
  });

  it('rates counters and nothing else', () => {
    const rated = queries.flatMap((query) =>
      [...query.matchAll(/\b(?:rate|increase)\((gristmill_\w+)/g)].map(([, series]) => series!),
    );
    expect(rated.length).toBeGreaterThan(10);
    const isCounter = (series: string): boolean =>
      definitions.get(metricOf(series))![0] !== 'gauge';
    expect(rated.filter((series) => !isCounter(series))).toEqual([]);
    const counters = queries.flatMap((query) =>
      [...query.matchAll(/(\w+\()?(gristmill_\w+_total)/g)].map(([, call]) => call),
    );
    expect(counters.every((call) => call === 'rate(' || call === 'increase(')).toBe(true);
  });

  it('has panels beside each other, within the width, each with a number of its own', () => {
    const ids = board.panels.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    const taken = new Map<string, string>();
    for (const { title, gridPos } of board.panels) {
      expect(gridPos.x + gridPos.w, title).toBeLessThanOrEqual(24);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect(taken.get(`${x},${y}`), title).toBeUndefined();
          taken.set(`${x},${y}`, title);
        }
      }
    }
  });
});

describe('names of metrics', () => {
  it('are as Prometheus has them: counters end in _total, units are seconds and bytes', () => {
    for (const [name, [kind, labels, help]] of definitions) {
      expect(name, name).toMatch(/^[a-z][a-z_]*[a-z]$/);
      expect(name.endsWith('_total'), name).toBe(kind === 'counter');
      expect(name, name).not.toMatch(/milli|_ms|kilo|mega|minutes/);
      expect(
        labels.every((label) => /^[a-z_]+$/.test(label)),
        name,
      ).toBe(true);
      expect(help.length, name).toBeGreaterThan(5);
    }
  });
});
