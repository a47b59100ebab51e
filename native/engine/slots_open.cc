// A model and its context: loaded and made so that they fit the device, or with the reason why not.
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <thread>

#include "engine/slots.h"
#include "error.h"
#include "progress.h"

namespace gristmill::engine {

namespace {

constexpr int32_t kMaxSlots = 256;  // LLAMA_MAX_SEQ of llama.cpp: the width of its sequence bitset
constexpr int32_t kPrefillWidth = 128;
// Columns from which on ggml's CPU kernels multiply matrices of IQ types by panels
// (GGML_IQP_MIN_BATCH).
constexpr int32_t kPanelColumns = 8;

// What one more compute step costs, in tokens of the same step: weights are read once per step
// whatever its width. Measured on CPU (20M and 350M, bench `engine`); a GPU is bandwidth bound far
// beyond any decode step.
constexpr double kCpuStepCostTokens = 8;
constexpr double kGpuStepCostTokens = 512;

ggml_type KvType(const std::string& name) {
  if (name == "f32") return GGML_TYPE_F32;
  if (name == "bf16") return GGML_TYPE_BF16;
  if (name == "q8_0") return GGML_TYPE_Q8_0;
  return GGML_TYPE_F16;
}

// On the CPU fused attention is on unless switched off: it is faster for prompts (measured 1.3 x at
// 512 tokens), and the engine has to know which kernels run (see the header).
llama_flash_attn_type FlashAttention(const std::string& name, bool on_cpu) {
  if (name == "off") return LLAMA_FLASH_ATTN_TYPE_DISABLED;
  if (name == "on" || on_cpu) return LLAMA_FLASH_ATTN_TYPE_ENABLED;
  return LLAMA_FLASH_ATTN_TYPE_AUTO;
}

void Expect(bool holds, const char* option, const std::string& expected, int64_t received) {
  if (holds) return;
  throw CodedError(
      "OPTION_INVALID",
      {{"option", option}, {"expected", expected}, {"received", std::to_string(received)}});
}

// Whether the device looks embeddings up itself. llama.cpp leaves the table on the host, where one
// thread copies rows: with the upload of what it copied that was a quarter of a prompt's time
// (bench/gpu.md). A table of a type without a kernel would be carried to the host for every step.
bool LooksUpRows(ggml_backend_dev_t device, const ModelFile& file) {
  if (file.embedding_type < 0) return false;
  const std::unique_ptr<ggml_context, void (*)(ggml_context*)> context(
      ggml_init({.mem_size = 8 * ggml_tensor_overhead(), .mem_buffer = nullptr, .no_alloc = true}),
      ggml_free);
  ggml_tensor* table = ggml_new_tensor_2d(
      context.get(), static_cast<ggml_type>(file.embedding_type), file.n_embd, file.n_vocab);
  ggml_tensor* ids = ggml_new_tensor_1d(context.get(), GGML_TYPE_I32, kPrefillWidth);
  return ggml_backend_dev_supports_op(device, ggml_get_rows(context.get(), table, ids));
}

uint64_t FreeBytes(ggml_backend_dev_t device, bool on_cpu) {
  if (on_cpu) {
    return static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) *
           static_cast<uint64_t>(sysconf(_SC_PAGE_SIZE));
  }
  size_t free_bytes = 0;
  size_t total_bytes = 0;
  ggml_backend_dev_memory(device, &free_bytes, &total_bytes);
  return free_bytes;
}

// The next smaller number of a ladder with two steps to an octave: runs on cards of which a little
// more or less is free have the same number of slots.
int32_t FewerSlots(int32_t n_slots) {
  int32_t step = 1;
  while (2 * step < n_slots) step *= 2;
  return 3 * step / 2 < n_slots && step > 1 ? 3 * step / 2 : step;
}

}  // namespace

