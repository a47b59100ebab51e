/**
 * Everything that looks at a finished run, over a run that lies in a bucket, on a real server with faults between: what is seen is
 * what is seen of the same run in a folder.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openInspector } from '../../src/inspect/server.ts';
import { compareRuns } from '../../src/refine/compare.ts';
import { openScores } from '../../src/refine/kept-scores.ts';
import { refineCorpus } from '../../src/refine/run.ts';
import type { RefineCorpusOptions } from '../../src/refine/run-options.ts';
import { rowCondition, showRun } from '../../src/report/chosen-rows.ts';
import { dossierOfRun, reportRun } from '../../src/report/report.ts';
import { outputOf, run } from '../cli/support.ts';
import { putObject, useBucket } from '../support/own-bucket.ts';
import { installS3Server, S3Server } from '../support/s3-server.ts';
import { clientOf, EXAMPLE } from './support.ts';

const missing = installS3Server();
if (missing !== null) console.warn(`SKIPPED: no S3 server can be run here: ${missing}`);

const server = new S3Server();
const folder = mkdtempSync(join(tmpdir(), 'gristmill-inspect-bucket-'));
const at = (name: string): string => join(folder, name);
const REMOTE = 's3://corpus/run';
const LOCAL = at('run');

const options = (out: string): RefineCorpusOptions => ({
  inputs: ['s3://corpus/in'],
  out,
  idColumn: 'id',
  keepScores: true,
  unitRows: 40,
  threads: 1,
  workers: 1,
  isolate: false,
});

/** Without the name of the folder, which differs. */
function nameless(value: unknown): unknown {
  const text = JSON.stringify(value);
  return JSON.parse(text.replaceAll(REMOTE, 'RUN').replaceAll(LOCAL, 'RUN'));
}

