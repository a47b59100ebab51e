/** Pages that stand alone, whatever stands in the documents; and what they say is what the run did. */
import { createHash } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseHTML } from 'linkedom';
import { describe, expect, it } from 'vitest';
import { FinishedRun } from '../../src/refine/finished-run.ts';
import { domainOf, sampleRun, stretchesOf } from '../../src/report/refine-sample.ts';
import { dossierOfRun, reportRun } from '../../src/report/report.ts';
import { base, HOSTILE, hostileInput, refined } from './support.ts';

/** What a browser would act on. */
function checkPage(html: string) {
  expect(Buffer.byteLength(html)).toBeLessThan(3_000_000);
  expect(html.replaceAll('\n', '').replaceAll('\t', '')).not.toMatch(/[\p{Cc}\p{Cs}\p{Cf}]/u);
  const { document } = parseHTML(html);
  expect(document.querySelectorAll('script,img,link,iframe,object,embed,form,base').length).toBe(0);
  expect(document.querySelectorAll('style').length).toBe(1);
  for (const each of document.querySelectorAll('*')) {
    for (const { name, value } of each.attributes) {
      expect(name).not.toMatch(/^on|^style$|^src$/i);
      if (name === 'href') expect(value).toMatch(/^#/);
    }
  }
  const policy = document.querySelector('meta[http-equiv]')!.getAttribute('content')!;
  const style = /<style>([\s\S]*?)<\/style>/.exec(html)![1]!;
  const hash = createHash('sha256').update(style).digest('base64');
  expect(policy).toContain("default-src 'none'");
  expect(policy).toContain(`'sha256-${hash}'`);
  return document;
}

describe('a refined corpus', () => {
  it('is reported on, hostile documents and all', async () => {
    const run = await refined(hostileInput());
    const { kind, data, html } = await reportRun(run, { gallery: 100 });
    expect(kind).toBe('refine');
    const document = checkPage(html);
    const text = document.querySelector('main')!.textContent!;
    expect(text).toContain('<script>window.pwned = true; alert(1)</script>');
    for (const seen of [
      '\\u202eright to left',
      '\\u001b[31mred',
      'Every unit of the plan',
      'Domains that lose',
    ]) {
      expect(text).toContain(seen);
    }
    const { counts, sample } = data as {
      counts: { rowsIn: number };
      sample: { rows: number; isWhole: boolean; domains: { name: string; rows: number }[] };
    };
    expect([sample.rows, sample.isWhole]).toEqual([counts.rowsIn, true]);
    // Dropped documents have a domain too: it is read from the input.
    expect(sample.domains.reduce((sum, { rows }) => sum + rows, 0)).toBe(counts.rowsIn);
    expect(sample.domains.map(({ name }) => name)).toContain('site-0.example');
    // The same run and seed, the same page.
    expect((await reportRun(run, { gallery: 100 })).html).toBe(html);
    const { html: quiet } = await reportRun(run, { gallery: 0 });
    expect(checkPage(quiet).querySelector('main')!.textContent).not.toContain(
      'window.pwned = true; alert(1)</script>\n',
    );
    expect(quiet).not.toContain('<details');
  });

  it('is sampled where it is large, and says so; sizes and shares are those of the rows', async () => {
    const dir = await refined(hostileInput(200), { keepOriginal: true });
    const run = await FinishedRun.open(dir);
    const stretches = stretchesOf(run, 48, 3);
    expect(stretches.reduce((sum, { from, to }) => sum + to - from, 0)).toBe(48);
    expect(stretchesOf(run, 48, 3)).toEqual(stretches);
    expect(stretchesOf(run, 48, 4)).not.toEqual(stretches);
    const sample = await sampleRun(run, { rows: 48, seed: 3 });
    expect([sample.nRows, sample.isWhole, sample.nTotal]).toEqual([48, false, run.counts.rowsIn]);
    const whole = await sampleRun(run);
    const sizes = [...whole.domains.values()];
    expect(sizes.reduce((sum, { charsOut }) => sum + charsOut, 0)).toBe(run.counts.charsOut);
    expect(whole.removedShares.length).toBe(run.counts.kept + run.counts.edited);
    for (const share of whole.removedShares) expect(share >= 0 && share <= 1).toBe(true);
    const { html } = await reportRun(dir, { rows: 48, seed: 3 });
    expect(html).toContain('a sample of 48 of 202 rows');
  });

  it('of which the inputs are gone is reported on without them, which it says', async () => {
    const input = hostileInput();
    const dir = await refined(input);
    rmSync(input);
    const { html, data } = await reportRun(dir);
    checkPage(html);
    expect((data as { sample: { notes: string[] } }).sample.notes[0]).toMatch(/it is gone/);
  });

  it('tells where it comes from, as data and in both forms', async () => {
    const dir = await refined(hostileInput(), { keepOriginal: true });
    const run = await FinishedRun.open(dir);
    const { data, markdown } = await dossierOfRun(dir);
    expect(data.corpus).toMatchObject({
      documents: run.counts.kept + run.counts.edited,
      characters: run.counts.charsOut,
      isWhole: true,
    });
    expect(data.corpus.to).toMatch(/^\d{4}-\d\d-\d\dT/);
    expect(data.removed.charactersRemoved).toBe(run.counts.charsIn - run.counts.charsOut);
    expect(data.processing.steps.map(({ model }) => model?.sha256)).toEqual([
      run.identity.models['document']!.sha256,
      run.identity.models['chunk']!.sha256,
    ]);
    const { markdown: form } = await dossierOfRun(dir, { form: 'art53' });
    for (const text of [markdown, form]) {
      expect(text.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cs}\p{Cf}]/u);
      // Hostile names are text: no markup, no links, no further cells.
      expect(text).not.toMatch(/<(script|img|style|link)/);
      expect(text).not.toMatch(/(?<!\\)\]\(javascript/);
      expect(text).toContain('[TO FILL IN: ');
    }
    expect(
      form.match(/^##+ \d[^\n]*/gm)!.map((title) => title.replace(/^#+ /, '').slice(0, 3)),
    ).toEqual([
      '1. ',
      '1.1',
      '1.2',
      '1.3',
      '2. ',
      '2.1',
      '2.2',
      '2.3',
      '2.4',
      '2.5',
      '2.6',
      '3. ',
      '3.1',
      '3.2',
      '3.3',
    ]);
  });
});