SlotContext::SlotContext(const EngineOptions& options, Counters& counters,
                         const std::function<bool()>& cancelled)
    : counters_(counters), cancelled_(cancelled) {
  Expect(options.n_threads >= 1 && options.n_threads <= 512, "nThreads", "1..512",
         options.n_threads);
  Expect(options.n_slots >= 1 && options.n_slots <= kMaxSlots, "nSlots", "1..256", options.n_slots);
  Expect(options.n_ctx_slot >= 1 && options.n_ctx_slot <= (1 << 20), "nCtxSlot", "1..1048576",
         options.n_ctx_slot);
  Expect(options.n_ubatch >= 1 && options.n_ubatch <= (1 << 16), "nUbatch", "1..65536",
         options.n_ubatch);
  LoadBackends();
  file_ = ReadModelFile(options.model_path);
  CheckRunnable(file_);
  LoadModel(options);
  MakeContext(options);
}

SlotContext::~SlotContext() {
  if (context_ && pool_) llama_detach_threadpool(context_.get());
}

void SlotContext::LoadModel(const EngineOptions& options) {
  ggml_backend_dev_t device = device_ = FindDevice(options.device);
  device_label_ = options.device;
  on_cpu_ = IsCpu(device);
  device_name_ = ggml_backend_dev_description(device);
  // Beside a GPU the cores have nothing else to do.
  const auto cores = static_cast<int32_t>(std::thread::hardware_concurrency());
  n_text_threads_ =
      on_cpu_ ? options.n_threads : std::max(options.n_threads, std::clamp(cores, 1, 16));

  llama_model_params params = llama_model_default_params();
  ggml_backend_dev_t devices[] = {on_cpu_ ? nullptr : device, nullptr};
  params.devices = devices;
  params.n_gpu_layers = on_cpu_ ? 0 : INT_MAX;
  params.split_mode = LLAMA_SPLIT_MODE_NONE;
  params.main_gpu = 0;
  params.use_extra_bufts = !file_.has_single_block_rows;
  const llama_model_tensor_buft_override table_on_device[] = {
      {"^token_embd\\.weight$", ggml_backend_dev_buffer_type(device)}, {nullptr, nullptr}};
  if (!on_cpu_ && LooksUpRows(device, file_)) params.tensor_buft_overrides = table_on_device;
  TakeLogErrors();
  try {
    model_.reset(llama_model_load_from_file(options.model_path.c_str(), params));
  } catch (const std::exception& error) {
    throw CodedError("ENGINE_MODEL_INVALID",
                     {{"file", options.model_path}, {"reason", error.what()}});
  }
  if (!model_) {
    const std::string reason = TakeLogErrors();
    if (reason.find("alloc") != std::string::npos) {
      throw CodedError("ENGINE_OUT_OF_MEMORY", {{"file", options.model_path},
                                                {"device", options.device},
                                                {"reason", reason + "; " + FreeMemory(device)}});
    }
    throw CodedError("ENGINE_MODEL_INVALID",
                     {{"file", options.model_path},
                      {"device", options.device},
                      {"reason", reason.empty() ? "llama.cpp could not load it" : reason}});
  }
  if (!llama_model_has_decoder(model_.get()) || llama_model_has_encoder(model_.get()) ||
      llama_model_is_recurrent(model_.get())) {
    throw CodedError("ENGINE_ARCHITECTURE_UNSUPPORTED",
                     {{"file", options.model_path},
                      {"architecture", file_.architecture},
                      {"reason", "only decoders with a key-value cache are supported"}});
  }
  tokenizer_ = std::make_unique<Tokenizer>(llama_model_get_vocab(model_.get()));
  n_vocab_ = tokenizer_->n_tokens();
  // Any token does for padding; one that is certainly in the vocabulary and never special-cased.
  dummy_token_ = tokenizer_->bos() >= 0 ? tokenizer_->bos() : 0;
}

