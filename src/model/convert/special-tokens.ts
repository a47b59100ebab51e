/**
 * Special tokens of a tokenizer: which ids begin, end, pad and separate, and what a text is framed with.
 *
 * Three files speak of them, in this order: the template of tokenizer.json's post-processor, tokenizer_config.json (which
 * overrules it and names tokens by their text, looked up among the added tokens), and config.json (ids, where the
 * others gave none).
 */
import type { GgufValue } from '../gguf-write.ts';
import { isObject, type JsonObject } from './model-files.ts';

const ROLES = ['bos', 'eos', 'unk', 'sep', 'pad', 'mask', 'eot'] as const;
type Role = (typeof ROLES)[number];

const ID_KEYS: Readonly<Record<Role | 'eom', string>> = {
  bos: 'bos_token_id',
  eos: 'eos_token_id',
  unk: 'unknown_token_id',
  sep: 'seperator_token_id', // spelled so in the format
  pad: 'padding_token_id',
  mask: 'mask_token_id',
  eot: 'eot_token_id',
  eom: 'eom_token_id',
};

/** Files of a tokenizer; null where there is none. */
export interface SpecialTokenFiles {
  /** tokenizer.json */
  readonly tokenizer: JsonObject | null;
  /** tokenizer_config.json */
  readonly tokenizerConfig: JsonObject | null;
  /** config.json */
  readonly config: JsonObject;
  /** generation_config.json */
  readonly generationConfig: JsonObject | null;
}

/** Texts that llama.cpp ends an answer at by themselves, where they are tokens. */
const KNOWN_ENDS: ReadonlySet<string> = new Set([
  ...['<|eot_id|>', '<|im_end|>', '<|end|>', '<|endoftext|>', '<|eom_id|>', '<|end_of_text|>'],
  ...['<end_of_turn>', '</s>', '<EOT>', '_<EOT>', '[EOT]', '[EOS]', '<eos>', '<end_of_utterance>'],
  '<｜end▁of▁sentence｜>',
]);

/** Entries on special tokens, and what they cannot say. */
export interface SpecialTokens {
  readonly entries: Record<string, GgufValue>;
  readonly notes: readonly string[];
}

/**
 * The entries of a GGUF file on special tokens.
 *
 * Of several ends of a text the first one is written behind documents, answers end at all of them.
 *
 * @param tokens texts by id; ids from their number on are left out
 */
export function specialTokenEntries(
  { tokenizer, tokenizerConfig, config, generationConfig }: SpecialTokenFiles,
  tokens: readonly string[],
): SpecialTokens {
  const nTokens = tokens.length;
  const names = new Map<string, string>();
  for (const role of ['bos', 'eos', 'unk', 'sep', 'pad', 'mask', 'cls']) {
    const text = tokenText(tokenizerConfig?.[`${role}_token`]);
    if (text !== null) names.set(role, text);
  }
  const framed = tokenizer ? framing(tokenizer, names) : new Map<string, boolean>();
  const ids = new Map<Role | 'eom', number>();
  for (const role of ROLES) {
    const said = tokenizerConfig?.[`add_${role}_token`];
    if (typeof said === 'boolean') framed.set(role, said);
    // Without tokenizer_config.json the names of the template have no role.
    const id = tokenizerConfig ? idOf(names.get(role), tokenizer) : null;
    if (id !== null && id < nTokens) ids.set(role, id);
  }
  for (const role of ROLES) {
    const [id] = idsOf(config[`${role}_token_id`], nTokens);
    if (ids.has(role) || id === undefined) continue;
    if (role === 'eot' && !names.has('eot')) continue;
    ids.set(role, id);
  }
  const ends = [config, generationConfig].flatMap((file) => idsOf(file?.['eos_token_id'], nTokens));
  if (!ids.has('eos') && ends.length > 0) ids.set('eos', ends[0]!);
  const notes = addEnds(ids, ends, tokens);
  const entries: Record<string, GgufValue> = {};
  for (const [role, value] of ids) {
    entries[`tokenizer.ggml.${ID_KEYS[role]}`] = { type: 'u32', value };
  }
  for (const role of ['bos', 'eos', 'sep']) {
    const value = framed.get(role);
    if (value !== undefined) entries[`tokenizer.ggml.add_${role}_token`] = { type: 'bool', value };
  }
  return { entries, notes };
}

