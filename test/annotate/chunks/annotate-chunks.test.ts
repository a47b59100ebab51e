import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { annotateChunks } from '../../../src/annotate/chunks/annotate-chunks.ts';
import type { AnnotateChunksOptions } from '../../../src/annotate/chunks/chunk-options.ts';
import { executeWindow } from '../../../src/annotate/derive/check-example.ts';
import { readWindowExamples } from '../../../src/annotate/example-file.ts';
import { takeFolder } from '../../../src/annotate/output-files.ts';
import type { WindowExample } from '../../../src/annotate/types.ts';
import { isGristmillError } from '../../../src/errors.ts';

const CHROME = ['Home | News | Contact', 'Share on X', '© 2021 The Mill Gazette', 'Log in'];

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gristmill-chunks-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Pages of which the lines of CHROME are noise; no two alike. */
function pages(nPages: number) {
  return Array.from({ length: nPages }, (_, page) => {
    const content = Array.from(
      { length: 6 + (page % 9) },
      (_, line) =>
        `Sentence ${line} of page ${page} tells of mill number${page * 31 + line} at length.`,
    );
    const lines = [CHROME[0]!, ...content, CHROME[1 + (page % 3)]!, '', CHROME[2]!];
    return {
      id: `page-${page}`,
      domain: `site${page % 7}.example`,
      language: page % 2 ? 'en' : 'de',
      text: lines.join('\n'),
      line_labels: lines.map((line) => (CHROME.includes(line) ? '0' : '1')).join(''),
      line_mask: lines.map((line) => (line === '' ? '0' : '1')).join(''),
      gold_text: content.join('\n'),
    };
  });
}

function writePages(name: string, rows: readonly object[]): string {
  const path = join(folder, name);
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return path;
}

async function examplesOf(out: string): Promise<WindowExample[]> {
  const examples: WindowExample[] = [];
  for await (const example of readWindowExamples(join(out, 'chunks.parquet')))
    examples.push(example);
  return examples;
}

function rowsOf(path: string): Record<string, unknown>[] {
  const lines = readFileSync(path, 'utf8').split('\n').filter(Boolean);
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}

const gold = (options: Partial<AnnotateChunksOptions> = {}) =>
  annotateChunks({
    inputs: [writePages('gold.jsonl', pages(40))],
    out: join(folder, 'set'),
    way: 'gold',
    nearDuplicate: 1,
    ...options,
  });

