#include "engine/slots.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <climits>
#include <thread>

#include "engine/logits.h"
#include "engine/parallel.h"
#include "error.h"
#include "progress.h"

namespace gristmill::engine {

namespace {

constexpr int32_t kMaxSlots = 256;  // LLAMA_MAX_SEQ of llama.cpp: the width of its sequence bitset
constexpr int32_t kPrefillWidth = 128;

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

// Rows of a sequence from which on ggml's CPU kernel of fused attention works in tiles
// (ggml_fa_tile_config::Q).
constexpr int32_t kFusedTile = 64;

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

}  // namespace

int64_t NowNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

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
  ggml_backend_dev_t device = FindDevice(options.device);
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

void SlotContext::MakeContext(const EngineOptions& options) {
  n_slots_ = options.n_slots;
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
  // On the CPU: room for a neighbour of the only slot, and for the second token of a step.
  n_sequences_ = on_cpu_ ? std::max(2, n_slots_) : n_slots_;
  const int32_t usable =
      (options.n_ctx_slot + 255) / 256 * 256;  // llama.cpp pads streams to 256 cells
  const int32_t padded = on_cpu_ ? usable + 256 : usable;
  fused_attention_ =
      FlashAttention(options.flash_attention, on_cpu_) != LLAMA_FLASH_ATTN_TYPE_DISABLED;
  n_ubatch_ =
      std::max(options.n_ubatch, on_cpu_ ? std::max(kFusedTile, 2 * n_sequences_) : n_sequences_);
  prefill_group_ = std::clamp(n_ubatch_ / kPrefillWidth, 1, n_slots_);
  step_cost_tokens_ = on_cpu_ ? kCpuStepCostTokens : kGpuStepCostTokens;

  const uint64_t kv_bytes =
      uint64_t(n_sequences_) * padded * file_.n_layer * 2 *
      ggml_row_size(KvType(options.kv_type), file_.n_head_kv * file_.head_dim);
  ggml_backend_dev_t device = FindDevice(options.device);
  const uint64_t available = FreeBytes(device, on_cpu_);
  const std::string cache = "a cache of " + std::to_string(kv_bytes >> 20) + " MiB for " +
                            std::to_string(n_slots_) + " slots of " + std::to_string(padded) +
                            " tokens";
  const uint64_t fitting = available / std::max<uint64_t>(1, kv_bytes / n_sequences_);
  const std::string advice =
      fitting > 0 ? "fewer slots take less (--slots): at most " +
                        std::to_string(std::min<uint64_t>(fitting, n_slots_)) + " fit"
                  : "not even one slot fits";
  if (kv_bytes > available) {
    throw CodedError(
        "ENGINE_OUT_OF_MEMORY",
        {{"file", options.model_path},
         {"device", options.device},
         {"reason", cache + ", " + std::to_string(available >> 20) + " MiB available; " + advice}});
  }
  if (!on_cpu_) NoteDeviceUse(options.device + ": " + cache + ", " + FreeMemory(device));

  llama_context_params params = llama_context_default_params();
  params.n_ctx = static_cast<uint32_t>(n_sequences_) * static_cast<uint32_t>(padded);
  params.n_seq_max = n_sequences_;
  params.n_ubatch = n_ubatch_;
  params.n_batch = n_ubatch_;  // one ubatch per call, always; never below n_seq_max
  params.n_outputs_max = n_sequences_;
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
  if (!context_) {
    const std::string logged = TakeLogErrors();
    throw CodedError("ENGINE_OUT_OF_MEMORY",
                     {{"file", options.model_path},
                      {"device", options.device},
                      {"reason", (logged.empty() ? "llama.cpp makes no context" : logged) + "; " +
                                     cache + ", " + std::to_string(available >> 20) +
                                     " MiB available; fewer slots take less (--slots)"}});
  }
  if (on_cpu_) {
    pool_.reset(NewThreadPool(options.n_threads));
    if (pool_) llama_attach_threadpool(context_.get(), pool_.get(), pool_.get());
  }
  cells_ = static_cast<int32_t>(llama_n_ctx_seq(context_.get()));
  ctx_slot_ = static_cast<int32_t>(std::min<int64_t>(usable, file_.n_ctx_train));
  slots_.resize(n_sequences_);
}

void SlotContext::Clear() {
  llama_memory_clear(llama_get_memory(context_.get()), false);
  for (Slot& slot : slots_) slot = {};
}

void SlotContext::Restart(int32_t index, int32_t n_keep, const llama_token* tokens,
                          size_t n_tokens) {
  Slot& slot = slots_[index];
  if (slot.held > n_keep) {
    llama_memory_seq_rm(llama_get_memory(context_.get()), index, n_keep, -1);
    slot.held = n_keep;
  }
  slot.pending.assign(tokens, tokens + n_tokens);
  slot.next = 0;
  slot.prompt = true;  // however little of it is left
  slot.single = false;
}

void SlotContext::Append(int32_t index, const Tokens& tokens) {
  Slot& slot = slots_[index];
  if (slot.next == slot.pending.size()) {
    slot.pending.clear();
    slot.next = 0;
    slot.prompt = false;
    slot.single = tokens.size() == 1;
  }
  slot.pending.insert(slot.pending.end(), tokens.begin(), tokens.end());
}

void SlotContext::Fail(int32_t code) {
  const std::string reason = TakeLogErrors();
  Clear();
  if (code == 2 || cancelled_()) throw CodedError("ABORTED", {{"what", "decoding"}});
  throw CodedError(
      code == -2 ? "ENGINE_OUT_OF_MEMORY" : "ENGINE_DECODE_FAILED",
      {{"file", file_.path},
       {"device", device_name_},
       {"reason", reason.empty() ? "llama_decode returned " + std::to_string(code) : reason}});
}

// A logit that is no number compares as smaller than any other: it would silently decide for one
// answer. Weights that are damaged, or too large for their type, give such logits.
void SlotContext::ReadRows(int32_t first, int32_t last, int32_t width) {
  rows_.clear();
  for (int32_t index = first; index < last; ++index) {
    const int32_t taken = taken_[index - first];
    if (taken == 0 || slots_[index].remaining() > 0) continue;
    const int32_t at = (index - first) * width + taken - 1;
    const float* logits = llama_get_logits_ith(context_.get(), at);
    if (logits == nullptr) Fail(-1);
    rows_.push_back({index, logits, 0});
  }
  const auto n_vocab = static_cast<size_t>(n_vocab_);
  std::atomic<bool> finite{true};
  ParallelFor(n_text_threads_, rows_.size(), RowsAtOnce(n_vocab), [&](size_t index) {
    const RowFacts facts = ReduceRow({rows_[index].logits, n_vocab});
    rows_[index].best = facts.best;
    if (!facts.finite) finite = false;
  });
  if (finite) return;
  Clear();
  throw CodedError("ENGINE_DECODE_FAILED",
                   {{"file", file_.path},
                    {"device", device_name_},
                    {"reason",
                     "a logit is no finite number: the weights are damaged, or too large for the "
                     "type in which they are stored"}});
}

// The width with the most progress for its cost; ties go to the wider step. Depends on the pending
// counts alone, so that the composition of steps is a function of the call.
int32_t SlotContext::ChooseWidth(int32_t first, int32_t last, const std::vector<int32_t>& taking) {
  const int32_t n_span = last - first;
  int32_t widest = n_ubatch_ / n_span;
  for (int32_t index = first; index < last; ++index) {
    widest = std::min(widest, cells_ - slots_[index].held);
  }
  const Slot& sample = slots_[taking.front()];
  int32_t narrowest = 1;
  if (on_cpu_ && fused_attention_ && sample.prompt) narrowest = kFusedTile;
  if (on_cpu_ && fused_attention_ && !sample.prompt) widest = std::min(widest, kFusedTile - 1);
  if (on_cpu_ && !fused_attention_ && !sample.single) narrowest = 2;
  if (widest < narrowest) Fail(1);
  int32_t best_width = narrowest;
  double best_rate = -1;
  for (const int32_t candidate : taking) {
    const int32_t width = std::clamp(slots_[candidate].remaining(), narrowest, widest);
    int64_t progress = 0;
    for (const int32_t index : taking) progress += std::min(width, slots_[index].remaining());
    const double rate = double(progress) / (step_cost_tokens_ + double(width) * n_span);
    if (rate > best_rate || (rate == best_rate && width > best_width)) {
      best_rate = rate;
      best_width = width;
    }
  }
  return best_width;
}

// A second output beside a lone one: see the header.
void SlotContext::EnsureTwoOutputs() {
  const auto lone = std::find(outputs_.begin(), outputs_.end(), 1);
  if (lone == outputs_.end() || std::find(lone + 1, outputs_.end(), 1) != outputs_.end()) return;
  outputs_[lone == outputs_.begin() ? 1 : 0] = 1;
}

void SlotContext::StepSpan(Phase phase, int32_t first, int32_t last,
                           const std::vector<int32_t>& active, const OnRows& on_rows) {
  if (cancelled_()) Fail(2);
  const int64_t started = NowNs();
  const bool one_token =
      last - first == 1 && !slots_[first].prompt && slots_[first].remaining() == 1;
  if (on_cpu_ && one_token) {
    if (last < n_sequences_) {
      ++last;
    } else {
      --first;
    }
  }
  const int32_t width = ChooseWidth(first, last, active);
  const int32_t n_tokens = width * (last - first);
  taken_.assign(last - first, 0);
  int64_t real_tokens = 0;
  for (const int32_t index : active) {
    taken_[index - first] = std::min(width, slots_[index].remaining());
    real_tokens += taken_[index - first];
  }
  tokens_.clear();
  positions_.clear();
  outputs_.clear();
  n_seq_ids_.assign(n_tokens, 1);
  seq_ids_.resize(n_tokens);
  seq_id_pointers_.resize(n_tokens);
  for (int32_t index = first; index < last; ++index) {
    const Slot& slot = slots_[index];
    const int32_t taken = taken_[index - first];
    (taken == 0 ? counters_.dummy_tokens : counters_.pad_tokens) += width - taken;
    for (int32_t offset = 0; offset < width; ++offset) {
      const bool is_last = offset + 1 == taken && taken == slot.remaining();
      tokens_.push_back(offset < taken ? slot.pending[slot.next + offset] : dummy_token_);
      positions_.push_back(slot.held + offset);
      outputs_.push_back(is_last ? 1 : 0);
      const size_t at = tokens_.size() - 1;
      seq_ids_[at] = index;
      seq_id_pointers_[at] = &seq_ids_[at];
    }
  }
  if (on_cpu_) EnsureTwoOutputs();
  llama_batch batch{};
  batch.n_tokens = n_tokens;
  batch.token = tokens_.data();
  batch.pos = positions_.data();
  batch.n_seq_id = n_seq_ids_.data();
  batch.seq_id = seq_id_pointers_.data();
  batch.logits = outputs_.data();

  const int64_t computing = NowNs();
  const int32_t code = llama_decode(context_.get(), batch);
  CountProgress();
  if (code != 0) Fail(code);
  // A step that nothing is read of goes on while the next one is made ready.
  const bool is_read = std::find(outputs_.begin(), outputs_.end(), 1) != outputs_.end();
  if (on_cpu_ || is_read) llama_synchronize(context_.get());
  const int64_t computed = NowNs();

  counters_.decode_calls += 1;
  counters_.ubatches += 1;
  counters_.ideal_ubatches += (real_tokens + n_ubatch_ - 1) / n_ubatch_;
  llama_memory_t memory = llama_get_memory(context_.get());
  for (int32_t index = first; index < last; ++index) {
    Slot& slot = slots_[index];
    const int32_t taken = taken_[index - first];
    slot.held += taken;
    slot.next += taken;
    if (taken < width) llama_memory_seq_rm(memory, index, slot.held, -1);
  }
  ReadRows(first, last, width);
  if (!rows_.empty()) on_rows(rows_);
  const int64_t ended = NowNs();
  (phase == Phase::kPrefill ? counters_.prefill_ns : counters_.decode_ns) += computed - computing;
  counters_.host_ns += (computing - started) + (ended - computed);
}

// Spans of slots that share a step. A gap of other slots costs its dummies, a second span costs a
// step.
void SlotContext::StepSome(Phase phase, const std::vector<int32_t>& active, const OnRows& on_rows) {
  int32_t widest_span = on_cpu_ ? n_ubatch_ / 2 : n_ubatch_;
  if (on_cpu_ && phase == Phase::kPrefill) widest_span = n_ubatch_ / kFusedTile;
  size_t begin = 0;
  while (begin < active.size()) {
    size_t end = begin + 1;
    while (end < active.size()) {
      const int32_t gap = active[end] - active[end - 1] - 1;
      const bool fits = active[end] - active[begin] + 1 <= widest_span;
      const bool cheap = phase == Phase::kDecode ? gap <= step_cost_tokens_ : gap == 0;
      if (!fits || !cheap) break;
      ++end;
    }
    const std::vector<int32_t> span(active.begin() + static_cast<std::ptrdiff_t>(begin),
                                    active.begin() + static_cast<std::ptrdiff_t>(end));
    StepSpan(phase, span.front(), span.back() + 1, span, on_rows);
    begin = end;
  }
}

void SlotContext::Step(Phase phase, const std::vector<int32_t>& active, const OnRows& on_rows) {
  if (!on_cpu_) return StepSome(phase, active, on_rows);
  // Chosen before either steps: what is sampled now waits for the next step.
  std::vector<int32_t> alike;
  std::vector<int32_t> others;
  for (const int32_t index : active) {
    (SameKernels(slots_[index], slots_[active.front()]) ? alike : others).push_back(index);
  }
  StepSome(phase, alike, on_rows);
  StepSome(phase, others, on_rows);
}

}  // namespace gristmill::engine
