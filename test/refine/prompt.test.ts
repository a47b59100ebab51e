import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { loadProfile } from '../../src/refine/find-profile.ts';
import type { Profile } from '../../src/refine/profile.ts';
import { PROFILES } from '../../src/refine/profiles.ts';
import { promptFrame } from '../../src/refine/prompt.ts';

const model = { chatTemplate: null, bosToken: '<s>', eosToken: '</s>', addBos: true };
const limits = { maxTokens: 2000, truncate: 'prompt' } as const;

describe('promptFrame', () => {
  it('renders ProX prompts as the published scripts do', () => {
    const prox = PROFILES['prox']!;
    const document = promptFrame(prox, model, prox.document!.user, '{text}', limits);
    expect(document).toEqual({
      prefix: '[INST] <<SYS>>\nYou are a helpful, respectful and honest assistant.\n<</SYS>>\n\n',
      suffix: ' [/INST]',
      addBos: true,
      trimStart: false,
      trimEnd: false,
      maxTokens: 2000,
      truncate: 'prompt',
    });
    const chunk = promptFrame(prox, model, prox.chunk!.user, '{lines}', limits);
    expect(chunk.prefix.endsWith('<</SYS>>\n\n[doc]\n')).toBe(true);
    expect(chunk.suffix).toBe('\n[/doc] [/INST]');
  });

  it('sees that a template trims the message', () => {
    const profile: Profile = {
      ...PROFILES['prox-gguf']!,
      chat: { template: 'gguf', system: null },
    };
    const trimming = "{% for m in messages %}<u>{{ m['content'] | trim }}</u>{% endfor %}";
    const frame = promptFrame(
      profile,
      { ...model, chatTemplate: trimming },
      '{text}',
      '{text}',
      limits,
    );
    expect(frame).toMatchObject({ prefix: '<u>', suffix: '</u>', trimStart: true, trimEnd: true });
  });

  it('says the system text at the head of the user’s when the template has no place for it', () => {
    const strict =
      "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}<u>{{ m['content'] }}{% endfor %}";
    const frame = promptFrame(
      PROFILES['prox-gguf']!,
      { ...model, chatTemplate: strict },
      '{text}',
      '{text}',
      limits,
    );
    expect(frame.prefix).toBe('<u>You are a helpful, respectful and honest assistant.\n\n');
  });

  it('refuses templates that lose or repeat the text, and models without one', () => {
    const ask = (chatTemplate: string | null) =>
      promptFrame(PROFILES['prox-gguf']!, { ...model, chatTemplate }, '{text}', '{text}', limits);
    expect(() => ask('hello')).toThrow(/nowhere/);
    expect(() => ask("{{ messages[-1]['content'] }}{{ messages[-1]['content'] }}")).toThrow(
      /more than once/,
    );
    expect(() => ask('{% if %}')).toThrow(/chat template/);
    expect(() => ask(null)).toThrow(/has none/);
  });
});

describe('loadProfile', () => {
  const folder = mkdtempSync(join(tmpdir(), 'gristmill-profile-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('prefers the choice, then a file beside the model, then prox', () => {
    const file = join(folder, 'm.gguf.profile.json');
    writeFileSync(file, JSON.stringify({ ...PROFILES['ultrax'], name: 'mine' }));
    expect(loadProfile(undefined, join(folder, 'm.gguf')).name).toBe('mine');
    expect(loadProfile('ultrax', join(folder, 'm.gguf')).name).toBe('ultrax');
    expect(loadProfile(file, undefined).name).toBe('mine');
    expect(loadProfile(undefined, join(folder, 'other.gguf')).name).toBe('prox');
  });

  it('reads the window keys of earlier versions', () => {
    const file = join(folder, 'old.json');
    const { windows: _, ...chunk } = PROFILES['prox']!.chunk!;
    const old = { ...PROFILES['prox'], chunk: { ...chunk, maxWindowTokens: 384, countBos: true } };
    writeFileSync(file, JSON.stringify(old));
    const windows = { unit: 'tokens', max: 384, countBos: true };
    expect(loadProfile(file, undefined).chunk).toEqual({ ...chunk, windows });
    writeFileSync(file, JSON.stringify({ ...old, chunk: { ...old.chunk, windows } }));
    expect(loadProfile(file, undefined).chunk!.windows).toEqual(windows);
    writeFileSync(file, JSON.stringify({ ...old, chunk: { ...old.chunk, maxWindowTokens: 3 } }));
    expect(() => loadProfile(file, undefined)).toThrow(/windows/);
  });

  it('reads back every built-in profile', () => {
    const file = join(folder, 'built-in.json');
    for (const profile of Object.values(PROFILES)) {
      writeFileSync(file, JSON.stringify(profile));
      expect(loadProfile(file, undefined)).toEqual(profile);
    }
  });

  it('names what is wrong with a profile', () => {
    const file = join(folder, 'bad.json');
    writeFileSync(file, JSON.stringify({ ...PROFILES['prox'], dialect: 'cobol' }));
    expect(() => loadProfile(file, undefined)).toThrow(/dialect/);
    writeFileSync(file, '{');
    expect(() => loadProfile(file, undefined)).toThrow(/bad\.json/);
    expect(() => loadProfile('no-such', undefined)).toThrow(/prox, prox-web/);
    const prox = PROFILES['prox']!;
    writeFileSync(
      file,
      JSON.stringify({ ...prox, document: { ...prox.document, user: 'no place' } }),
    );
    expect(() => loadProfile(file, undefined)).toThrow(/exactly once/);
    for (const ops of [[], ['remove_lines', 'replace_str']]) {
      writeFileSync(file, JSON.stringify({ ...prox, chunk: { ...prox.chunk, ops } }));
      expect(() => loadProfile(file, undefined)).toThrow(/chunk\.ops/);
    }
    const ops = ['normalize', 'remove_lines'];
    writeFileSync(file, JSON.stringify({ ...prox, chunk: { ...prox.chunk, ops } }));
    expect(loadProfile(file, undefined).chunk!.ops).toEqual(ops);
  });
});
