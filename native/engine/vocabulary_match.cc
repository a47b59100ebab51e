#include "engine/vocabulary_match.h"

#include <ggml.h>
#include <gguf.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "engine/gguf_file.h"
#include "error.h"

namespace gristmill::engine {

namespace {

using Gguf = std::unique_ptr<gguf_context, void (*)(gguf_context*)>;

constexpr char kTokens[] = "tokenizer.ggml.tokens";
constexpr char kMerges[] = "tokenizer.ggml.merges";
constexpr size_t kShownBytes = 80;

Gguf Opened(const std::string& path) {
  Gguf gguf(gguf_init_from_file(path.c_str(), {.no_alloc = true, .ctx = nullptr}), gguf_free);
  if (gguf) return gguf;
  throw CodedError("ENGINE_MODEL_INVALID",
                   {{"file", path}, {"reason", "its metadata cannot be read"}});
}

// Strings under a key whose type gguf_checks.h has held to be that of a list of strings.
size_t Length(const gguf_context* gguf, const char* key) {
  const int64_t id = gguf_find_key(gguf, key);
  return id < 0 ? 0 : gguf_get_arr_n(gguf, id);
}

std::string Shown(const std::string& text) {
  size_t end = std::min(text.size(), kShownBytes);
  while (end < text.size() && end > 0 && (text[end] & 0xC0) == 0x80) --end;
  return "\"" + text.substr(0, end) + "\"";
}

std::string Sizes(size_t model, size_t tokenizer, const char* what) {
  return std::to_string(model) + " " + what + " in the model, " + std::to_string(tokenizer) +
         " in the tokenizer";
}

std::string ListDifference(const gguf_context* model, const gguf_context* tokenizer,
                           const char* key, const char* what) {
  const size_t length = Length(model, key);
  const size_t other = Length(tokenizer, key);
  if (length != other) return Sizes(length, other, (std::string(what) + "s").c_str());
  if (length == 0) return "";
  const int64_t model_id = gguf_find_key(model, key);
  const int64_t other_id = gguf_find_key(tokenizer, key);
  for (size_t at = 0; at < length; ++at) {
    const std::string one = gguf_get_arr_str(model, model_id, at);
    const std::string two = gguf_get_arr_str(tokenizer, other_id, at);
    if (one != two) {
      return std::string(what) + " " + std::to_string(at) + " is " + Shown(one) +
             " in the model, " + Shown(two) + " in the tokenizer";
    }
  }
  return "";
}

std::optional<size_t> Rows(const gguf_context* gguf) {
  const int64_t id = gguf_find_tensor(gguf, "token_embd.weight");
  if (id < 0) return std::nullopt;
  return static_cast<size_t>(gguf_get_tensor_ne(gguf, id)[1]);
}

}  // namespace

std::string VocabularyDifference(const std::string& model, const std::string& tokenizer) {
  const ModelFile given = ReadModelFile(model);
  // Most models bring their own tokenizer.
  const ModelFile other = model == tokenizer ? given : ReadModelFile(tokenizer);
  CheckVocabulary(other);
  const Gguf one = Opened(model);
  const auto n_tokens = static_cast<size_t>(other.n_vocab);
  const size_t rows = Rows(one.get()).value_or(n_tokens);
  if (rows != n_tokens) return Sizes(rows, n_tokens, "tokens");
  if (model == tokenizer || given.n_vocab == 0) return "";
  CheckVocabulary(given);
  if (given.tokenizer != other.tokenizer) {
    return "the model's is of the kind " + Shown(given.tokenizer) + ", the tokenizer of " +
           Shown(other.tokenizer);
  }
  const Gguf two = Opened(tokenizer);
  const std::string tokens = ListDifference(one.get(), two.get(), kTokens, "token");
  return tokens.empty() ? ListDifference(one.get(), two.get(), kMerges, "merge") : tokens;
}

}  // namespace gristmill::engine