describe('annotateChunks, gold', () => {
  it('makes examples whose programs give the kept lines, in all its files', async () => {
    const statistics = await gold();
    const out = join(folder, 'set');
    const examples = await examplesOf(out);
    expect(statistics).toMatchObject({ way: 'gold', nDocuments: 40, rejected: {}, stopped: null });
    expect(examples).toHaveLength(statistics.nWindows);
    for (const example of examples) {
      expect(executeWindow(example, example.program)).toMatchObject({ refined: example.refined });
      const kept = example.text.split('\n').filter((line) => !CHROME.includes(line));
      // An empty line between two lines that go goes with them.
      expect(example.refined.split('\n').filter(Boolean)).toEqual(kept.filter(Boolean));
    }
    const parts = examples.reduce<Record<string, string[]>>((all, { split, domain }) => {
      all[split] = [...(all[split] ?? []), domain];
      return all;
    }, {});
    expect(parts['train']!.some((domain) => parts['validation']?.includes(domain))).toBe(false);
    const chats = [...rowsOf(join(out, 'train.jsonl')), ...rowsOf(join(out, 'validation.jsonl'))];
    expect(chats).toHaveLength(examples.length);
    expect(chats[0]).toEqual({
      messages: [
        {
          role: 'user',
          content: expect.stringMatching(/^\[doc\]\n\[0\]Home \| News \| Contact\n\[1\]Sentence 0/),
        },
        { role: 'assistant', content: expect.stringContaining('remove_lines(start=0, end=0)') },
      ],
    });
    expect(readFileSync(join(out, 'statistics.html'), 'utf8')).toContain('Annotated windows: gold');
    expect(readdirSync(out).sort()).toEqual([
      '_annotate',
      'chunks.parquet',
      'rejected.jsonl',
      'statistics.html',
      'statistics.json',
      'train.jsonl',
      'validation.jsonl',
    ]);
    expect(readdirSync(join(out, '_annotate'))).toEqual(['kind']);
  });

  it('gives the same bytes again', async () => {
    await gold();
    await gold({ out: join(folder, 'again') });
    for (const file of ['chunks.parquet', 'train.jsonl', 'validation.jsonl', 'rejected.jsonl']) {
      expect(
        readFileSync(join(folder, 'again', file)).equals(readFileSync(join(folder, 'set', file))),
      ).toBe(true);
    }
  });

  it('reads labels off the clean text where there are none', async () => {
    const bare = pages(10).map(({ line_labels: _, line_mask: __, ...page }) => page);
    await gold({ inputs: [writePages('bare.jsonl', bare)] });
    for (const { text, refined } of await examplesOf(join(folder, 'set'))) {
      const kept = text.split('\n').filter((line) => !CHROME.includes(line));
      expect(refined.split('\n').filter(Boolean)).toEqual(kept.filter(Boolean));
    }
  });

  it('takes out near duplicates and thins kinds, with a reason for every window', async () => {
    const doubled = [
      ...pages(30),
      ...pages(30).map((page) => ({ ...page, id: `${page.id}-again` })),
    ];
    const statistics = await gold({
      inputs: [writePages('doubled.jsonl', doubled)],
      nearDuplicate: 0.8,
      windowSize: 100,
      shares: { keep: 0.1 },
      validation: 0,
    });
    const { nExamples, kinds } = statistics.parts.train;
    expect(statistics.rejected.near_duplicate).toBeGreaterThanOrEqual(30);
    expect(statistics.rejected.over_share).toBeGreaterThan(0);
    expect(kinds.keep / nExamples).toBeLessThanOrEqual(0.1);
    const rejected = rowsOf(join(folder, 'set', 'rejected.jsonl'));
    expect(rejected.length + nExamples).toBe(statistics.nWindows);
    expect(rejected[0]).toMatchObject({
      id: expect.any(String),
      line_start: expect.any(Number),
      reason: expect.any(String),
    });
  });

  it('leaves nothing behind that looks like a set when it fails', async () => {
    const rows = [...pages(5), { id: 'bad', text: 'a\nb', line_labels: '1' }];
    await expect(gold({ inputs: [writePages('bad.jsonl', rows)] })).rejects.toMatchObject({
      code: 'TRAIN_GOLD_INVALID',
    });
    expect(readdirSync(join(folder, 'set'))).toEqual(['_annotate']);
    expect(readdirSync(join(folder, 'set', '_annotate'))).toEqual(['kind']);
  });

  it('refuses the folder of a set of documents', async () => {
    const out = join(folder, 'set');
    (await takeFolder(out, 'documents')).release();
    mkdirSync(join(out, '_annotate/answers'));
    writeFileSync(join(out, '_annotate/answers/a.jsonl'), '');
    await expect(gold()).rejects.toMatchObject({ code: 'ANNOTATE_OUTPUT_OTHER' });
  });

  // Was: a start of the other kind that came to nothing took the folder for ever.
  it('takes a folder in which nothing was made', async () => {
    (await takeFolder(join(folder, 'set'), 'documents')).release();
    await gold();
  });

  // Was: the note was written anew at every start; killed in the middle of it, the same command was refused for ever.
  it('goes on behind a torn note of what is annotated', async () => {
    await gold();
    const note = join(folder, 'set', '_annotate/kind');
    writeFileSync(note, '');
    await gold();
    expect(readFileSync(note, 'utf8')).toBe('chunks\n');
    writeFileSync(note, '');
    await expect(takeFolder(join(folder, 'set'), 'documents')).rejects.toMatchObject({
      code: 'ANNOTATE_OUTPUT_OTHER',
    });
  });

  it('refuses options that contradict each other', async () => {
    const expert = { url: 'http://127.0.0.1:1/v1', model: 'm' };
    await expect(gold({ expert })).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    await expect(gold({ way: 'rewrite' })).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    await expect(gold({ shares: { keep: 2 } })).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    await expect(gold({ maxOps: 0 })).rejects.toMatchObject({ code: 'OPTION_INVALID' });
  });
});

