#include "engine/gguf_checks.h"

#include <ggml.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <string_view>
#include <unordered_set>

namespace gristmill::engine {

namespace {

// Tensors are mapped into memory where they lie in the file, and ggml wants them at multiples of
// this (TENSOR_ALIGNMENT).
constexpr size_t kMinAlignment = 32;

struct Problem {
  std::string text;
};

void Expect(bool holds, const std::string& otherwise) {
  if (!holds) throw Problem{otherwise};
}

template <typename Check>
std::string Caught(const Check& check) {
  try {
    check();
    return "";
  } catch (const Problem& problem) {
    return problem.text;
  }
}

// The values of a model under one key: one number for all layers, or one a layer.
class Values {
 public:
  Values(const gguf_context* gguf, const std::string& key) : gguf_(gguf), key_(key) {
    id_ = gguf_find_key(gguf, key.c_str());
    if (id_ < 0) return;
    type_ = gguf_get_kv_type(gguf, id_);
    is_array_ = type_ == GGUF_TYPE_ARRAY;
    if (is_array_) type_ = gguf_get_arr_type(gguf, id_);
  }
  bool found() const { return id_ >= 0; }

  // One integer of 32 bits for all layers; an array holds the same `count` times.
  int64_t Integer(int64_t count, int64_t otherwise) const {
    if (!found()) return otherwise;
    Expect(type_ == GGUF_TYPE_UINT32 || type_ == GGUF_TYPE_INT32,
           key_ + " is no integer of 32 bits");
    if (!is_array_) {
      return type_ == GGUF_TYPE_UINT32 ? int64_t{gguf_get_val_u32(gguf_, id_)}
                                       : int64_t{gguf_get_val_i32(gguf_, id_)};
    }
    const auto length = static_cast<int64_t>(gguf_get_arr_n(gguf_, id_));
    Expect(length == count,
           key_ + " has " + std::to_string(length) + " values, expected " + std::to_string(count));
    const auto* values = static_cast<const int32_t*>(gguf_get_arr_data(gguf_, id_));
    Expect(std::all_of(values, values + length, [&](int32_t value) { return value == *values; }),
           key_ + " differs between layers");
    return type_ == GGUF_TYPE_UINT32 ? int64_t{static_cast<uint32_t>(*values)} : int64_t{*values};
  }

  int64_t Scalar(int64_t otherwise) const {
    Expect(!is_array_, key_ + " is an array");
    return Integer(0, otherwise);
  }

  std::optional<float> Real() const {
    if (!found()) return std::nullopt;
    Expect(!is_array_ && type_ == GGUF_TYPE_FLOAT32, key_ + " is no number of 32 bits");
    return gguf_get_val_f32(gguf_, id_);
  }

  std::optional<bool> Flag() const {
    if (!found()) return std::nullopt;
    Expect(!is_array_ && type_ == GGUF_TYPE_BOOL, key_ + " is neither true nor false");
    return gguf_get_val_bool(gguf_, id_);
  }

  std::optional<std::string> Text() const {
    if (!found()) return std::nullopt;
    Expect(!is_array_ && type_ == GGUF_TYPE_STRING, key_ + " is no text");
    return gguf_get_val_str(gguf_, id_);
  }

  // Elements of an array of one of two types; 0 when the key is not there.
  size_t Length(gguf_type type, gguf_type other) const {
    if (!found()) return 0;
    Expect(is_array_ && (type_ == type || type_ == other), key_ + " has the wrong type");
    return gguf_get_arr_n(gguf_, id_);
  }

  int64_t id() const { return id_; }

