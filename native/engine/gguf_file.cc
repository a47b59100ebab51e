#include "engine/gguf_file.h"

#include <ggml.h>
#include <gguf.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>

#include "engine/backend.h"
#include "engine/gguf_checks.h"
#include "error.h"

namespace gristmill::engine {

namespace {

constexpr uint64_t kMinFileBytes = 24;  // magic, version, two counts
// Keys and names are compared with each other one by one: more would take minutes.
constexpr uint64_t kMaxEntries = 1 << 12;
constexpr uint64_t kMaxTensors = 1 << 14;

[[noreturn]] void Invalid(const std::string& path, const std::string& reason) {
  throw CodedError("ENGINE_MODEL_INVALID", {{"file", path}, {"reason", reason}});
}

// Files up to here are read whole: ggml reads arrays element by element, and out of memory that
// takes a third of the time.
constexpr uint64_t kWholeBytes = 4 << 20;

using File = std::unique_ptr<FILE, int (*)(FILE*)>;

void CheckMagic(const std::string& path, uint64_t file_bytes) {
  if (file_bytes < kMinFileBytes) {
    Invalid(path, "only " + std::to_string(file_bytes) + " bytes long, not a GGUF file");
  }
  File file(std::fopen(path.c_str(), "rb"), std::fclose);
  if (!file) {
    throw CodedError("ENGINE_MODEL_MISSING", {{"file", path}, {"reason", std::strerror(errno)}});
  }
  unsigned char head[kMinFileBytes];
  if (std::fread(head, 1, sizeof head, file.get()) != sizeof head) Invalid(path, "cannot be read");
  if (std::memcmp(head, GGUF_MAGIC, 4) != 0) Invalid(path, "does not start with GGUF");
  const uint32_t version = head[4] | head[5] << 8 | head[6] << 16 | uint32_t{head[7]} << 24;
  if (version < 2 || version > GGUF_VERSION) {
    Invalid(path, "GGUF version " + std::to_string(version) + ", expected 2 or 3");
  }
  const auto count = [&](size_t at, const char* what, uint64_t most) {
    uint64_t value = 0;
    std::memcpy(&value, head + at, sizeof value);
    if (value <= most) return;
    Invalid(path,
            std::to_string(value) + " " + what + ", expected at most " + std::to_string(most));
  };
  count(8, "tensors", kMaxTensors);
  count(16, "metadata entries", kMaxEntries);
}

// The metadata of a file; null where ggml refuses it.
GgufPointer OpenMetadata(const std::string& path, uint64_t file_bytes) {
  const gguf_init_params params = {.no_alloc = true, .ctx = nullptr};
  if (file_bytes > kWholeBytes) return GgufPointer(gguf_init_from_file(path.c_str(), params));
  std::vector<unsigned char> bytes(file_bytes);
  File file(std::fopen(path.c_str(), "rb"), std::fclose);
  if (!file || std::fread(bytes.data(), 1, bytes.size(), file.get()) != bytes.size()) {
    Invalid(path, "cannot be read");
  }
  return GgufPointer(gguf_init_from_buffer(bytes.data(), bytes.size(), params));
}

// The integer under `key`, -1 when there is none.
int64_t IntegerAt(const gguf_context* gguf, const std::string& key) {
  const int64_t id = gguf_find_key(gguf, key.c_str());
  if (id < 0) return -1;
  switch (gguf_get_kv_type(gguf, id)) {
    case GGUF_TYPE_UINT8:
      return gguf_get_val_u8(gguf, id);
    case GGUF_TYPE_INT8:
      return gguf_get_val_i8(gguf, id);
    case GGUF_TYPE_UINT16:
      return gguf_get_val_u16(gguf, id);
    case GGUF_TYPE_INT16:
      return gguf_get_val_i16(gguf, id);
    case GGUF_TYPE_UINT32:
      return gguf_get_val_u32(gguf, id);
    case GGUF_TYPE_INT32:
      return gguf_get_val_i32(gguf, id);
    case GGUF_TYPE_UINT64:
      return static_cast<int64_t>(gguf_get_val_u64(gguf, id));
    case GGUF_TYPE_INT64:
      return gguf_get_val_i64(gguf, id);
    case GGUF_TYPE_ARRAY:
      break;
    default:
      return -1;
  }
  // One value per layer: llama.cpp takes such arrays; the first value stands for all.
  const auto type = gguf_get_arr_type(gguf, id);
  if ((type != GGUF_TYPE_UINT32 && type != GGUF_TYPE_INT32) || gguf_get_arr_n(gguf, id) == 0)
    return -1;
  return static_cast<const int32_t*>(gguf_get_arr_data(gguf, id))[0];
}

std::optional<std::string> StringAt(const gguf_context* gguf, const std::string& key) {
  const int64_t id = gguf_find_key(gguf, key.c_str());
  if (id < 0 || gguf_get_kv_type(gguf, id) != GGUF_TYPE_STRING) return std::nullopt;
  return std::string(gguf_get_val_str(gguf, id));
}

void ReadTensors(const gguf_context* gguf, ModelFile& model) {
  std::map<std::string, TensorGroup> groups;
  for (int64_t index = 0; index < gguf_get_n_tensors(gguf); ++index) {
    const int64_t* extent = gguf_get_tensor_ne(gguf, index);
    uint64_t parameters = 1;
    for (int dimension = 0; dimension < GGML_MAX_DIMS; ++dimension) parameters *= extent[dimension];
    const char* type = ggml_type_name(gguf_get_tensor_type(gguf, index));
    TensorGroup& group = groups[type];
    group.type = type;
    group.tensors += 1;
    group.parameters += parameters;
    group.bytes += gguf_get_tensor_size(gguf, index);
    model.n_params += parameters;
    const ggml_type stored = gguf_get_tensor_type(gguf, index);
    if (ggml_is_quantized(stored) && extent[0] == ggml_blck_size(stored)) {
      model.has_single_block_rows = true;
    }
    if (std::strcmp(gguf_get_tensor_name(gguf, index), "token_embd.weight") == 0) {
      model.embedding_type = gguf_get_tensor_type(gguf, index);
    }
  }
  for (auto& [type, group] : groups) model.groups.push_back(group);
  std::stable_sort(model.groups.begin(), model.groups.end(),
                   [](const auto& a, const auto& b) { return a.parameters > b.parameters; });
  if (!model.groups.empty()) model.quantisation = model.groups.front().type;
  for (char& letter : model.quantisation) letter = static_cast<char>(std::toupper(letter));
}

bool IsLanguage(const std::string& architecture) {
  return architecture == "llama" || architecture == "qwen2" || architecture == "qwen3";
}

std::string TokenText(const gguf_context* gguf, int64_t list, int64_t token) {
  if (list < 0 || token < 0 || token >= static_cast<int64_t>(gguf_get_arr_n(gguf, list))) return "";
  return gguf_get_arr_str(gguf, list, token);
}

}  // namespace

void GgufDeleter::operator()(gguf_context* gguf) const {
  gguf_free(gguf);
}

ModelFile ReadModelFile(const std::string& path, GgufPointer* metadata) {
  namespace fs = std::filesystem;
  LoadBackends();
  std::error_code failed;
  if (!fs::is_regular_file(path, failed)) {
    throw CodedError(
        "ENGINE_MODEL_MISSING",
        {{"file", path}, {"reason", failed ? failed.message() : "not a regular file"}});
  }
  ModelFile model;
  model.path = path;
  model.file_bytes = fs::file_size(path, failed);
  CheckMagic(path, model.file_bytes);

  TakeLogErrors();
  GgufPointer owner = OpenMetadata(path, model.file_bytes);
  const gguf_context* gguf = owner.get();
  if (gguf == nullptr) {
    const std::string reason = TakeLogErrors();
    Invalid(path, reason.empty() ? "its metadata cannot be read (truncated?)" : reason);
  }
  model.gguf_version = gguf_get_version(gguf);
  const std::string extents = ProblemOfExtents(gguf, model.file_bytes);
  if (!extents.empty()) Invalid(path, extents);
  ReadTensors(gguf, model);

  model.architecture = StringAt(gguf, "general.architecture").value_or("");
  if (model.architecture.empty()) Invalid(path, "no general.architecture");
  model.name = StringAt(gguf, "general.name").value_or("");
  model.kind = StringAt(gguf, "gristmill.kind").value_or("");
  const std::string& prefix = model.architecture;
  model.n_ctx_train = IntegerAt(gguf, prefix + ".context_length");
  model.n_embd = IntegerAt(gguf, prefix + ".embedding_length");
  model.n_layer = IntegerAt(gguf, prefix + ".block_count");
  model.n_head = IntegerAt(gguf, prefix + ".attention.head_count");
  model.n_head_kv = IntegerAt(gguf, prefix + ".attention.head_count_kv");
  if (model.n_head_kv < 0) model.n_head_kv = model.n_head;
  model.n_ff = IntegerAt(gguf, prefix + ".feed_forward_length");
  model.head_dim = IntegerAt(gguf, prefix + ".attention.key_length");
  if (model.head_dim < 0 && model.n_head > 0) model.head_dim = model.n_embd / model.n_head;

  model.tokenizer = StringAt(gguf, "tokenizer.ggml.model").value_or("");
  model.pre_tokenizer = StringAt(gguf, "tokenizer.ggml.pre").value_or("");
  model.chat_template = StringAt(gguf, "tokenizer.chat_template");
  int64_t list = gguf_find_key(gguf, "tokenizer.ggml.tokens");
  if (list >= 0 && (gguf_get_kv_type(gguf, list) != GGUF_TYPE_ARRAY ||
                    gguf_get_arr_type(gguf, list) != GGUF_TYPE_STRING)) {
    list = -1;
  }
  model.n_vocab = list < 0 ? 0 : static_cast<int64_t>(gguf_get_arr_n(gguf, list));
  model.bos_id = IntegerAt(gguf, "tokenizer.ggml.bos_token_id");
  model.eos_id = IntegerAt(gguf, "tokenizer.ggml.eos_token_id");
  model.bos_token = TokenText(gguf, list, model.bos_id);
  model.eos_token = TokenText(gguf, list, model.eos_id);
  model.vocabulary_problem = ProblemOfVocabulary(gguf);
  if (IsLanguage(model.architecture) || model.architecture == "llama-embed") {
    model.model_problem = ProblemOfModel(gguf, model.architecture);
    model.direction_problem = ProblemOfDirection(gguf, model.architecture);
  }
  if (metadata != nullptr) *metadata = std::move(owner);
  return model;
}

void CheckRunnable(const ModelFile& model) {
  const auto unsupported = [&](const std::string& reason) {
    throw CodedError(
        "ENGINE_ARCHITECTURE_UNSUPPORTED",
        {{"file", model.path}, {"architecture", model.architecture}, {"reason", reason}});
  };
  if (!IsLanguage(model.architecture)) unsupported("supported are llama, qwen2 and qwen3");
  if (model.tokenizer != "llama" && model.tokenizer != "gpt2") {
    unsupported("tokenizer " + (model.tokenizer.empty() ? "missing" : model.tokenizer) +
                "; supported are llama (SentencePiece) and gpt2 (byte-level BPE)");
  }
  CheckVocabulary(model);
  if (!model.model_problem.empty()) Invalid(model.path, model.model_problem);
  if (!model.direction_problem.empty()) Invalid(model.path, model.direction_problem);
}

void CheckVocabulary(const ModelFile& model) {
  if (!model.vocabulary_problem.empty()) Invalid(model.path, model.vocabulary_problem);
}

}  // namespace gristmill::engine
