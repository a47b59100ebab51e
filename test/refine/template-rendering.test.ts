import { spawnSync } from 'node:child_process';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { distFile } from '../../src/paths.ts';
import { promptFrame } from '../../src/refine/prompt.ts';

const model = { chatTemplate: null, bosToken: '<s>', eosToken: '</s>', addBos: true };
const limits = { maxTokens: 2000, truncate: 'prompt' } as const;
const frameOf = (template: string, date?: string) =>
  promptFrame(
    { name: 'p', chat: { template, system: null, ...(date !== undefined && { date }) } },
    model,
    '{text}',
    '{text}',
    limits,
  );
const TEXT = '{{ messages[0].content }}';

describe('templates of others', () => {
  // Was: rendered in the host's own thread, without bounds: out of memory (rc 133), or no end and deaf to signals.
  it.each([
    ['a long range', '{% for i in range(10000000000) %}{% endfor %}'],
    ['an endless range', '{% for i in range(0, 10, 1e-300) %}{% endfor %}'],
    [
      'nested loops',
      '{% for i in range(3000) %}{% for j in range(3000) %}{% for k in range(3000) %}{% endfor %}{% endfor %}{% endfor %}',
    ],
    [
      'a text that doubles',
      "{% set ns = namespace(x='a') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
    ],
    [
      'a list that doubles',
      '{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}',
    ],
    [
      'a list of itself, twice, forty times',
      '{% set ns = namespace(x=[1]) %}{% for i in range(40) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x | tojson }}',
    ],
    ['an indent', "{{ 'a\\nb' | indent(400000000) }}"],
    ['a macro that calls itself', '{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}'],
    ['brackets', `{{ ${'('.repeat(200_000)}1${')'.repeat(200_000)} }}`],
    ['a long source', `{# ${'x'.repeat(2_000_000)} #}`],
  ])('%s: is a coded error, and the next template renders', (_, bomb) => {
    expect(() => frameOf(bomb + TEXT)).toThrow(
      expect.objectContaining({ code: 'PROFILE_TEMPLATE_FAILED' }),
    );
    expect(frameOf(`a ${TEXT} b`)).toMatchObject({ prefix: 'a ', suffix: ' b' });
  });

  // Was: `strftime_now` told the clock, so a run that was resumed on another day was neither day's, without a word.
  it('tells the day of the profile, whatever the clock says', () => {
    const template = `{{ strftime_now('%d %b %Y, %B %-d, %a %H:%M %%') }}|${TEXT}`;
    expect(frameOf(template).prefix).toBe('26 Jul 2024, July 26, Fri 00:00 %|');
    expect(frameOf(template, '2026-01-05').prefix).toBe('05 Jan 2026, January 5, Mon 00:00 %|');
  });

  it('does not keep a program that has nothing else to do', () => {
    const file = pathToFileURL(distFile('refine/template-rendering.js')).href;
    const source = `import { renderTemplate } from ${JSON.stringify(file)};
      console.log(renderTemplate({ source: 'hi {{ a }}', attempts: [{ a: 1 }], date: '2024-01-01' }).text);`;
    const { stdout, status } = spawnSync(process.execPath, ['--input-type=module', '-e', source], {
      timeout: 30_000,
    });
    expect([status, String(stdout)]).toEqual([0, 'hi 1\n']);
  });
});
