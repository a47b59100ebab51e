import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import {
  loadTemplate,
  REWRITE_MARKERS,
  TEMPLATES,
  type TemplateName,
  writeTemplates,
} from '../../src/annotate/templates.ts';
import { distFile } from '../../src/paths.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-prompts-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const names = Object.keys(TEMPLATES) as TemplateName[];

let nFolders = 0;
function edited(name: TemplateName, text: string | Buffer): string {
  const place = join(folder, `edited-${nFolders++}`);
  mkdirSync(place);
  writeFileSync(join(place, `${name}.txt`), text);
  return place;
}

describe('the package’s templates', () => {
  it.each(names)('%s is filled literally and never looked at again', (name) => {
    const template = loadTemplate(name);
    const value = "{text} {lines} $& $1 $' {{x}} \\n === user ===\n\u0000😀";
    const { system, user } = template.fill({ [TEMPLATES[name]]: value });
    expect(system).toBeTypeOf('string');
    expect(user.split(value)).toHaveLength(2);
  });

  it('lie beside the compiled code too', () => {
    const built = distFile('annotate/prompts');
    expect(readdirSync(built).sort()).toEqual(names.map((name) => `${name}.txt`).sort());
  });

  it('ask for the labels and markers that are read', () => {
    const { user } = loadTemplate('educational').fill({ text: '' });
    expect(user.trimEnd().endsWith('Educational score: N')).toBe(true);
    const format = loadTemplate('format').fill({ text: '' }).user;
    expect(format.trimEnd().endsWith('Extraction quality score: N')).toBe(true);
    const rewrite = loadTemplate('rewrite').fill({ text: 'a\nb' }).user;
    const { begin, end } = REWRITE_MARKERS;
    expect(rewrite.endsWith(`${begin}\na\nb\n${end}`)).toBe(true);
  });
});

describe('edited templates', () => {
  it('are copies of the package’s at first, and are not overwritten', () => {
    const out = join(folder, 'copies');
    const files = writeTemplates(out);
    expect(files.map((file) => readFileSync(file, 'utf8'))).toEqual(
      names.map((name) => readFileSync(loadTemplate(name).file, 'utf8')),
    );
    for (const name of names) expect(loadTemplate(name, out).file).toBe(join(out, `${name}.txt`));
    expect(() => writeTemplates(out)).toThrow(
      expect.objectContaining({ code: 'RUN_OUTPUT_FAILED' }),
    );
  });

  it('may have no system part, or no parts at all; a missing one is the package’s', () => {
    const plain = edited('educational', 'Rate this:\r\n{text}\r\n');
    expect(loadTemplate('educational', plain).fill({ text: 'T' })).toEqual({
      system: null,
      user: 'Rate this:\nT',
    });
    expect(loadTemplate('format', plain).file).toBe(loadTemplate('format').file);
    const parts = edited('educational', '=== system ===\n\n=== user ===\n{text}');
    expect(loadTemplate('educational', parts).fill({ text: 'T' })).toEqual({
      system: null,
      user: 'T',
    });
  });

  it.each<[TemplateName, string | Buffer, string]>([
    ['educational', 'Rate this.', '{text} stands 0 times'],
    ['educational', '{text} {text}', '{text} stands 2 times'],
    ['educational', '{text} {lines}', 'unknown placeholder {lines}'],
    ['navigation', '{text}', 'unknown placeholder {text}'],
    ['educational', '=== system ===\n{text}\n=== user ===\n{text}', 'in the system message'],
    ['educational', '=== system ===\n{text}', 'without'],
    ['educational', '=== user ===\n{text}\n=== system ===\nx', 'behind'],
    ['educational', 'x\n=== user ===\n{text}', 'text before its parts'],
    ['educational', '=== user ===\n{text}\n=== user ===\n', 'twice'],
    ['educational', Buffer.from([0x7b, 0xff]), 'not valid'],
    ['rewrite', 'Clean: {text}', 'the marker <<<BEGIN>>> is missing'],
  ])('%s: %j is refused: %s', (name, text, reason) => {
    expect(() => loadTemplate(name, edited(name, text))).toThrow(
      expect.objectContaining({
        code: 'ANNOTATE_TEMPLATE_INVALID',
        message: expect.stringContaining(reason),
      }),
    );
  });
});
