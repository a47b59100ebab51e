/**
 * From the inspector to where labels are of use: what a person has judged, and what came back from Label Studio and Argilla, is
 * read by `eval documents`, `eval lines`, `annotate chunks --way gold` and `train`, as it lies on the disk.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { annotateChunks } from '../../src/annotate/chunks/annotate-chunks.ts';
import { readWindowExamples } from '../../src/annotate/example-file.ts';
import { openSink } from '../../src/corpus/sink.ts';
import { openInspector } from '../../src/inspect/server.ts';
import { evaluateLines } from '../../src/scorers/cross-validate.ts';
import { evaluateDocuments } from '../../src/scorers/eval-documents.ts';
import { KEEP, REMOVE, readGoldDocuments, readGoldPages } from '../../src/scorers/gold.ts';
import { documentRefiner, lineRefiner } from '../../src/scorers/refiners.ts';
import { trainModel } from '../../src/train/train-run.ts';
import { goldRows, syntheticPages } from '../train/support.ts';
import { clientOf, refined, send, temporaryFolder } from './support.ts';

const { folder, remove } = temporaryFolder();
const at = (name: string): string => join(folder, name);
const N_PAGES = 40;
const pages = syntheticPages(N_PAGES, 3);
let out: string;

async function all<T>(rows: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const row of rows) found.push(row);
  return found;
}

/** Judges every page as a person who knows the truth of it would, the last ones elsewhere. */
beforeAll(async () => {
  const path = at('pages.parquet');
  const column = (make: (page: (typeof pages)[number]) => string) => pages.map(make);
  const extra = ['id', 'domain', 'language'].map((name) => ({ name, type: 'string' as const }));
  const sink = await openSink({ format: 'parquet', path, columns: [], textColumn: 'text', extra });
  await sink.write({
    text: pages.map(({ text }) => Buffer.from(text)),
    rows: null,
    carry: null,
    extra: {
      id: column(({ id }) => id),
      domain: column(({ domain }) => domain),
      language: column(() => 'en'),
    },
  });
  await sink.close();
  out = await refined(path, at('out'));
  await using inspector = await openInspector({ dir: out });
  const client = clientOf(inspector);
  await client.rest();
  for (const [position, { labels }] of pages.entries()) {
    if (position >= N_PAGES - 8) continue;
    const lines = [...labels].map((label, line) => {
      return { line, verdict: label === KEEP ? 'stay' : 'go' };
    });
    const { row } = await shown(client, position);
    // Short pages of menus go, by this person.
    const goes = position % 4 === 0;
    const isDropped = row === 'dropped';
    const verdict = goes === isDropped ? 'right' : goes ? 'should_go' : 'should_stay';
    await client.post('judge', { unit: 0, position, verdict, lines });
  }
  for (const [form, name] of [
    ['label-studio', 'drop'],
    ['argilla', 'keep'],
  ] as const) {
    const { body } = await send(
      inspector.port,
      `${client.token}api/export?form=${form}&n=${N_PAGES}`,
    );
    const back =
      form === 'label-studio'
        ? JSON.stringify(
            (JSON.parse(body) as object[]).slice(0, 3).map((task) => ({
              ...task,
              annotations: [{ result: [{ type: 'choices', value: { choices: [name] } }] }],
            })),
          )
        : body
            .trim()
            .split('\n')
            .slice(3, 6)
            .map((line) => JSON.stringify({ ...JSON.parse(line), 'label.responses': [name] }))
            .join('\n');
    expect(await client.post('labels', back)).toMatchObject({ taken: 3, unknown: 0 });
  }
});
afterAll(remove);

async function shown(client: ReturnType<typeof clientOf>, position: number) {
  const { status } = await client.get<{ status: string }>(`document?unit=0&position=${position}`);
  return { row: status };
}

describe('judgements', () => {
  it('of documents are labels that `eval documents` measures a refiner by', async () => {
    const documents = await all(readGoldDocuments(join(out, '_judgements/documents.jsonl')));
    expect(documents.length).toBeGreaterThanOrEqual(N_PAGES - 8);
    expect(documents.some(({ label }) => label !== KEEP)).toBe(true);
    const report = await evaluateDocuments({
      refiner: documentRefiner('default'),
      documents,
      nFolds: null,
    });
    expect(report).toMatchObject({ nDocs: documents.length, nFolds: null });
    expect(report.nKeep).toBe(documents.filter(({ label }) => label === KEEP).length);
  });

  it('of lines are labels that `eval lines` measures a refiner by', async () => {
    const judged = await all(readGoldPages(join(out, '_judgements/lines.jsonl')));
    expect(judged.length).toBe(N_PAGES - 8);
    for (const { id, labels } of judged) {
      expect([...labels]).toEqual([...pages.find((page) => page.id === id)!.labels]);
    }
    const report = await evaluateLines({
      refiner: lineRefiner('default'),
      pages: judged,
      nFolds: null,
    });
    expect(report.nDocs).toBe(N_PAGES - 8);
    expect(report.macroF1).toBeGreaterThan(0.6);
  });

  it('become programs with `annotate chunks --way gold`', async () => {
    const inputs = [join(out, '_judgements/lines.jsonl')];
    const statistics = await annotateChunks({ inputs, out: at('set'), way: 'gold' });
    expect(statistics.nDocuments).toBe(N_PAGES - 8);
    const examples = await all(readWindowExamples(at('set/chunks.parquet')));
    expect(examples.length).toBeGreaterThan(10);
    const removed = new Set(
      pages.flatMap(({ lines, labels }) => lines.filter((_, line) => labels[line] === REMOVE)),
    );
    for (const { refined: left } of examples) {
      expect(left.split('\n').filter((line) => removed.has(line))).toEqual([]);
    }
  });

  it('are what `train` learns from beside its own pages', async () => {
    const gold = at('gold.jsonl');
    writeFileSync(
      gold,
      goldRows(24, 9)
        .map((row) => `${JSON.stringify(row)}\n`)
        .join(''),
    );
    const train = (name: string, extra: object) =>
      trainModel({
        objective: 'line-score',
        out: at(name),
        data: { inputs: [gold] },
        ...extra,
        folds: 2,
        training: {
          ...{ nEmbd: 16, nLayer: 1, nHead: 2, nFf: 32 },
          ...{ hashBits: 8, stack: false, nEpochs: 1, nCtx: 128, nSeq: 2 },
        },
      });
    const alone = await train('alone', {});
    const judged = await train('judged', {
      extra: { inputs: [join(out, '_judgements/lines.jsonl')] },
    });
    expect(judged.steps).toBeGreaterThan(alone.steps);
  });
});
