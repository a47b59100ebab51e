/**
 * The tokenizer of a model folder → the `tokenizer.*` entries of a GGUF file: tokenizer.model where there is one
 * (SentencePiece), held against tokenizer.json and with the tokens that it adds, else tokenizer.json alone (byte-level
 * BPE, or SentencePiece's BPE with byte fallback), else vocab.json with merges.txt.
 */
import { join } from 'node:path';
import type { GgufValue } from '../gguf-write.ts';
import { chatTemplateEntries } from './chat-template.ts';
import type { Architecture } from './hyperparameters.ts';
import {
  hasFile,
  invalidFile,
  isObject,
  type JsonObject,
  MAX_TOKENIZER_BYTES,
  readJsonIfThere,
  unsupported,
} from './model-files.ts';
import { specialTokenEntries } from './special-tokens.ts';
import { type ConvertedTokenizer, convertByteBpe } from './tokenizer-bpe.ts';
import { convertSentencePiece, convertSentencePieceJson } from './tokenizer-spm.ts';
import { matchingNotes, TOKEN_TYPE } from './tokens.ts';
import { readVocabMerges } from './vocab-merges.ts';

/** Sizes of vocabularies by which two families are told: CodeLlama and the small Granite and SmolLM models. */
const CODE_LLAMA_VOCAB = 32_016;
const CODE_LLAMA_EOT = 32_010;
const NO_BOS_VOCAB = 49_152;
/** Ends of a text by kind of tokenizer where a file does not say (llama-vocab.cpp). */
const DEFAULT_END = { llama: 2, gpt2: 11 } as const;

/**
 * Converts the tokenizer of a folder.
 *
 * @throws MODEL_FILES_INVALID, MODEL_CONVERT_UNSUPPORTED
 */
export function convertTokenizer(
  dir: string,
  config: JsonObject,
  { architecture, nVocab }: { readonly architecture: Architecture; readonly nVocab: number },
): ConvertedTokenizer {
  const given = {
    tokenizer: readJsonIfThere(dir, 'tokenizer.json', MAX_TOKENIZER_BYTES),
    tokenizerConfig: readJsonIfThere(dir, 'tokenizer_config.json', MAX_TOKENIZER_BYTES),
  };
  const isOlder = !given.tokenizer && !hasFile(dir, 'tokenizer.model');
  const older = isOlder ? readVocabMerges(dir, config, given.tokenizerConfig) : null;
  const { tokenizer, tokenizerConfig } = older ?? given;
  const { entries, notes } = hasFile(dir, 'tokenizer.model')
    ? convertSentencePiece(dir, tokenizer, tokenizerConfig, nVocab)
    : convertJson(dir, tokenizer, tokenizerConfig, nVocab);
  const list = entries['tokenizer.ggml.tokens'];
  const special = specialTokenEntries(
    {
      tokenizer,
      tokenizerConfig,
      config,
      generationConfig: readJsonIfThere(dir, 'generation_config.json'),
    },
    list?.type === 'strings' ? list.value : [],
  );
  const all: Record<string, GgufValue> = {
    ...entries,
    ...special.entries,
    ...chatTemplateEntries(dir, tokenizerConfig),
  };
  if (architecture === 'llama') {
    const said = tokenizerConfig?.['add_prefix_space'];
    if (typeof said === 'boolean') {
      all['tokenizer.ggml.add_space_prefix'] = { type: 'bool', value: said };
    }
    if (nVocab === CODE_LLAMA_VOCAB) {
      all['tokenizer.ggml.eot_token_id'] = { type: 'u32', value: CODE_LLAMA_EOT };
    }
    if (nVocab === NO_BOS_VOCAB) {
      all['tokenizer.ggml.add_bos_token'] = { type: 'bool', value: false };
    }
  }
  return {
    entries: all,
    notes: [
      ...notes,
      ...matchingNotes(tokenizer, tokenizerConfig),
      ...special.notes,
      ...endNotes(all),
    ],
  };
}

/** Without a word on the end of texts llama.cpp takes a fixed id for it; said where that is a token of the text. */
function endNotes(entries: Readonly<Record<string, GgufValue>>): string[] {
  if (entries['tokenizer.ggml.eos_token_id']) return [];
  const id =
    entries['tokenizer.ggml.model']?.value === 'llama' ? DEFAULT_END.llama : DEFAULT_END.gpt2;
  const types = entries['tokenizer.ggml.token_type'];
  if (types?.type !== 'i32s' || types.value[id] === TOKEN_TYPE.control) return [];
  return [
    `the folder names no end of a text (eos_token, eos_token_id): llama.cpp takes token ${id} for it`,
  ];
}

function convertJson(
  dir: string,
  tokenizer: JsonObject | null,
  tokenizerConfig: JsonObject | null,
  nVocab: number,
): ConvertedTokenizer {
  const file = join(dir, 'tokenizer.json');
  if (!tokenizer)
    throw invalidFile(
      file,
      'is missing, and there is no tokenizer.model, nor vocab.json with merges.txt',
    );
  const model = tokenizer['model'];
  const type = isObject(model) ? model['type'] : undefined;
  if (!isObject(model) || type !== 'BPE') {
    throw unsupported(dir, 'tokenizer.json', `model ${String(type)}, not BPE`);
  }
  const input = { file, dir, tokenizer, tokenizerConfig, nVocab };
  if (model['byte_fallback'] === true) return convertSentencePieceJson(input);
  return convertByteBpe(input);
}