 private:
  const gguf_context* gguf_;
  std::string key_;
  int64_t id_ = -1;
  gguf_type type_ = GGUF_TYPE_COUNT;
  bool is_array_ = false;
};

bool EndsWith(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

// Factors that are multiplied or added elementwise: their kernels take nothing but f32.
bool IsElementwise(std::string_view name) {
  return EndsWith(name, "norm.weight") || EndsWith(name, ".bias") || EndsWith(name, "scale") ||
         name.find("rope_f") != std::string_view::npos;
}

// Types for which the CPU has both products and rows.
bool IsMatrixType(ggml_type type) {
  return type == GGML_TYPE_F32 || ggml_get_type_traits(type)->to_float != nullptr;
}

void CheckTensors(const gguf_context* gguf) {
  for (int64_t index = 0; index < gguf_get_n_tensors(gguf); ++index) {
    const std::string name = gguf_get_tensor_name(gguf, index);
    const ggml_type type = gguf_get_tensor_type(gguf, index);
    const std::string has = "tensor " + name + " has type " + ggml_type_name(type);
    if (IsElementwise(name)) {
      Expect(type == GGML_TYPE_F32, has + ", expected f32");
    } else {
      Expect(IsMatrixType(type), has + ", with which nothing can be computed");
    }
    const int64_t* extents = gguf_get_tensor_ne(gguf, index);
    Expect(std::all_of(extents, extents + GGML_MAX_DIMS, [](int64_t n) { return n > 0; }),
           "tensor " + name + " is empty");
  }
}

void CheckExperts(const gguf_context* gguf, const std::string& prefix, int64_t n_layer) {
  const auto at = [&](const char* key) { return Values(gguf, prefix + key); };
  const int64_t count = at("expert_count").Scalar(0);
  const int64_t used = at("expert_used_count").Integer(n_layer, 0);
  Expect(count >= 0 && count <= kMaxExperts, prefix + "expert_count is " + std::to_string(count) +
                                                 ", expected 0.." + std::to_string(kMaxExperts));
  Expect(count == 0 || prefix == "llama.", prefix + "expert_count: this model has no experts");
  Expect(count == 0 ? used == 0 : used >= 1 && used <= count,
         prefix + "expert_used_count is " + std::to_string(used) + " of " + std::to_string(count));
  Expect(at("expert_group_count").Scalar(0) == 0 && at("expert_group_used_count").Scalar(0) == 0,
         "groups of experts are not supported");
}

void CheckRotation(const gguf_context* gguf, const std::string& prefix, int64_t head_dim) {
  const auto at = [&](const char* key) { return Values(gguf, prefix + key); };
  const int64_t rotated = at("rope.dimension_count").Scalar(head_dim);
  Expect(rotated == head_dim, prefix + "rope.dimension_count is " + std::to_string(rotated) +
                                  ", the heads are " + std::to_string(head_dim) + " wide");
  const std::string scaling = at("rope.scaling.type").Text().value_or("linear");
  Expect(scaling == "none" || scaling == "linear" || scaling == "yarn" || scaling == "longrope",
         prefix + "rope.scaling.type is not known");
  Expect(at("rope.scaling.original_context_length").Scalar(1) > 0,
         prefix + "rope.scaling.original_context_length is out of range");
  for (const char* key : {"rope.freq_base", "rope.scaling.factor", "rope.scale_linear"}) {
    const auto value = at(key).Real();
    Expect(!value || (std::isfinite(*value) && *value >= 0), prefix + key + " is out of range");
  }
  Expect(at("rope.freq_base").Real().value_or(1) > 0, prefix + "rope.freq_base is zero");
  for (const char* key :
       {"rope.scaling.attn_factor", "rope.scaling.alpha", "rope.scaling.yarn_log_multiplier",
        "rope.scaling.yarn_ext_factor", "rope.scaling.yarn_attn_factor",
        "rope.scaling.yarn_beta_fast", "rope.scaling.yarn_beta_slow"}) {
    const auto value = at(key).Real();
    Expect(!value || std::isfinite(*value), prefix + key + " is no finite number");
  }
}

void CheckShape(const gguf_context* gguf, const std::string& architecture) {
  const std::string prefix = architecture + ".";
  const auto at = [&](const char* key) { return Values(gguf, prefix + key); };
  const auto in_range = [&](const char* key, int64_t value, int64_t low, int64_t high) {
    Expect(value >= low && value <= high, prefix + key + " is " + std::to_string(value) +
                                              ", expected " + std::to_string(low) + ".." +
                                              std::to_string(high));
  };
  const int64_t n_layer = at("block_count").Scalar(0);
  in_range("block_count", n_layer, 1, kMaxLayers);
  const int64_t n_embd = at("embedding_length").Scalar(0);
  in_range("embedding_length", n_embd, 1, 1 << 20);
  in_range("embedding_length_out", at("embedding_length_out").Scalar(n_embd), n_embd, n_embd);
  in_range("context_length", at("context_length").Scalar(0), 1, INT32_MAX);
  in_range("feed_forward_length", at("feed_forward_length").Integer(n_layer, 0), 1, 1 << 24);
  const int64_t n_head = at("attention.head_count").Integer(n_layer, 0);
  in_range("attention.head_count", n_head, 1, n_embd);
  const int64_t n_head_kv = at("attention.head_count_kv").Integer(n_layer, n_head);
  in_range("attention.head_count_kv", n_head_kv, 1, n_head);
  Expect(n_head % n_head_kv == 0, "head_count is no multiple of head_count_kv");
  const int64_t head_dim = at("attention.key_length").Scalar(n_embd / n_head);
  in_range("attention.key_length", head_dim, 2, 1 << 16);
  Expect(head_dim % 2 == 0, "the heads are " + std::to_string(head_dim) + " wide, an odd number");
  in_range("attention.value_length", at("attention.value_length").Scalar(n_embd / n_head), head_dim,
           head_dim);
  const auto epsilon = at("attention.layer_norm_rms_epsilon").Real();
  Expect(epsilon && std::isfinite(*epsilon) && *epsilon >= 0,
         prefix + "attention.layer_norm_rms_epsilon is missing or out of range");
  in_range("nextn_predict_layers", at("nextn_predict_layers").Scalar(0), 0, 0);
  in_range("pooling_type", at("pooling_type").Scalar(0), -1, 4);
  at("attention.causal").Flag();
  CheckExperts(gguf, prefix, n_layer);
  CheckRotation(gguf, prefix, head_dim);
}

void CheckSplits(const gguf_context* gguf) {
  const Values count(gguf, "split.count");
  if (!count.found()) return;
  const int64_t id = count.id();
  const bool is_whole =
      gguf_get_kv_type(gguf, id) == GGUF_TYPE_UINT16 && gguf_get_val_u16(gguf, id) <= 1;
  Expect(is_whole, "it is one part of a model in several files: merge them into one file");
}

void CheckTokens(const gguf_context* gguf, const Values& list, size_t n_tokens) {
  // As llama.cpp reads them: to the first zero byte, an empty one under a name of its own.
  std::unordered_set<std::string> seen;
  seen.reserve(n_tokens);
  for (size_t token = 0; token < n_tokens; ++token) {
    std::string text = gguf_get_arr_str(gguf, list.id(), token);
    if (text.empty()) text = "[EMPTY_" + std::to_string(token) + "]";
    Expect(seen.insert(text).second,
           "token " + std::to_string(token) + " is there twice: " + text.substr(0, 80));
  }
}

// The others llama.cpp leaves out with a warning; these decide how prompts begin and answers end.
void CheckSpecialTokens(const gguf_context* gguf, size_t n_tokens) {
  for (const char* name : {"bos", "eos", "eot", "eom"}) {
    const std::string key = std::string("tokenizer.ggml.") + name + "_token_id";
    const int64_t id = Values(gguf, key).Scalar(0);
    Expect(id >= 0 && id < static_cast<int64_t>(n_tokens),
           key + " is " + std::to_string(id) + ": a special token lies outside the vocabulary of " +
               std::to_string(n_tokens));
  }
}

}  // namespace

std::string ProblemOfExtents(const gguf_context* gguf, uint64_t file_bytes) {
  return Caught([&] {
    Expect(gguf_get_n_tensors(gguf) == 0 || gguf_get_alignment(gguf) >= kMinAlignment,
           "general.alignment is " + std::to_string(gguf_get_alignment(gguf)) +
               ", expected at least " + std::to_string(kMinAlignment));
    for (int64_t index = 0; index < gguf_get_n_tensors(gguf); ++index) {
      const uint64_t offset = gguf_get_tensor_offset(gguf, index);
      const uint64_t bytes = gguf_get_tensor_size(gguf, index);
      const uint64_t data = gguf_get_data_offset(gguf);
      // Each by itself first: their sum may wrap round.
      const bool fits = data <= file_bytes && offset <= file_bytes && bytes <= file_bytes &&
                        data + offset + bytes <= file_bytes;
      Expect(fits, std::string("truncated: tensor ") + gguf_get_tensor_name(gguf, index) +
                       " ends at byte " + std::to_string(data + offset + bytes) + " of " +
                       std::to_string(file_bytes));
    }
  });
}

std::string ProblemOfVocabulary(const gguf_context* gguf) {
  return Caught([&] {
    CheckSplits(gguf);
    const Values list(gguf, "tokenizer.ggml.tokens");
    const size_t n_tokens = list.Length(GGUF_TYPE_STRING, GGUF_TYPE_STRING);
    Expect(n_tokens > 0 && n_tokens <= INT32_MAX, "tokenizer.ggml.tokens is missing");
    CheckTokens(gguf, list, n_tokens);
    const Values types(gguf, "tokenizer.ggml.token_type");
    const size_t n_types = types.Length(GGUF_TYPE_INT32, GGUF_TYPE_INT32);
    Expect(!types.found() || n_types >= n_tokens, "tokenizer.ggml.token_type has " +
                                                      std::to_string(n_types) + " values for " +
                                                      std::to_string(n_tokens) + " tokens");
    const Values scores(gguf, "tokenizer.ggml.scores");
    const size_t n_scores = scores.Length(GGUF_TYPE_FLOAT32, GGUF_TYPE_INT32);
    Expect(!scores.found() || n_scores >= n_tokens, "tokenizer.ggml.scores has " +
                                                        std::to_string(n_scores) + " values for " +
                                                        std::to_string(n_tokens) + " tokens");
    if (n_scores > 0 && gguf_get_arr_type(gguf, scores.id()) == GGUF_TYPE_FLOAT32) {
      const auto* values = static_cast<const float*>(gguf_get_arr_data(gguf, scores.id()));
      Expect(std::none_of(values, values + n_scores, [](float v) { return std::isnan(v); }),
             "tokenizer.ggml.scores holds what is no number");
    }
    Values(gguf, "tokenizer.ggml.merges").Length(GGUF_TYPE_STRING, GGUF_TYPE_STRING);
    CheckSpecialTokens(gguf, n_tokens);
  });
}

std::string ProblemOfModel(const gguf_context* gguf, const std::string& architecture) {
  return Caught([&] {
    CheckSplits(gguf);
    CheckShape(gguf, architecture);
    CheckTensors(gguf);
    if (architecture != "llama-embed") return;
    // Without a vocabulary llama.cpp makes as many tokens as the file says, whatever that takes.
    const int64_t table = gguf_find_tensor(gguf, "token_embd.weight");
    Expect(table >= 0, "it has no token_embd.weight");
    const int64_t rows = gguf_get_tensor_ne(gguf, table)[1];
    const int64_t said = Values(gguf, "llama-embed.vocab_size").Scalar(0);
    Expect(said == rows, "llama-embed.vocab_size is " + std::to_string(said) +
                             ", token_embd.weight has " + std::to_string(rows) + " rows");
  });
}

std::string ProblemOfDirection(const gguf_context* gguf, const std::string& architecture) {
  return Caught([&] {
    Expect(architecture == "llama-embed" ||
               Values(gguf, architecture + ".attention.causal").Flag().value_or(true),
           "attention.causal is false, but text is written from left to right");
  });
}

}  // namespace gristmill::engine
