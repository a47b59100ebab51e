/** Who is answered and what: the token, names of hosts, origins, paths; and the answers against what the run itself tells. */
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ShownDocument } from '../../src/inspect/document.ts';
import type { QueryResult } from '../../src/inspect/query.ts';
import { type Inspector, openInspector } from '../../src/inspect/server.ts';
import { type FinishedRow, FinishedRun } from '../../src/refine/finished-run.ts';
import { OriginalTexts } from '../../src/refine/original-texts.ts';
import { readGoldDocuments, readGoldPages } from '../../src/scorers/gold.ts';
import { clientOf, EXAMPLE, refined, send, temporaryFolder } from './support.ts';

const { folder, remove } = temporaryFolder();
let out: string;
let inspector: Inspector;
let client: ReturnType<typeof clientOf>;
let rows: FinishedRow[];

beforeAll(async () => {
  out = await refined(EXAMPLE, join(folder, 'out'), { unitRows: 60, keepScores: true });
  inspector = await openInspector({ dir: out });
  client = clientOf(inspector);
  await client.rest();
  const run = await FinishedRun.open(out);
  rows = [];
  for (const { unit } of run.units) {
    for await (const batch of run.rows(unit, { text: true })) rows.push(...batch);
  }
});
afterAll(async () => {
  await inspector.close();
  remove();
});

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

/** A document with all its lines, which come in parts. */
async function wholeDocument(unit: number, position: number): Promise<ShownDocument> {
  const path = `document?unit=${unit}&position=${position}`;
  const shown = await client.get<ShownDocument>(path);
  const lines = [...shown.lines];
  while (lines.length < shown.nLines) {
    lines.push(...(await client.get<ShownDocument>(`${path}&from=${lines.length}`)).lines);
  }
  return { ...shown, lines };
}