describe.skipIf(missing !== null)('a run in a bucket', () => {
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  useBucket(server, 'corpus');
  beforeAll(async () => {
    await putObject('corpus', 'in/a.parquet', readFileSync(EXAMPLE));
    const lines = Array.from({ length: 30 }, (_, row) => {
      const text = `Home | About | Log in\nPage ${row} tells at length of bees, their hives, and of what they gather in spring.\n© 2024`;
      return JSON.stringify({ id: `line-${row}`, text, domain: 'bees.example' });
    });
    await putObject('corpus', 'in/b.jsonl', `${lines.join('\n')}\n`);
    for (const out of [REMOTE, LOCAL]) await refineCorpus(options(out));
    server.fault = (_, count) => (count % 23 === 7 ? { kind: 'reset' } : null);
  });

  it('is reported on, shown and compared as the same run in a folder', async () => {
    const [there, here] = await Promise.all([reportRun(REMOTE), reportRun(LOCAL)]);
    // Both were made in their own time.
    const still = ({ throughput: _, seconds: __, ...data }: Record<string, unknown>) => data;
    expect(Object.keys(there.data)).toEqual(Object.keys(here.data));
    expect(still(nameless(there.data) as Record<string, unknown>)).toMatchObject({
      out: 'RUN',
      counts: (here.data as { counts: object }).counts,
    });
    expect(there.html).toContain('</html>');
    const { data, markdown } = await dossierOfRun(REMOTE, { form: 'art53' });
    const local = await dossierOfRun(LOCAL, { form: 'art53' });
    const { corpus, ...rest } = nameless(data) as Record<string, object>;
    const { corpus: localCorpus, ...localRest } = nameless(local.data) as Record<string, object>;
    expect(rest).toEqual(localRest);
    expect({ ...corpus, from: 0, to: 0 }).toEqual({ ...localCorpus, from: 0, to: 0 });
    expect(markdown).toContain('s3://corpus/in/a.parquet');
    const where = [rowCondition('status=edited')];
    expect(await showRun(REMOTE, { where })).toEqual(await showRun(LOCAL, { where }));
    const found = await compareRuns(REMOTE, LOCAL);
    expect(found).toMatchObject({ differing: 0, missingInFirst: 0, missingInSecond: 0 });
    expect(found.documents).toBe((here.data as { counts: { rowsIn: number } }).counts.rowsIn);
  });

  it('tells its kept scores, and is cut anew from them', async () => {
    const [there, here] = [await openScores(REMOTE), await openScores(LOCAL)];
    expect(there.layout).toEqual(here.layout);
    const [file, local] = [await there.unit(0), await here.unit(0)];
    expect(file.blocks).toEqual(local.blocks);
    expect(await file.read(file.blocks[0]!)).toEqual(await local.read(local.blocks[0]!));
    await file.close();
    await local.close();
    await expect(there.unit(99)).rejects.toMatchObject({ code: 'RUN_SCORES_ABSENT' });
    const shared = { inputs: ['s3://corpus/in'], retention: 0.95, isolate: false };
    await refineCorpus({ ...shared, out: at('from-there'), reuse: REMOTE });
    await refineCorpus({ ...shared, out: at('from-here'), reuse: LOCAL });
    expect(outputOf(at('from-there'))).toEqual(outputOf(at('from-here')));
    expect(outputOf(at('from-there'))).not.toEqual(outputOf(LOCAL));
  });

  it('is inspected; judgements need a folder of this machine, and say so', async () => {
    const answers: unknown[] = [];
    for (const dir of [REMOTE, LOCAL]) {
      await using inspector = await openInspector({ dir });
      const client = clientOf(inspector);
      await client.rest();
      const found = await client.post<{ rows: { unit: number; position: number }[] }>('query', {
        status: ['edited'],
        sort: 'share',
        descending: true,
      });
      const [{ unit, position }] = found.rows as [{ unit: number; position: number }];
      const { judgement: _, ...document } = await client.get<{ judgement: unknown }>(
        `document?unit=${unit}&position=${position}`,
      );
      const heads = await client.post('heads', { keys: [{ unit, position }] });
      const whatIf = await client.get('what-if?document=3&line=5');
      const words = await client.post('query', { words: 'bees hives' });
      answers.push({ found, document, heads, whatIf, words });
      const judged = client.post('judge', { unit, position, verdict: 'right' });
      if (dir === LOCAL) await judged;
      else await expect(judged).rejects.toThrow(/422.*INSPECT_NO_FOLDER.*--judgements/);
    }
    expect(answers[0]).toEqual(answers[1]);
    const judgements = at('judgements');
    await using inspector = await openInspector({ dir: REMOTE, judgements });
    const client = clientOf(inspector);
    await client.post('judge', { unit: 0, position: 0, verdict: 'right' });
    expect(existsSync(join(judgements, 'judgements.jsonl'))).toBe(true);
    await expect(openInspector({ dir: REMOTE, judgements: 's3://corpus/j' })).rejects.toMatchObject(
      { code: 'PATH_REMOTE' },
    );
  });

  it('answers as commands', async () => {
    const shown = await run(['show', REMOTE, '--where', 'status=edited', '--sample', '2']);
    expect([shown.code, shown.stderr.toString()]).toEqual([0, '']);
    expect(shown.stdout.toString()).toContain('edited');
    const page = at('report.html');
    expect((await run(['report', REMOTE, '--out', page])).code).toBe(0);
    expect(readFileSync(page, 'utf8')).toContain('Refined corpus');
    const compared = await run(['compare', REMOTE, LOCAL, '--fail-above', '0', '--json']);
    expect([compared.code, JSON.parse(compared.stdout.toString()).differing]).toEqual([0, 0]);
  });

  it('that is not there is refused by what is wrong', async () => {
    const opened = (dir: string) => openInspector({ dir });
    await expect(opened('s3://corpus/nothing')).rejects.toMatchObject({ code: 'RUN_NOT_FOUND' });
    await expect(reportRun('s3://corpus/in')).rejects.toMatchObject({ code: 'RUN_NOT_FOUND' });
    await expect(showRun('s3://elsewhere/run')).rejects.toMatchObject({
      code: 'STORAGE_NOT_FOUND',
    });
    for (const dir of ['https://host.example/run', 'gs://bucket/run']) {
      await expect(opened(dir)).rejects.toMatchObject({ code: 'PATH_REMOTE' });
      await expect(openScores(dir)).rejects.toMatchObject({ code: 'PATH_REMOTE' });
    }
    await expect(openScores('s3://corpus/in')).rejects.toMatchObject({
      code: 'RUN_SCORES_ABSENT',
    });
  });
});
