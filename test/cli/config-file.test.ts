/** `--config`: a file says what flags say, through the same parsers, and what is wrong with it is named by file, line and key. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { afterAll, describe, expect, it } from 'vitest';
import { takeConfigFiles } from '../../src/cli/config-file.ts';
import { gristmillProgram } from '../../src/cli/program.ts';
import { packageRoot } from '../../src/paths.ts';
import { run } from './support.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-config-'));
const corpus = join(packageRoot, 'examples/corpus.parquet');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let files = 0;
function config(text: string): string {
  const file = join(folder, `config-${files++}.yaml`);
  writeFileSync(file, text);
  return file;
}

/** What a command of ours would run with. */
async function parsed(words: readonly string[], args: readonly string[]) {
  const program = await gristmillProgram(words[0]);
  let command: Command = program;
  for (const word of words) command = command.commands.find((one) => one.name() === word)!;
  let found: { args: readonly string[]; options: Record<string, unknown> } | null = null;
  command.action(() => {
    found = { args: command.args, options: command.opts() };
  });
  takeConfigFiles(program);
  await program.parseAsync([...words, ...args], { from: 'user' });
  return found!;
}

describe('a configuration', () => {
  it('gives a command its options and arguments, under either spelling', async () => {
    const file = config(
      `inputs: [${JSON.stringify(corpus)}]\nout: ${join(folder, 'a')}\ntextColumn: text\nid-column: id\nlimit: 7\njson: true\n`,
    );
    const { code, stdout, stderr } = await run(['refine', '--config', file]);
    expect([code, stderr]).toEqual([0, '']);
    expect(JSON.parse(stdout.toString())).toMatchObject({ rowsIn: 7 });
    expect(existsSync(join(folder, 'a/_gristmill/run.json'))).toBe(true);
  });

  it('is read behind an address, and what is wrong with it names that', async () => {
    const text = `inputs: [${JSON.stringify(corpus)}]\nout: ${join(folder, 'far')}\nplan: true\njson: true\n`;
    const served: Record<string, string> = { '/good.yaml': text, '/bad.yaml': 'nonsense: 1\n' };
    const server = createServer((request, response) => {
      const body = Buffer.from(served[new URL(request.url!, 'http://h').pathname] ?? '');
      if (body.length === 0) return void response.writeHead(404).end();
      const [, from, to] = /bytes=(\d+)-(\d*)/.exec(request.headers.range ?? '') ?? ['', '0', ''];
      const end = to === '' ? body.length - 1 : Math.min(Number(to), body.length - 1);
      const range = `bytes ${from}-${end}/${body.length}`;
      response.writeHead(206, { 'content-range': range, etag: '"e"' });
      response.end(body.subarray(Number(from), end + 1));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const { port } = server.address() as AddressInfo;
      const address = `http://127.0.0.1:${port}`;
      const good = await run([
        'refine',
        '--config',
        `http://me:secret-word@127.0.0.1:${port}/good.yaml`,
      ]);
      expect([good.code, good.stderr]).toEqual([0, '']);
      expect(JSON.parse(good.stdout.toString()).plan).toMatchObject({ units: expect.anything() });
      const bad = await run(['refine', `--config=${address}/bad.yaml`]);
      expect(bad.code).toBe(2);
      expect(bad.stderr).toContain(`CONFIG_INVALID: configuration ${address}/bad.yaml`);
      const none = await run(['refine', '--config', `${address}/none.yaml`]);
      expect(none.stderr).toContain('it does not exist');
    } finally {
      server.close();
    }
  });

  it('gives way to the command line, wholly', async () => {
    const file = config('out: a\nlimit: 7\ninputs: [x, y]\nretention: 0.9\n');
    const found = await parsed(['refine'], ['z', '--limit', '2', '--config', file]);
    expect(found.args).toEqual(['z']);
    expect(found.options).toMatchObject({ out: 'a', limit: 2, retention: 0.9 });
    const where = config('where: [status=edited, "score<0.5"]\ndir: d\npager: false\n');
    expect((await parsed(['show'], ['--config', where])).options).toMatchObject({
      where: ['status=edited', 'score<0.5'],
      pager: false,
    });
    const both = await parsed(['show'], ['--config', where, '--where', 'status=kept']);
    expect(both.options['where']).toEqual(['status=kept']);
  });

  it('reads lists, maps and JSON as the flag takes them', async () => {
    const bounds = config(
      'fit.json: fit.json\nmin: { a: 0.1, b: 0.2 }\ntarget: [x, y]\nout: o.json\n',
    );
    const { args, options } = await parsed(['mix', 'optimize'], ['--config', bounds]);
    expect(args).toEqual(['fit.json']);
    expect(options['min']).toEqual(
      new Map([
        ['a', 0.1],
        ['b', 0.2],
      ]),
    );
    expect(options).toMatchObject({ target: ['x', 'y'], out: ['o.json'] });
    const stages = config(
      'inputs: x\nout: o\nstages: [document, chunk]\nestimate: true\nplan: false\n',
    );
    const refined = (await parsed(['refine'], ['--config', stages])).options;
    expect(refined).toMatchObject({ stages: ['document', 'chunk'], estimate: true });
    expect(refined['plan']).toBeUndefined();
    const law = config('curves: x.csv\nschedule: { kind: cosine, peakLr: 1.0e-3 }\n');
    expect((await parsed(['continue', 'fit-law'], ['--config', law])).options['schedule']).toEqual({
      kind: 'cosine',
      peakLr: 0.001,
    });
    const expert = config('inputs: x\nout: o\nexpert-body: { seed: 7 }\n');
    const asked = await parsed(['annotate', 'documents'], ['--config', expert]);
    expect(asked.options['expertBody']).toBe('{"seed":7}');
  });

  it.each([
    [
      'out: o\nretentoin: 0.9\n',
      /line 2: retentoin: no such option of refine; did you mean retention\?/,
    ],
    ['out: o\nretention: 9\n', /line 2: retention: expected a number in 0\.\.1\. received 9/],
    ['out: o\nformat: csv\n', /line 2: format: Allowed choices are parquet, jsonl\.zst\./],
    ['out: o\nplan: 3\n', /line 2: plan: expected true or false, received 3/],
    ['out: o\nlimit: { a: 1 }\n', /line 2: limit: expected a whole number/],
    ['out: o\nlimit: null\n', /line 2: limit: expected a value, received null/],
    ['out: o\nout: p\n', /line 2: Map keys must be unique/],
    ['out: [o\n', /line 2: /],
    ['- out\n', /line 1: expected options by name/],
    ['config: other.yaml\n', /line 1: config: no such option/],
    ['constructor: 1\n', /line 1: constructor: no such option/],
    [
      `a: &a [x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b]\nout: [*c, *c, *c]\n`,
      /line 1: Excessive alias count/,
    ],
  ])('%j is refused with its place', async (text, message) => {
    const file = config(text);
    const { code, stderr } = await run(['refine', 'x', '--config', file]);
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(
      /^gristmill: CONFIG_INVALID: configuration .*config-\d+\.yaml, line \d+/,
    );
    expect(stderr).toContain('docs/errors.md#config_invalid');
    expect(code).toBe(2);
  });

  it('is refused where it is missing, and what it does not give is still missing', async () => {
    const none = await run(['refine', 'x', '--config', join(folder, 'none.yaml')]);
    expect([none.code, none.stderr]).toEqual([2, expect.stringMatching(/CONFIG_INVALID.*ENOENT/)]);
    const file = config('retention: 0.9\n');
    const { code, stderr } = await run(['refine', 'x', '--config', file]);
    expect([code, stderr]).toEqual([2, expect.stringContaining('missing: --out <dir>')]);
  });

  it('is named where the library refuses a value of it', async () => {
    const file = config('out: o\nretention: 0.9\nline-threshold: 0.3\n');
    const { code, stderr } = await run(['refine', corpus, '--config', file]);
    expect([code, stderr]).toEqual([2, expect.stringContaining('--retention (of --config)')]);
  });
});
