/**
 * The chat template of a model folder: in tokenizer_config.json, else chat_template.jinja (with more of them in
 * additional_chat_templates/), else chat_template.json. Of several named templates, `default` is the model's; the others
 * are kept under their names.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { GgufValue } from '../gguf-write.ts';
import { hasFile, isObject, type JsonObject, readJson, readText } from './model-files.ts';

const FOLDER = 'additional_chat_templates';
const MAX_TEMPLATES = 64;

interface NamedTemplate {
  readonly name: string;
  readonly template: string;
}

/**
 * The entries of a GGUF file on chat templates; none without tokenizer_config.json.
 *
 * @throws MODEL_FILES_INVALID
 */
export function chatTemplateEntries(
  dir: string,
  tokenizerConfig: JsonObject | null,
): Record<string, GgufValue> {
  if (!tokenizerConfig) return {};
  const found = tokenizerConfig['chat_template'] ?? templateFile(dir);
  if (typeof found === 'string') {
    return { 'tokenizer.chat_template': { type: 'string', value: found } };
  }
  const entries: Record<string, GgufValue> = {};
  const others: string[] = [];
  let usual: string | null = null;
  for (const { name, template } of namedTemplates(found)) {
    if (name === 'default') usual = template;
    else if (!others.includes(name)) {
      others.push(name);
      entries[`tokenizer.chat_template.${name}`] = { type: 'string', value: template };
    }
  }
  if (others.length > 0) entries['tokenizer.chat_templates'] = { type: 'strings', value: others };
  if (usual !== null) entries['tokenizer.chat_template'] = { type: 'string', value: usual };
  return entries;
}

function templateFile(dir: string): unknown {
  if (hasFile(dir, 'chat_template.jinja')) {
    const usual = readText(join(dir, 'chat_template.jinja'));
    const more = additional(dir);
    return more.length === 0 ? usual : [{ name: 'default', template: usual }, ...more];
  }
  if (hasFile(dir, 'chat_template.json')) {
    return readJson(join(dir, 'chat_template.json'))['chat_template'];
  }
  return null;
}

function additional(dir: string): NamedTemplate[] {
  let names: string[];
  try {
    names = readdirSync(join(dir, FOLDER));
  } catch {
    return [];
  }
  return names
    .filter((name) => name.endsWith('.jinja') && hasFile(dir, join(FOLDER, name)))
    .sort()
    .slice(0, MAX_TEMPLATES)
    .map((name) => ({ name: name.slice(0, -6), template: readText(join(dir, FOLDER, name)) }));
}

function namedTemplates(list: unknown): NamedTemplate[] {
  if (!Array.isArray(list)) return [];
  return list.slice(0, MAX_TEMPLATES).flatMap((entry: unknown) => {
    if (!isObject(entry) || typeof entry['template'] !== 'string') return [];
    const name = String(entry['name'] ?? '').replace(/[^A-Za-z0-9]/g, '_');
    return name === '' ? [] : [{ name, template: entry['template'] }];
  });
}