/** Ids of a value that is one or a list of them. */
function idsOf(value: unknown, nTokens: number): number[] {
  return [value].flat().filter((id): id is number => {
    return typeof id === 'number' && Number.isInteger(id) && id >= 0 && id < nTokens;
  });
}

/** Gives further ends of an answer the roles that are left; those that are left over are noted. */
function addEnds(
  ids: Map<Role | 'eom', number>,
  ends: readonly number[],
  tokens: readonly string[],
): string[] {
  if (!ids.has('eos')) return [];
  const left: number[] = [];
  for (const id of new Set(ends)) {
    if ([...ids].some(([role, other]) => other === id && ['eos', 'eot', 'eom'].includes(role))) {
      continue;
    }
    if (KNOWN_ENDS.has(tokens[id]!)) continue;
    const role = (['eot', 'eom'] as const).find((free) => !ids.has(free));
    if (role) ids.set(role, id);
    else left.push(id);
  }
  if (left.length === 0) return [];
  return [`answers end at the tokens ${left.join(', ')} too, for which GGUF has no place`];
}

/** The text of a token that is given as text or as an object. */
export function tokenText(value: unknown): string | null {
  if (typeof value === 'string') return value;
  return isObject(value) && typeof value['content'] === 'string' ? value['content'] : null;
}

function idOf(text: string | undefined, tokenizer: JsonObject | null): number | null {
  const added = tokenizer?.['added_tokens'];
  if (text === undefined || !Array.isArray(added)) return null;
  for (const token of added) {
    if (isObject(token) && token['content'] === text) {
      return typeof token['id'] === 'number' && token['id'] >= 0 ? token['id'] : null;
    }
  }
  return null;
}

/** What is put around a text, by the post-processor; fills gaps of `names`. */
function framing(tokenizer: JsonObject, names: Map<string, string>): Map<string, boolean> {
  const framed = new Map<string, boolean>();
  const post = tokenizer['post_processor'];
  if (!isObject(post)) return framed;
  if (!names.has('bos') && names.has('cls')) names.set('bos', names.get('cls')!);
  if (!names.has('eos') && names.has('sep')) names.set('eos', names.get('sep')!);
  const processors = Array.isArray(post['processors']) ? post['processors'] : [post];
  for (const processor of processors) {
    if (isObject(processor) && processor['type'] === 'TemplateProcessing') {
      frameByTemplate(processor, names, framed);
    }
  }
  return framed;
}

function frameByTemplate(
  processor: JsonObject,
  names: Map<string, string>,
  framed: Map<string, boolean>,
): void {
  const single = pieces(processor['single']);
  const first = single.length > 1 ? single[0]!.special : null;
  const last = single.length > 1 ? single.at(-1)!.special : null;
  if (first !== null) {
    if (!names.has('bos')) names.set('bos', first);
    if (!names.has('cls') && names.get('bos') !== first) names.set('cls', first);
    framed.set('bos', first === names.get('bos') || first === names.get('cls'));
  }
  if (last !== null) {
    const eos = names.get('eos');
    // What ended a turn so far keeps its role as the end of a turn.
    if (eos !== undefined && eos !== last) names.set('eot', eos);
    names.set('eos', last);
    framed.set('eos', true);
  }
  let pair = pieces(processor['pair']);
  if (pair.length === 0) return;
  if (first !== null && pair[0]!.special === first) pair = pair.slice(1);
  if (last !== null && pair.at(-1)?.special === last) pair = pair.slice(0, -1);
  const [start, ...middle] = pair;
  const end = middle.pop();
  if (start?.sequence !== 'A' || end?.sequence !== 'B' || middle.length === 0) return;
  const separates = (special: string | null): boolean =>
    special !== null && (special === names.get('sep') || special === names.get('eos'));
  const adds =
    (separates(middle[0]!.special) && last === null) ||
    (middle.length === 2 && separates(middle[1]!.special));
  framed.set('sep', adds);
  if (adds && !names.has('sep') && names.has('eos')) names.set('sep', names.get('eos')!);
}

interface TemplatePiece {
  readonly special: string | null;
  readonly sequence: string | null;
}

function pieces(list: unknown): TemplatePiece[] {
  if (!Array.isArray(list)) return [];
  return list.map((piece: unknown) => {
    const id = (kind: string): string | null => {
      const value = isObject(piece) ? piece[kind] : null;
      return isObject(value) && typeof value['id'] === 'string' ? value['id'] : null;
    };
    return { special: id('SpecialToken'), sequence: id('Sequence') };
  });
}