describe('who is answered', () => {
  it('sends the page to whoever has the link, with a policy that lets nothing else in', async () => {
    const { status, headers, body } = await send(inspector.port, client.token);
    expect(status).toBe(200);
    expect(body).toContain('<div id="app">');
    const policy = headers['content-security-policy'] as string;
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toContain('unsafe');
    expect(policy).not.toMatch(/https?:/);
    expect(headers['referrer-policy']).toBe('no-referrer');
    expect(headers['x-content-type-options']).toBe('nosniff');
    expect(headers['cache-control']).toBe('no-store');
    expect(Object.keys(headers).some((name) => name.startsWith('access-control'))).toBe(false);
  });

  it('refuses a token that is missing, cut, or another one', async () => {
    const { token } = client;
    const others = [
      '/',
      '/api/run',
      token.slice(0, -2),
      `/${'A'.repeat(token.length - 2)}/`,
      `/${token}`,
    ];
    for (const path of [...others, `${token.slice(0, -3)}x/`, `//${token.slice(1)}`]) {
      const { status, body } = await send(inspector.port, path);
      expect([path, status, body]).toEqual([path, 403, 'refused\n']);
    }
  });

  it('refuses names of other hosts: a page of somebody else may resolve to this machine', async () => {
    for (const host of ['evil.example', `evil.example:${inspector.port}`, '127.0.0.1', '0.0.0.0']) {
      expect((await send(inspector.port, client.token, { headers: { host } })).status).toBe(403);
    }
    const host = `localhost:${inspector.port}`;
    expect((await send(inspector.port, client.token, { headers: { host } })).status).toBe(200);
  });

  it('refuses other origins, what changes something without one, and requests of other sites', async () => {
    const path = `${client.token}api/query`;
    const own = `http://127.0.0.1:${inspector.port}`;
    const post = { method: 'POST', body: '{}' };
    const statusOf = async (headers: Record<string, string>) =>
      (await send(inspector.port, path, { ...post, headers })).status;
    expect(await statusOf({ origin: own })).toBe(200);
    expect(await statusOf({})).toBe(403);
    for (const origin of [
      'null',
      'http://evil.example',
      own.replace('http', 'https'),
      'http://127.0.0.1:1',
    ]) {
      expect(await statusOf({ origin })).toBe(403);
    }
    for (const site of ['cross-site', 'same-site']) {
      expect(await statusOf({ origin: own, 'sec-fetch-site': site })).toBe(403);
    }
  });

  it('reads no file by a path of a request', async () => {
    const paths = [
      '../package.json',
      '..%2f..%2fpackage.json',
      '%2e%2e/package.json',
      'app.js/../../server.js',
    ];
    for (const path of [...paths, 'app.js%00', 'app.js.map', 'api/../app.js', '/etc/passwd']) {
      const { status } = await send(inspector.port, `${client.token}${path}`);
      expect([path, status]).toEqual([path, 404]);
    }
  });

  it('refuses methods and bodies that it does not know', async () => {
    const origin = `http://127.0.0.1:${inspector.port}`;
    for (const method of ['PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
      const { status } = await send(inspector.port, client.token, { method, headers: { origin } });
      expect(status).toBe(405);
    }
    for (const body of [
      '',
      '{',
      '[]',
      '{"limit":501}',
      '{"x":1}',
      '{"words":3}',
      '{"score":[1]}',
    ]) {
      await expect(client.post('query', body)).rejects.toThrow(/^400: /);
    }
    await expect(client.get('document?unit=0&position=99999')).rejects.toThrow(/^404: /);
    await expect(client.get('document?unit=77&position=0')).rejects.toThrow(/^404: /);
    await expect(client.get('document?unit=x')).rejects.toThrow(/^400: .*unit/);
  });

  it('listens on this machine alone and has another token every time', async () => {
    await using second = await openInspector({ dir: out });
    expect(second.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/[\w-]{43}\/$/);
    expect(new URL(second.url).pathname).not.toBe(client.token);
    expect((await send(second.port, client.token)).status).toBe(403);
    await expect(openInspector({ dir: out, port: second.port })).rejects.toMatchObject({
      code: 'INSPECT_PORT_FAILED',
    });
  });

  it('says what is no run', async () => {
    await expect(openInspector({ dir: folder })).rejects.toMatchObject({ code: 'RUN_NOT_FOUND' });
    await expect(openInspector({ dir: 7 as never })).rejects.toMatchObject({
      code: 'OPTION_INVALID',
    });
  });
});

describe('the table', () => {
  it('counts and lists what the run tells of its rows', async () => {
    const everything = await client.post<QueryResult>('query', { limit: 500 });
    expect(everything.total).toBe(rows.length);
    expect(
      everything.rows.map(({ unit, position, status, reason }) => [unit, position, status, reason]),
    ).toEqual(
      rows.map(({ unit, position, status, reason }) => [unit, position, status, reason ?? '']),
    );
    for (const [at, { score }] of everything.rows.entries()) {
      const wanted = rows[at]!.score;
      if (wanted === null) expect(score).toBeNull();
      else expect(score).toBeCloseTo(wanted, 4);
    }
    const dropped = await client.post<QueryResult>('query', { status: ['dropped'] });
    expect(dropped.matched).toBe(rows.filter(({ status }) => status === 'dropped').length);
    expect(dropped.rows.every(({ domain }) => domain !== null)).toBe(true);
  });

  it('knows the share of every edited text once its length is read', async () => {
    const { rows: edited } = await client.post<QueryResult>('query', {
      status: ['edited'],
      limit: 500,
    });
    const run = await FinishedRun.open(out);
    const originals = new OriginalTexts(run);
    const before = new Map<string, string | null>();
    for (const { unit: index } of run.units) {
      const own = rows.filter(({ unit }) => unit === index);
      const texts = await originals.of(own);
      for (const [at, { unit, position }] of own.entries())
        before.set(`${unit}:${position}`, texts[at]!);
    }
    for (const { unit, position, share, bytes } of edited) {
      const row = rows.find((one) => one.unit === unit && one.position === position)!;
      const [came, written] = [before.get(`${unit}:${position}`)!, row.text!].map((text) =>
        Buffer.byteLength(text),
      );
      expect(bytes! / came!).toBeCloseTo(1, 2);
      expect(share).toBeCloseTo(1 - written! / came!, 3);
    }
  });

  it('finds words, in any case and order, and phrases in quotes', async () => {
    const find = async (words: string): Promise<number> => {
      for (;;) {
        const found = await client.post<QueryResult & { searching: boolean }>('query', { words });
        if (!found.searching) return found.matched;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    };
    const naive = (words: string[]): number =>
      rows.filter(({ id, text, original }) => {
        const whole = `${id ?? ''}\n${original ?? text ?? ''}`.toLowerCase();
        return words.every((word) => whole.includes(word));
      }).length;
    expect(await find('DER die')).toBe(naive(['der', 'die']));
    expect(naive(['der', 'die'])).toBeGreaterThan(0);
    expect(await find('"in the"')).toBe(naive(['in the']));
    expect(await find('.*')).toBe(naive(['.*']));
    expect(await find('  ')).toBe(rows.length);
    const heads = await client.post<{ id: string; head: string }[]>('heads', {
      keys: [
        { unit: 0, position: 3 },
        { unit: 1, position: 0 },
        { unit: 0, position: 1 },
      ],
    });
    expect(heads.map(({ id }) => id)).toEqual(
      [
        rows.find((r) => r.unit === 0 && r.position === 3),
        rows.find((r) => r.unit === 1),
        rows[1],
      ].map((r) => r!.id),
    );
  });
});

describe('a document', () => {
  it('is shown as it came and as it was written, with a score of every line that was scored', async () => {
    for (const row of rows.filter(({ status }) => status === 'edited').slice(0, 25)) {
      const { unit, position } = row;
      const shown = await wholeDocument(unit, position);
      const left = shown.lines.filter(({ state }) => state !== 'removed');
      const text = left.map(({ parts }) =>
        parts
          .filter(([kind]) => kind !== 'gone')
          .map(([, part]) => part)
          .join(''),
      );
      expect(shown.missing).toBeNull();
      expect(text).toEqual(
        row
          .text!.split('\n')
          .map((line) =>
            line.replaceAll(
              /[\u00ad\u200b-\u200f\ufeff]/g,
              (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
            ),
          ),
      );
      expect(shown.counts.removed).toBeGreaterThan(0);
      const scored = shown.lines.filter(({ score }) => score !== null);
      expect(scored.length).toBe(shown.lines.length);
    }
  });
});

describe('what if', () => {
  it('says at the thresholds of the run what the run has done', async () => {
    const known =
      await client.get<Record<'documents' | 'lines', { thresholds: number[]; used: number }>>(
        'thresholds',
      );
    const place = (of: 'documents' | 'lines') => known[of].thresholds.indexOf(known[of].used) + 1;
    const figures = await client.get<Record<string, number>>(
      `what-if?document=${place('documents')}&line=${place('lines')}`,
    );
    expect(figures['dropped']).toBe(rows.filter(({ status }) => status === 'dropped').length);
    expect(figures['edited']).toBe(rows.filter(({ status }) => status === 'edited').length);
    const none = await client.get<Record<string, number>>('what-if?document=0&line=0');
    expect([none['dropped'], none['linesGone'], none['bytesGone']]).toEqual([0, 0, 0]);
    expect(none['unscored']).toBe(figures['dropped']);
    await expect(client.get('what-if?document=0&line=999')).rejects.toThrow(/^400: /);
  });
});

describe('judgements', () => {
  it('are on the disk when they are answered, and labels that evaluations and training read', async () => {
    const edited = rows.find(({ status }) => status === 'edited')!;
    const dropped = rows.find(({ status }) => status === 'dropped')!;
    const { unit, position } = edited;
    await client.post('judge', { unit, position, verdict: 'right', note: 'fine' });
    await client.post('judge', {
      ...{ unit, position },
      lines: [
        { line: 0, verdict: 'go' },
        { line: 2, verdict: 'stay' },
      ],
    });
    await client.post('judge', {
      unit: dropped.unit,
      position: dropped.position,
      verdict: 'should_stay',
    });
    const journal = join(out, '_judgements/judgements.jsonl');
    expect(readFileSync(journal, 'utf8').trim().split('\n').length).toBe(6);
    await expect(
      client.post('judge', { unit, position, lines: [{ line: 99_999, verdict: 'go' }] }),
    ).rejects.toThrow(/^422: .*line 99999/);
    // A crash leaves a part of a line.
    appendFileSync(journal, '{"kind":"verdict","at');
    await inspector.close();
    inspector = await openInspector({ dir: out });
    client = clientOf(inspector);
    await client.rest();
    const again = await client.get<{ judgement: object }>(
      `document?unit=${unit}&position=${position}`,
    );
    expect(again.judgement).toEqual({
      verdict: 'right',
      note: 'fine',
      lines: { 0: 'go', 2: 'stay' },
    });
    await client.post('judge', { unit, position, lines: [{ line: 2, verdict: null }] });
    await inspector.close();
    const documents = await all(readGoldDocuments(join(out, '_judgements/documents.jsonl')));
    expect(documents.map(({ id, label }) => [id, label])).toEqual([
      [edited.id, 1],
      [dropped.id, 1],
    ]);
    const pages = await all(readGoldPages(join(out, '_judgements/lines.jsonl')));
    expect(pages.length).toBe(1);
    expect([...pages[0]!.labels.slice(0, 4)]).toEqual([0, 2, 2, 2]);
    expect(existsSync(join(out, '_gristmill/inspect/index'))).toBe(true);
    inspector = await openInspector({ dir: out });
    client = clientOf(inspector);
    await client.rest();
  });

  it('of a blind test tell nothing before, and figures after', async () => {
    const item = await client.get<object>('blind?what=lines&seed=3&item=0');
    expect(Object.keys(item).sort()).toEqual(['after', 'before', 'text']);
    expect(await client.get('blind?what=lines&seed=3&item=0')).toEqual(item);
    for (let at = 0; at < 12; at++) {
      await client.post('blind', {
        what: 'lines',
        seed: 3,
        item: at,
        answer: at === 4 ? 'unsure' : 'go',
      });
    }
    const { kept, removed } =
      await client.get<
        Record<
          'kept' | 'removed',
          { asked: number; right: number; unsure: number; low: number; share: number; high: number }
        >
      >('blind-result?what=lines');
    expect(kept.asked + removed.asked + kept.unsure + removed.unsure).toBe(12);
    expect(removed.right).toBe(removed.asked);
    expect(kept.right).toBe(0);
    expect(removed.low).toBeLessThan(1);
    await client.get('blind?what=documents&seed=3&item=0');
  });

  it('go out for labelling and come back', async () => {
    const { token } = client;
    const labelStudio = await send(inspector.port, `${token}api/export?form=label-studio&n=5`);
    expect(labelStudio.headers['content-disposition']).toBe(
      'attachment; filename="borderline.json"',
    );
    const tasks = JSON.parse(labelStudio.body);
    expect(tasks.length).toBe(5);
    const threshold = 0.0696;
    const distances = tasks.map(({ data }: { data: { score: number } }) =>
      Math.abs(data.score - threshold),
    );
    const nearest = rows
      .flatMap(({ score }) => (score === null ? [] : Math.abs(score - threshold)))
      .sort((a, b) => a - b);
    expect(Math.max(...distances)).toBeCloseTo(nearest[4]!, 3);
    const argilla = await send(inspector.port, `${token}api/export?form=argilla&n=3`);
    const records = argilla.body
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(records.map(({ text }) => typeof text)).toEqual(['string', 'string', 'string']);
    // What nobody has answered is no label.
    expect(await client.post('labels', argilla.body)).toMatchObject({ taken: 0, unlabelled: 3 });
    const answered = tasks.map((task: object) => ({
      ...task,
      annotations: [{ result: [{ type: 'choices', value: { choices: ['drop'] } }] }],
    }));
    expect(await client.post('labels', JSON.stringify(answered))).toMatchObject({
      taken: 5,
      unknown: 0,
    });
    const flat = `${JSON.stringify({ ...records[0], 'label.responses': ['keep'] })}\n`;
    expect(await client.post('labels', flat)).toMatchObject({ taken: 1 });
    const foreign = JSON.stringify({ ...records[0], run: 'another', label: 'keep' });
    expect(await client.post('labels', foreign)).toMatchObject({ taken: 0, unknown: 1 });
    await expect(client.post('labels', '{"a":1}\nno')).rejects.toThrow(/line 2/);
  });
});
