/**
 * Documents for labelling elsewhere, and labels back.
 *
 * Out: those whose score is nearest to the threshold, as
 *   - `label-studio`: a JSON array of tasks, one a line, as Label Studio's upload takes it (it reads no JSON lines), with what
 *     the refiner says as a prediction. Labelling setup: `<Text name="text" value="$text"/>` and
 *     `<Choices name="label" toName="text"><Choice value="keep"/><Choice value="drop"/></Choices>`.
 *   - `argilla`: JSON lines of flat records for `dataset.records.log`: a field `text`, a suggestion to the question `label`,
 *     metadata.
 *
 * Back: exports of both, and rows of either form with a `label` of `keep`, `drop`, 1 or 0. Every row says which document it is of
 * by `key`, `unit:position` of the run it was exported from.
 */

import type { ByteLine } from '../corpus/byte-lines.ts';
import { jsonItems } from '../scorers/json-rows.ts';
import type { Verdict } from './judgement-types.ts';
import { ApiFailure } from './replies.ts';

export const FORMS = ['label-studio', 'argilla'] as const;
export type LabelForm = (typeof FORMS)[number];

/** A document that goes out. */
export interface Outgoing {
  readonly key: string;
  readonly run: string;
  readonly id: string;
  readonly text: string;
  readonly status: string;
  readonly score: number | null;
}

/** The file of a form. */
export function exportRows(form: LabelForm, documents: readonly Outgoing[]): string {
  if (form === 'argilla') {
    return documents
      .map(({ key, run, id, text, status, score }) => {
        const label = status === 'dropped' ? 'drop' : 'keep';
        const own = { id: `${run}:${key}`, text, 'label.suggestion': label };
        return `${JSON.stringify({ ...own, key, run, document: id, status, score })}\n`;
      })
      .join('');
  }
  const tasks = documents.map(({ key, run, id, text, status, score }) => {
    const choices = [status === 'dropped' ? 'drop' : 'keep'];
    const result = [{ from_name: 'label', to_name: 'text', type: 'choices', value: { choices } }];
    return JSON.stringify({
      data: { text, key, run, id, status, score },
      predictions: [{ model_version: 'gristmill', ...(score !== null && { score }), result }],
    });
  });
  return `[\n${tasks.join(',\n')}\n]\n`;
}

/** A label that came back. */
export interface Incoming {
  readonly unit: number;
  readonly position: number;
  readonly run: string | null;
  /** `keep` or `drop`. */
  readonly keep: boolean;
}

/** Longest row. */
const MAX_ROW_BYTES = 64 * 2 ** 20;
const LF = 10;

/** Labels of a file; rows without one are counted. @throws ApiFailure for what is no JSON, naming the line */
export async function importRows(
  bytes: Buffer,
): Promise<{ readonly labels: readonly Incoming[]; readonly unlabelled: number }> {
  const labels: Incoming[] = [];
  let unlabelled = 0;
  for await (const item of jsonItems(linesOf(bytes), MAX_ROW_BYTES)) {
    let value: unknown;
    try {
      if (item.fault !== undefined) throw new Error(item.fault);
      value = JSON.parse(item.bytes.toString());
    } catch (error) {
      throw new ApiFailure(422, `line ${item.line}: no JSON: ${(error as Error).message}`);
    }
    const label = incomingOf(value);
    if (label) labels.push(label);
    else unlabelled++;
  }
  return { labels, unlabelled };
}

async function* linesOf(bytes: Buffer): AsyncGenerator<ByteLine[]> {
  let [start, line, row] = [0, 1, 0];
  while (start < bytes.byteLength) {
    const found = bytes.indexOf(LF, start);
    const end = found < 0 ? bytes.byteLength : found;
    const part = bytes.subarray(start, end);
    if (part.some((byte) => byte > 0x20)) {
      yield [{ bytes: part, byteLength: part.byteLength, line, row: row++, byteOffset: start }];
    }
    start = end + 1;
    line++;
  }
}

type Row = Readonly<Record<string, unknown>>;

function incomingOf(value: unknown): Incoming | null {
  if (!isRow(value)) return null;
  const sources = [value, value['data'], value['metadata'], value['fields']].filter(isRow);
  const key = firstOf(sources, 'key');
  const found = typeof key === 'string' ? /^(\d{1,9}):(\d{1,10})$/.exec(key) : null;
  const keep = keepOf(value);
  if (!found || keep === null) return null;
  const run = firstOf(sources, 'run');
  return {
    unit: Number(found[1]),
    position: Number(found[2]),
    run: typeof run === 'string' ? run : null,
    keep,
  };
}

function firstOf(rows: readonly Row[], name: string): unknown {
  return rows.find((row) => row[name] !== undefined)?.[name];
}

/** Label Studio's annotations, its small form, Argilla's responses, plain labels; the last answer of the first kind counts. */
function keepOf(row: Row): boolean | null {
  for (const annotations of [row['annotations'], row['completions']]) {
    if (!Array.isArray(annotations)) continue;
    for (const annotation of annotations.filter(isRow).reverse()) {
      if (annotation['was_cancelled'] === true || !Array.isArray(annotation['result'])) continue;
      for (const result of annotation['result'].filter(isRow)) {
        const choices = isRow(result['value']) ? result['value']['choices'] : null;
        const keep = Array.isArray(choices) ? wordOf(choices[0]) : null;
        if (keep !== null) return keep;
      }
    }
    return null;
  }
  const responses = isRow(row['responses']) ? row['responses']['label'] : undefined;
  if (Array.isArray(responses)) {
    const last = responses.filter(isRow).at(-1);
    return last ? wordOf(last['value']) : null;
  }
  const given = row['label.responses'];
  if (Array.isArray(given)) return wordOf(given.at(-1));
  // A record that nobody has answered has a suggestion at most.
  if (row['suggestions'] !== undefined || row['responses'] !== undefined) return null;
  return wordOf(row['choice'] ?? row['label']);
}

const WORDS: Readonly<Record<string, boolean>> = Object.freeze({
  keep: true,
  stay: true,
  drop: false,
  go: false,
});

function wordOf(value: unknown): boolean | null {
  if (value === 1 || value === 0) return value === 1;
  if (typeof value !== 'string') return null;
  const word = value.trim().toLowerCase();
  return Object.hasOwn(WORDS, word) ? WORDS[word]! : null;
}

function isRow(value: unknown): value is Row {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What a label says of what became of a document. */
export function verdictOf(keep: boolean, status: string): Verdict {
  const stayed = status !== 'dropped';
  if (keep === stayed) return 'right';
  return keep ? 'should_stay' : 'should_go';
}