void SlotContext::CheckContext(const EngineOptions& options) const {
  if (options.kv_type == "q8_0" && options.flash_attention == "off") {
    throw CodedError("OPTION_INVALID", {{"option", "kvType"},
                                        {"expected", "a float type when flashAttention is off"},
                                        {"received", options.kv_type}});
  }
  const int64_t block = ggml_blck_size(KvType(options.kv_type));
  if (file_.head_dim % block != 0) {
    throw CodedError("OPTION_INVALID",
                     {{"option", "kvType"},
                      {"expected", "a float type, as heads of " + std::to_string(file_.head_dim) +
                                       " are no whole blocks of " + std::to_string(block)},
                      {"received", options.kv_type}});
  }
  if (options.n_ctx_slot > file_.n_ctx_train) {
    throw CodedError("ENGINE_CONTEXT_TOO_SMALL", {{"file", options.model_path},
                                                  {"context", std::to_string(file_.n_ctx_train)},
                                                  {"needed", std::to_string(options.n_ctx_slot)}});
  }
}

void SlotContext::SetSizes(const EngineOptions& options, int32_t n_slots) {
  n_slots_ = n_slots;
  fused_attention_ =
      FlashAttention(options.flash_attention, on_cpu_) != LLAMA_FLASH_ATTN_TYPE_DISABLED;
  const bool has_panels =
      std::any_of(file_.groups.begin(), file_.groups.end(),
                  [](const auto& group) { return group.type.starts_with("iq"); });
  min_columns_ = !on_cpu_ ? 1 : has_panels ? kPanelColumns : 2;
  // On the CPU: room for neighbours of the only slot, and for the second token of a step. Plain
  // attention takes single tokens one a sequence.
  n_sequences_ = on_cpu_ ? std::max(fused_attention_ ? 2 : min_columns_, n_slots_) : n_slots_;
  const int32_t usable =
      (options.n_ctx_slot + 255) / 256 * 256;  // llama.cpp pads streams to 256 cells
  cells_ = on_cpu_ ? usable + 256 : usable;
  ctx_slot_ = static_cast<int32_t>(std::min<int64_t>(usable, file_.n_ctx_train));
  n_ubatch_ =
      std::max(options.n_ubatch, on_cpu_ ? std::max(kFusedTile, 2 * n_sequences_) : n_sequences_);
  prefill_group_ = std::clamp(n_ubatch_ / kPrefillWidth, 1, n_slots_);
  step_cost_tokens_ = on_cpu_ ? kCpuStepCostTokens : kGpuStepCostTokens;
  cache_bytes_ = uint64_t(n_sequences_) * cells_ * file_.n_layer * 2 *
                 ggml_row_size(KvType(options.kv_type), file_.n_head_kv * file_.head_dim);
}

// What a step may take on a GPU beside the buffers that are made with the context: the kernels'
// scratch, which ggml asks for while a graph is computed. From above, as the kernels are the
// backend's to choose.
uint64_t SlotContext::ScratchBytes(const EngineOptions& options) const {
  constexpr uint64_t kLibraries = 256 << 20;  // work space of cuBLAS, graphs
  const auto widest =
      static_cast<uint64_t>(std::max({file_.n_ff, file_.n_embd, file_.n_head * file_.head_dim}));
  // A product's input in another type and its output, and what attention adds up apart.
  uint64_t bytes = kLibraries + 16 * widest * static_cast<uint64_t>(n_ubatch_);
  const bool is_float =
      file_.quantisation == "F16" || file_.quantisation == "BF16" || file_.quantisation == "F32";
  if (!is_float) {  // the largest matrix in 16 bits
    bytes += 2 * static_cast<uint64_t>(file_.n_embd) *
             static_cast<uint64_t>(std::max(file_.n_vocab, file_.n_ff));
  }
  if (options.kv_type != "f16") {  // keys and values of a layer in that type
    bytes += 4 * static_cast<uint64_t>(n_sequences_) * static_cast<uint64_t>(cells_) *
             static_cast<uint64_t>(file_.n_head_kv * file_.head_dim);
  }
  return bytes;
}