/** An endpoint that knows the chrome: it answers by rule, and remembers what it was asked. */
class Endpoint {
  readonly prompts: string[] = [];
  onRequest: () => void = () => undefined;
  readonly #server: Server;

  constructor(answer: (prompt: string) => string) {
    this.#server = createServer((request, response) => {
      let body = '';
      request.on('data', (part) => {
        body += part;
      });
      request.on('end', () => {
        const { messages } = JSON.parse(body) as { messages: { role: string; content: string }[] };
        const prompt = messages.at(-1)!.content;
        this.prompts.push(prompt);
        this.onRequest();
        const choice = {
          message: { role: 'assistant', content: answer(prompt) },
          finish_reason: 'stop',
        };
        const usage = { prompt_tokens: 10, completion_tokens: 5 };
        response.setHeader('content-type', 'application/json');
        response.end(JSON.stringify({ choices: [choice], usage }));
      });
    });
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/v1`;
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

/** Programs by kind of noise, as an expert would write them. */
function programsAnswer(prompt: string): string {
  const [kind, ...lines] = prompt.split('\n');
  const noise: Record<string, readonly string[]> = {
    navigation: [CHROME[0]!, CHROME[3]!],
    urls: [CHROME[1]!],
    footers: [CHROME[2]!],
  };
  const calls = lines.flatMap((line, index) =>
    noise[kind!]!.some((each) => line.endsWith(each))
      ? [`remove_lines(start=${index}, end=${index})`]
      : [],
  );
  return calls.length > 0 ? calls.join('\n') : 'untouch_doc()';
}

function rewriteAnswer(prompt: string): string {
  const lines = prompt.split('\n').slice(1, -1);
  const kept = lines
    .filter((line) => !CHROME.includes(line))
    .map((line) => line.replace(' at length', ''));
  return ['Here it is:', '<<<BEGIN>>>', ...kept, '<<<END>>>'].join('\n');
}

/** Prompts that are easy to take apart again. */
function writePrompts(): string {
  const prompts = join(folder, 'prompts');
  mkdirSync(prompts);
  for (const name of ['navigation', 'urls', 'footers']) {
    writeFileSync(join(prompts, `${name}.txt`), `${name}\n{lines}`);
  }
  writeFileSync(join(prompts, 'rewrite.txt'), 'between <<<BEGIN>>> and <<<END>>>\n{text}\n.');
  return prompts;
}

describe('annotateChunks, experts', () => {
  let endpoint: Endpoint | null = null;
  afterEach(() => {
    endpoint?.close();
    endpoint = null;
  });

  async function expertRun(
    way: 'programs' | 'rewrite',
    answer: (prompt: string) => string,
  ): Promise<AnnotateChunksOptions> {
    endpoint = new Endpoint(answer);
    const url = await endpoint.listen();
    return {
      inputs: [writePages('pages.jsonl', pages(12))],
      out: join(folder, 'set'),
      way,
      expert: { url, model: 'expert-1', concurrency: 3, maxRetries: 0 },
      prompts: writePrompts(),
      nearDuplicate: 1,
    };
  }

  it('merges programs by kind of noise', async () => {
    const statistics = await annotateChunks(await expertRun('programs', programsAnswer));
    const examples = await examplesOf(join(folder, 'set'));
    expect(statistics).toMatchObject({ nDocuments: 12, rejected: {}, expert: 'expert-1' });
    expect(statistics.requests).toMatchObject({ requests: 3 * statistics.nWindows, failed: 0 });
    for (const { text, refined, requests, way, program, ...window } of examples) {
      expect(way).toBe('programs');
      expect(requests.split(' ')).toHaveLength(3);
      expect(refined.split('\n')).toEqual(
        text.split('\n').filter((line) => !CHROME.includes(line)),
      );
      expect(executeWindow({ ...window, text }, program).refined).toBe(refined);
    }
  });

  it('derives ops from rewritten windows', async () => {
    const options = await expertRun('rewrite', rewriteAnswer);
    const statistics = await annotateChunks({
      ...options,
      profile: 'ultrax',
      windowSize: 200,
      maxOps: 40,
    });
    const examples = await examplesOf(join(folder, 'set'));
    expect(statistics.parts.train.ops).toMatchObject({
      remove_lines: expect.any(Number),
      replace_str: expect.any(Number),
    });
    expect(examples.length).toBeGreaterThan(8);
    for (const { text, refined, dialect } of examples) {
      expect(dialect).toBe('ultrax');
      const wanted = text.split('\n').filter((line) => !CHROME.includes(line));
      expect(refined).toBe(wanted.map((line) => line.replace(' at length', '')).join('\n'));
    }
  });

  it('counts answers that are no programs, and windows that were reworded', async () => {
    const chatty = await annotateChunks(
      await expertRun('programs', () => 'I would remove the menu.'),
    );
    expect(chatty.rejected).toEqual({ malformed_program: chatty.nWindows });
    endpoint?.close();
    rmSync(join(folder, 'prompts'), { recursive: true });
    const options = await expertRun('rewrite', (prompt) =>
      rewriteAnswer(prompt).replaceAll('Sentence', 'Beautifully reworded sentence'),
    );
    const reworded = await annotateChunks({ ...options, out: join(folder, 'other') });
    expect(reworded.rejected.rewords).toBe(reworded.nWindows);
  });

  it('continues after an interrupt without asking anything twice', async () => {
    const options = await expertRun('programs', programsAnswer);
    const controller = new AbortController();
    endpoint!.onRequest = () => {
      if (endpoint!.prompts.length === 14) controller.abort();
    };
    const interrupted = await annotateChunks({ ...options, signal: controller.signal }).catch(
      (error: unknown) => error,
    );
    expect(isGristmillError(interrupted, 'ABORTED')).toBe(true);
    expect(readdirSync(join(folder, 'set'))).toEqual(['_annotate']);
    const nBefore = endpoint!.prompts.length;
    expect(nBefore).toBeGreaterThanOrEqual(14);
    const statistics = await annotateChunks(options);
    expect(statistics.requests!.cached).toBe(nBefore);
    expect(new Set(endpoint!.prompts).size).toBe(endpoint!.prompts.length);
    expect(endpoint!.prompts).toHaveLength(3 * statistics.nWindows);
    // Once more: everything is known.
    const again = await annotateChunks({ ...options, out: join(folder, 'set') });
    expect(again.requests).toMatchObject({ requests: 0, cached: 3 * statistics.nWindows });
  });

  it('stops at the budget with what is finished, and goes on from there', async () => {
    const options = await expertRun('programs', programsAnswer);
    const part = await annotateChunks({
      ...options,
      expert: { ...options.expert!, maxRequests: 10 },
    });
    expect(part.stopped).toBe('budget');
    expect(part.requests!.requests).toBe(10);
    expect(part.nWindows).toBe(3);
    expect(await examplesOf(join(folder, 'set'))).toHaveLength(3);
    const whole = await annotateChunks(options);
    expect(whole).toMatchObject({ stopped: null, nDocuments: 12 });
    expect(new Set(endpoint!.prompts).size).toBe(endpoint!.prompts.length);
  });
});