describe('other runs', () => {
  const make = (name: string, files: Readonly<Record<string, string>>): string => {
    const dir = join(base, name);
    for (const [file, text] of Object.entries(files)) {
      mkdirSync(join(dir, file, '..'), { recursive: true });
      writeFileSync(join(dir, file), text);
    }
    return dir;
  };
  const jsonl = (rows: readonly object[]): string =>
    rows.map((row) => `${JSON.stringify(row)}\n`).join('');

  it('train: losses and rates, a line under way left out', async () => {
    const records = [1, 2, 3].map((step) => ({ step, loss: 4 - step, lr: 1e-3 / step }));
    const dir = make('train', {
      'run.json': `{"format": 1, "config": {"name": ${JSON.stringify(HOSTILE[0])}}}`,
      'losses.jsonl': `${jsonl([...records, { step: 3, validationLoss: 1.5 }])}{"step": 4, "lo`,
    });
    const { kind, data, html } = await reportRun(dir);
    expect([kind, data]).toMatchObject([
      'train',
      { steps: 3, loss: 1, validationLoss: 1.5, isFinished: false },
    ]);
    expect(checkPage(html).querySelectorAll('svg[role=img]').length).toBe(2);
  });

  it('mix apply, mix train and continue run: their records', async () => {
    const domain = {
      name: HOSTILE[1]!,
      weight: 0.5,
      rows: 3,
      chars: 90,
      tokens: null,
      share: 0.4,
      epochs: 1,
      availableDocs: 3,
    };
    const mixed = make('mixed', {
      '_mixture.json': JSON.stringify(
        {
          format: 1,
          unit: 'docs',
          total: 3,
          seed: 0,
          maxEpochs: 4,
          domains: [domain, { ...domain, name: 'b' }],
          rows: 3,
          nSkipped: 0,
          notes: [HOSTILE[3]],
          corpus: 'parquet',
          fileRows: 9,
          inputs: {},
          tokenizer: null,
          files: [],
        },
        null,
        2,
      ),
    });
    expect((await reportRun(mixed)).kind).toBe('mix apply');
    checkPage((await reportRun(mixed)).html);
    const sweep = make('sweep', {
      'sweep.json': '{"format": 1, "settings": {"steps": 3}}',
      'runs/1.json': JSON.stringify({
        id: '1',
        weights: [0.5, 0.5],
        losses: [3.2],
        device: 'cpu',
        seconds: 1,
      }),
    });
    const swept = await reportRun(sweep);
    expect(swept.data).toMatchObject({ kind: 'mix train', nFinished: 1 });
    checkPage(swept.html);
    const plan = make('plan', {
      'run.json': '{"format": 1, "plan": null}',
      'stages/00-base/losses.jsonl': jsonl([
        { step: 0, validation: { old: 3 } },
        { step: 1, loss: 3, lr: 1e-3 },
      ]),
    });
    const planned = await reportRun(plan);
    expect(planned.kind).toBe('continue run');
    expect(checkPage(planned.html).querySelector('main')!.textContent).toContain(
      'Stage 00-base is not finished',
    );
  });

  it('refuses a folder without a run, and a damaged log by its line', async () => {
    await expect(reportRun(base)).rejects.toMatchObject({ code: 'RUN_NOT_FOUND' });
    const dir = make('damaged', {
      'run.json': '{"format": 1, "a": 1}',
      'losses.jsonl': '{"step": 1}\nx\n',
    });
    await expect(reportRun(dir)).rejects.toThrow(/line 2 is no JSON/);
  });
});

describe('domainOf', () => {
  it.each([
    ['https://www.a.example/b?c', 'a.example'],
    ['a.example', 'a.example'],
    ['http://[bad', 'http://[bad'],
    ['javascript:alert(1)', 'javascript:alert(1)'],
  ])('%s', (value, domain) => expect(domainOf(value)).toBe(domain));
});