std::string SlotContext::CacheText() const {
  return "a cache of " + std::to_string(cache_bytes_ >> 20) + " MiB for " +
         std::to_string(n_slots_) + " slots of " + std::to_string(cells_) + " tokens";
}

std::string SlotContext::MemoryUse() const {
  return CacheText() + ", " + FreeMemory(device_) + "; fewer slots take less (--slots)";
}

CodedError SlotContext::OutOfMemory(const std::string& reason) const {
  return CodedError("ENGINE_OUT_OF_MEMORY",
                    {{"file", file_.path}, {"device", device_label_}, {"reason", reason}});
}

void SlotContext::InitContext(const EngineOptions& options) {
  llama_context_params params = llama_context_default_params();
  params.n_ctx = static_cast<uint32_t>(n_sequences_) * static_cast<uint32_t>(cells_);
  params.n_seq_max = n_sequences_;
  params.n_ubatch = n_ubatch_;
  params.n_batch = n_ubatch_;  // one ubatch per call, always; never below n_seq_max
  params.n_outputs_max = std::max(n_sequences_, min_columns_);
  params.n_threads = options.n_threads;
  params.n_threads_batch = options.n_threads;
  params.flash_attn_type = FlashAttention(options.flash_attention, on_cpu_);
  params.type_k = params.type_v = KvType(options.kv_type);
  params.kv_unified = false;
  params.no_perf = true;
  params.abort_callback = [](void* self) {
    CountProgress();  // asked between the nodes of a graph, so that a long step moves too
    return static_cast<SlotContext*>(self)->cancelled_();
  };
  params.abort_callback_data = this;
  TakeLogErrors();
  context_.reset(llama_init_from_model(model_.get(), params));
}

// As many slots as there is room for, scratch included, where fewer than asked for will do. The
// smallest number is left to MakeContext, which tries it without asking for room to spare.
bool SlotContext::TryContext(const EngineOptions& options, int32_t n_slots) {
  SetSizes(options, n_slots);
  const uint64_t scratch = ScratchBytes(options);
  if (cache_bytes_ + scratch > FreeBytes(device_, on_cpu_)) return false;
  InitContext(options);
  if (context_ && FreeBytes(device_, on_cpu_) < scratch) context_.reset();
  return context_ != nullptr;
}

void SlotContext::MakeContext(const EngineOptions& options) {
  CheckContext(options);
  int32_t n_slots = options.n_slots;
  if (options.fit_slots && !on_cpu_) {
    while (n_slots > 1 && !TryContext(options, n_slots)) n_slots = FewerSlots(n_slots);
  }
  if (!context_) {
    SetSizes(options, n_slots);
    const uint64_t available = FreeBytes(device_, on_cpu_);
    const std::string free_text = ", " + std::to_string(available >> 20) + " MiB available; ";
    if (cache_bytes_ > available) {
      const uint64_t fitting =
          available / std::max<uint64_t>(1, cache_bytes_ / static_cast<uint64_t>(n_sequences_));
      const std::string advice =
          fitting > 0 ? "fewer slots take less (--slots): at most " +
                            std::to_string(std::min<uint64_t>(fitting, n_slots_)) + " fit"
                      : "not even one slot fits";
      throw OutOfMemory(CacheText() + free_text + advice);
    }
    InitContext(options);
    if (!context_) {
      const std::string logged = TakeLogErrors();
      throw OutOfMemory((logged.empty() ? "llama.cpp makes no context" : logged) + "; " +
                        CacheText() + free_text + "fewer slots take less (--slots)");
    }
  }
  if (on_cpu_) {
    pool_.reset(NewThreadPool(options.n_threads));
    if (pool_) llama_attach_threadpool(context_.get(), pool_.get(), pool_.get());
  } else {
    NoteDeviceUse(device_label_ + ": " + CacheText() + ", " + FreeMemory(device_));
  }
  cells_ = static_cast<int32_t>(llama_n_ctx_seq(context_.get()));
  slots_.resize(n_sequences_);
}

}  // namespace gristmill::engine
