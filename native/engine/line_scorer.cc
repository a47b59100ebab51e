#include "engine/line_scorer.h"

#include <ggml.h>
#include <gguf.h>

#include <algorithm>
#include <climits>
#include <cmath>
#include <cstring>
#include <map>
#include <numeric>

#include "engine/gguf_file.h"
#include "error.h"

namespace gristmill::engine {

namespace {

constexpr int32_t kMaxContext = 1 << 14;
constexpr int64_t kMaxAttention = int64_t{1} << 30;  // attention weights of one layer; 4 GiB

[[noreturn]] void Invalid(const std::string& path, const std::string& reason) {
  throw CodedError("ENGINE_MODEL_INVALID", {{"file", path}, {"reason", reason}});
}

[[noreturn]] void Unsupported(const ModelFile& file, const std::string& reason) {
  throw CodedError("ENGINE_ARCHITECTURE_UNSUPPORTED",
                   {{"file", file.path}, {"architecture", file.architecture}, {"reason", reason}});
}

void CheckStarts(const std::vector<int32_t>& starts, const char* option, int64_t end) {
  const auto invalid = [&](size_t index, int64_t received) {
    throw CodedError("OPTION_INVALID",
                     {{"option", std::string(option) + "[" + std::to_string(index) + "]"},
                      {"expected", "ascending from 0 to " + std::to_string(end)},
                      {"received", std::to_string(received)}});
  };
  if (starts.empty()) invalid(0, -1);
  int32_t last = 0;
  for (size_t index = 0; index < starts.size(); ++index) {
    if (starts[index] < last || (index == 0 && starts[index] != 0)) invalid(index, starts[index]);
    last = starts[index];
  }
  if (last != end) invalid(starts.size() - 1, last);
}

// An array of `type` under `key`, as bytes.
std::span<const uint8_t> ArrayAt(const gguf_context* gguf, const std::string& path, const char* key,
                                 gguf_type type, size_t element) {
  const int64_t id = gguf_find_key(gguf, key);
  if (id < 0) Invalid(path, std::string("it has no ") + key);
  if (gguf_get_kv_type(gguf, id) != GGUF_TYPE_ARRAY || gguf_get_arr_type(gguf, id) != type) {
    Invalid(path, std::string(key) + " has the wrong type");
  }
  return {static_cast<const uint8_t*>(gguf_get_arr_data(gguf, id)),
          gguf_get_arr_n(gguf, id) * element};
}

}  // namespace

LineScorer::LineScorer(const LineScorerOptions& options)
    : path_(options.model_path),
      model_(nullptr, llama_model_free),
      pool_(nullptr, FreeThreadPool),
      context_(nullptr, llama_free) {
  if (options.n_threads < 1 || options.n_threads > 512) {
    throw CodedError("OPTION_INVALID", {{"option", "nThreads"},
                                        {"expected", "1..512"},
                                        {"received", std::to_string(options.n_threads)}});
  }
  LoadBackends();
  ReadFile(options.model_path);
  if (n_ctx_ > 0) {
    LoadModel(options);
  } else {
    device_name_ = "CPU";
  }
}

LineScorer::~LineScorer() {
  if (context_ && pool_) llama_detach_threadpool(context_.get());
}

void LineScorer::ReadFile(const std::string& path) {
  GgufPointer gguf;
  const ModelFile file = ReadModelFile(path, &gguf);
  const bool has_network = file.architecture == "llama-embed";
  if (!has_network && file.architecture != "gristmill-scorer") {
    Unsupported(file, "expected llama-embed or gristmill-scorer");
  }
  const int64_t kind = gguf_find_key(gguf.get(), "gristmill.kind");
  if (kind < 0 || gguf_get_kv_type(gguf.get(), kind) != GGUF_TYPE_STRING) {
    Unsupported(file, "no gristmill.kind: not a model that scores lines or documents");
  }
  kind_ = gguf_get_val_str(gguf.get(), kind);
  if (kind_ != "line-score" && kind_ != "document-score") {
    Unsupported(file, "gristmill.kind is " + kind_ + ", expected line-score or document-score");
  }
  const auto encoder = ArrayAt(gguf.get(), path, "gristmill.encoder", GGUF_TYPE_UINT8, 1);
  encoder_.assign(encoder.begin(), encoder.end());
  if (!has_network) return;
  if (!file.model_problem.empty()) Invalid(path, file.model_problem);
  const auto expect = [&](bool holds, const char* what) {
    if (!holds) Invalid(path, what);
  };
  expect(file.tokenizer == "none" || file.tokenizer == "no_vocab",
         "tokenizer.ggml.model: a scorer has no vocabulary");
  expect(file.n_embd <= 1 << 14, "embedding_length is out of range");
  expect(file.n_ctx_train <= kMaxContext, "context_length is out of range");
  expect(file.n_head * file.n_ctx_train * file.n_ctx_train <= kMaxAttention,
         "head_count and context_length are out of range together");
  n_embd_ = static_cast<int32_t>(file.n_embd);
  has_single_block_rows_ = file.has_single_block_rows;
  n_ctx_ = static_cast<int32_t>(file.n_ctx_train);

  ggml_context* loaded = nullptr;
  const GgufPointer whole(gguf_init_from_file(path.c_str(), {.no_alloc = false, .ctx = &loaded}));
  const std::unique_ptr<ggml_context, void (*)(ggml_context*)> tensors(loaded, ggml_free);
  if (!whole) Invalid(path, "it cannot be read");
  const ggml_tensor* table = ggml_get_tensor(tensors.get(), "token_embd.weight");
  expect(table != nullptr && table->ne[0] == n_embd_ && table->ne[1] > 0 &&
             table->ne[1] <= INT_MAX / n_embd_,
         "token_embd.weight is missing or has the wrong shape");
  n_rows_ = static_cast<int32_t>(table->ne[1]);
  table_.resize(static_cast<size_t>(ggml_nelements(table)));
  if (table->type == GGML_TYPE_F32) {
    std::memcpy(table_.data(), table->data, table_.size() * sizeof(float));
  } else {
    const auto to_float = ggml_get_type_traits(table->type)->to_float;
    expect(to_float != nullptr, "token_embd.weight has a type that cannot be read");
    to_float(table->data, table_.data(), static_cast<int64_t>(table_.size()));
  }
  const auto head = ArrayAt(gguf.get(), path, "gristmill.class_head", GGUF_TYPE_FLOAT32, 4);
  expect(head.size() == 2 * sizeof(float) * static_cast<size_t>(n_embd_),
         "gristmill.class_head is not two rows");
  head_.resize(2 * static_cast<size_t>(n_embd_));
  std::memcpy(head_.data(), head.data(), head.size());
}

void LineScorer::LoadModel(const LineScorerOptions& options) {
  ggml_backend_dev_t device = FindDevice(options.device);
  const bool on_cpu = IsCpu(device);
  device_name_ = ggml_backend_dev_description(device);
  llama_model_params params = llama_model_default_params();
  ggml_backend_dev_t devices[] = {on_cpu ? nullptr : device, nullptr};
  params.devices = devices;
  params.n_gpu_layers = on_cpu ? 0 : INT_MAX;
  params.split_mode = LLAMA_SPLIT_MODE_NONE;
  params.main_gpu = 0;
  params.use_extra_bufts = !has_single_block_rows_;
  TakeLogErrors();
  try {
    model_.reset(llama_model_load_from_file(options.model_path.c_str(), params));
  } catch (const std::exception& error) {
    Invalid(path_, error.what());
  }
  if (!model_) {
    const std::string reason = TakeLogErrors();
    Invalid(path_, reason.empty() ? "llama.cpp could not load it" : reason);
  }
  llama_context_params settings = llama_context_default_params();
  settings.n_ctx = static_cast<uint32_t>(n_ctx_);
  settings.n_batch = static_cast<uint32_t>(n_ctx_);
  settings.n_ubatch = static_cast<uint32_t>(n_ctx_);
  settings.n_seq_max = 1;
  settings.n_threads = options.n_threads;
  settings.n_threads_batch = options.n_threads;
  settings.embeddings = true;
  settings.pooling_type = LLAMA_POOLING_TYPE_NONE;
  settings.attention_type = LLAMA_ATTENTION_TYPE_NON_CAUSAL;
  // Plain attention: its sums do not depend on how a window is tiled.
  settings.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
  settings.no_perf = true;
  context_.reset(llama_init_from_model(model_.get(), settings));
  if (!context_) {
    throw CodedError("ENGINE_OUT_OF_MEMORY",
                     {{"file", path_}, {"device", options.device}, {"reason", TakeLogErrors()}});
  }
  if (on_cpu) {
    pool_.reset(NewThreadPool(options.n_threads));
    if (pool_) llama_attach_threadpool(context_.get(), pool_.get(), pool_.get());
  }
  positions_.resize(static_cast<size_t>(n_ctx_));
  std::iota(positions_.begin(), positions_.end(), 0);
}

void LineScorer::Check(const BagWindows& windows) const {
  const auto n_bags = static_cast<int64_t>(windows.bag_starts.size()) - 1;
  CheckStarts(windows.bag_starts, "bagStarts", static_cast<int64_t>(windows.ids.size()));
  CheckStarts(windows.window_starts, "windowStarts", n_bags);
  const auto invalid = [](const std::string& option, const std::string& expected,
                          const std::string& received) {
    throw CodedError("OPTION_INVALID",
                     {{"option", option}, {"expected", expected}, {"received", received}});
  };
  for (size_t window = 0; window + 1 < windows.window_starts.size(); ++window) {
    const int32_t length = windows.window_starts[window + 1] - windows.window_starts[window];
    if (length > n_ctx_) {
      invalid("windowStarts[" + std::to_string(window) + "]",
              "windows of up to " + std::to_string(n_ctx_) + " bags", std::to_string(length));
    }
  }
  if (windows.weights.size() != windows.ids.size()) {
    invalid("bagWeights", std::to_string(windows.ids.size()) + " elements",
            std::to_string(windows.weights.size()));
  }
  for (size_t index = 0; index < windows.ids.size(); ++index) {
    if (windows.ids[index] < 0 || windows.ids[index] >= n_rows_) {
      invalid("bagIds[" + std::to_string(index) + "]", "0.." + std::to_string(n_rows_ - 1),
              std::to_string(windows.ids[index]));
    }
    if (!std::isfinite(windows.weights[index])) {
      invalid("bagWeights[" + std::to_string(index) + "]", "a finite number", "not finite");
    }
  }
}

std::vector<float> LineScorer::Score(const BagWindows& windows) {
  Check(windows);
  const std::lock_guard lock(lock_);
  std::vector<float> scores(windows.bag_starts.size() - 1);
  for (size_t window = 0; window + 1 < windows.window_starts.size(); ++window) {
    const int32_t first = windows.window_starts[window];
    const int32_t count = windows.window_starts[window + 1] - first;
    if (count > 0) ScoreWindow(windows, first, count, scores.data() + first);
  }
  return scores;
}

int32_t LineScorer::Encode(const llama_batch& batch) {
  if (context_) {
    try {
      const DeviceFullScope scope;
      const int32_t code = llama_encode(context_.get(), batch);
      llama_synchronize(context_.get());
      return code;
    } catch (const DeviceFull& full) {
      lost_ = full.what();
    }
    context_.reset();
  }
  throw CodedError("ENGINE_OUT_OF_MEMORY",
                   {{"file", path_}, {"device", device_name_}, {"reason", lost_}});
}

void LineScorer::ScoreWindow(const BagWindows& windows, int32_t first, int32_t count, float* out) {
  const auto width = static_cast<size_t>(n_embd_);
  inputs_.assign(static_cast<size_t>(count) * width, 0.0f);
  for (int32_t bag = 0; bag < count; ++bag) {
    float* sum = inputs_.data() + static_cast<size_t>(bag) * width;
    const auto begin = static_cast<size_t>(windows.bag_starts[static_cast<size_t>(first + bag)]);
    const auto end = static_cast<size_t>(windows.bag_starts[static_cast<size_t>(first + bag) + 1]);
    for (size_t at = begin; at < end; ++at) {
      const float* row = table_.data() + static_cast<size_t>(windows.ids[at]) * width;
      const float weight = windows.weights[at];
      for (size_t column = 0; column < width; ++column) sum[column] += weight * row[column];
    }
  }
  std::vector<int32_t> n_seq_id(static_cast<size_t>(count), 1);
  llama_seq_id zero = 0;
  std::vector<llama_seq_id*> seq_id(static_cast<size_t>(count), &zero);
  std::vector<int8_t> outputs(static_cast<size_t>(count), 1);
  llama_batch batch{};
  batch.n_tokens = count;
  batch.embd = inputs_.data();
  batch.pos = positions_.data();
  batch.n_seq_id = n_seq_id.data();
  batch.seq_id = seq_id.data();
  batch.logits = outputs.data();
  TakeLogErrors();
  const int32_t code = Encode(batch);
  const float* hidden = code == 0 ? llama_get_embeddings(context_.get()) : nullptr;
  if (hidden == nullptr) {
    const std::string reason = TakeLogErrors();
    throw CodedError(
        code == -2 ? "ENGINE_OUT_OF_MEMORY" : "ENGINE_DECODE_FAILED",
        {{"file", path_},
         {"device", device_name_},
         {"reason", reason.empty() ? "llama_encode returned " + std::to_string(code) : reason}});
  }
  for (int32_t bag = 0; bag < count; ++bag) {
    const float* row = hidden + static_cast<size_t>(bag) * width;
    double keep = 0;
    for (size_t column = 0; column < width; ++column) {
      keep += static_cast<double>(row[column]) *
              (static_cast<double>(head_[width + column]) - static_cast<double>(head_[column]));
    }
    if (!std::isfinite(keep)) {
      throw CodedError("ENGINE_DECODE_FAILED",
                       {{"file", path_},
                        {"device", device_name_},
                        {"reason", "a score is no finite number: the weights are damaged"}});
    }
    out[bag] = static_cast<float>(keep);
  }
}

}  // namespace gristmill::engine
