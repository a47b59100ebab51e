// One llama context whose sequences are slots: each slot holds the tokens it has seen and the
// tokens it still has to.
//
// Every llama_decode call is one ubatch of equal width: slots [first, first + n) each advance by
// `width` tokens. Slots with fewer pending tokens are padded with dummies, which are removed from
// the cache right after the call (llama_memory_seq_rm), so they never change a result:
//
//     slot 0 | a a a a |      a, b, c: pending tokens; the logits row of a slot is taken at its
//     last pending token slot 1 | b b . . |      . : padding of a slot that has fewer slot 2 | - -
//     - - |      -: dummies of an idle slot between active ones (only consecutive ids share an
//     ubatch) slot 3 | c c c . |
//
// On the CPU the bits of a document's logits do not depend on its neighbours. ggml has kernels that
// sum in different orders and chooses among them by the shape of a step; each of them treats every
// row alike. Hence a step keeps to one side of every such border:
//  - matrices: one column is multiplied apart from two or more; a step has at least two tokens, and
//  two outputs if any. Of GGUF's IQ types up to seven are multiplied apart from eight or more:
//  eight of each, where the file has such matrices;
//  - fused attention: 64 or more tokens of a sequence are tiled, fewer are not; prompts advance by
//  at least 64 (padded
//    behind their end), answers by fewer;
//  - plain attention: one token of a sequence is multiplied apart from two or more; single pending
//  tokens are stepped
//    apart from all others, which advance by at least two.
//
// Invariants: all calls come from one thread; a slot never holds more than ctx_slot() tokens. After
// an error every slot is empty. Where a GPU's memory ended within a step the context is gone, and
// every further call throws the same error.
#pragma once

#include <llama.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/backend.h"
#include "engine/gguf_file.h"
#include "engine/tokenizer.h"
#include "error.h"

namespace gristmill::engine {

// Rows of a sequence from which on ggml's CPU kernel of fused attention works in tiles
// (ggml_fa_tile_config::Q).
inline constexpr int32_t kFusedTile = 64;

struct EngineOptions {
  std::string model_path;
  std::string device = "cpu";
  int32_t n_threads = 1;
  int32_t n_slots = 1;
  bool fit_slots =
      false;  // fewer where a GPU has no room for them; the CPU has room for what it has
  int32_t n_ctx_slot = 2048;
  int32_t n_ubatch = 512;
  std::string flash_attention = "auto";  // auto, on, off
  std::string kv_type = "f16";           // f16, f32, bf16, q8_0
};

// Counters since the engine was opened; read from any thread.
struct Counters {
  std::atomic<int64_t> prompt_tokens{0};
  std::atomic<int64_t> prefix_tokens_reused{0};
  std::atomic<int64_t> decode_steps{0};
  std::atomic<int64_t> decode_calls{0};
  std::atomic<int64_t> ubatches{0};
  std::atomic<int64_t> ideal_ubatches{0};
  std::atomic<int64_t> sampled_tokens{0};
  std::atomic<int64_t> forced_tokens{0};
  std::atomic<int64_t> pad_tokens{0};
  std::atomic<int64_t> dummy_tokens{0};
  std::atomic<int64_t> prefill_ns{0};
  std::atomic<int64_t> decode_ns{0};
  std::atomic<int64_t> host_ns{0};
  std::atomic<int64_t> tokenize_ns{0};
};

int64_t NowNs();

class SlotContext {
 public:
  // A slot whose pending tokens are all seen: its logits [n_vocab], all finite, and the token with
  // the greatest.
  struct Row {
    int32_t slot;
    const float* logits;
    llama_token best;
  };
  // Called with the rows of a step, slots ascending; they are valid during the call.
  using OnRows = std::function<void(std::span<const Row> rows)>;
  enum class Phase { kPrefill, kDecode };

  // Loads the model and makes the context; throws ENGINE_* errors. `cancelled` is asked between
  // and, on the CPU, inside compute steps.
  SlotContext(const EngineOptions& options, Counters& counters,
              const std::function<bool()>& cancelled);
  ~SlotContext();
  SlotContext(const SlotContext&) = delete;
  SlotContext& operator=(const SlotContext&) = delete;

  const ModelFile& file() const { return file_; }
  const Tokenizer& tokenizer() const { return *tokenizer_; }
  const std::string& device_name() const { return device_name_; }
  bool on_cpu() const { return on_cpu_; }
  int32_t n_slots() const { return n_slots_; }
  int32_t n_vocab() const { return n_vocab_; }
  int32_t n_ubatch() const { return n_ubatch_; }
  // Tokens a slot can hold.
  int32_t ctx_slot() const { return ctx_slot_; }
  // Slots that share a prefill step well (about 128 tokens each).
  int32_t prefill_group() const { return prefill_group_; }
  // Threads for what is no step of the model: text, and rows of logits.
  int32_t n_text_threads() const { return n_text_threads_; }

  // Empties every slot.
  void Clear();
  // Starts a new text in `slot`, keeping the first `n_keep` tokens of what it holds.
  void Restart(int32_t slot, int32_t n_keep, const llama_token* tokens, size_t n_tokens);
  // Adds pending tokens.
  void Append(int32_t slot, const Tokens& tokens);
  int32_t Held(int32_t slot) const { return slots_[slot].held; }
  bool HasPending(int32_t slot) const { return slots_[slot].next < slots_[slot].pending.size(); }

  // One compute step for `active` slots (ascending, all with pending tokens); in kPrefill the slots
  // are advanced as one group, in kDecode gaps between them are bridged where that is cheaper than
  // another step.
  void Step(Phase phase, const std::vector<int32_t>& active, const OnRows& on_rows);

 private:
  struct Slot {
    int32_t held = 0;  // tokens in the cache
    Tokens pending;
    size_t next = 0;
    bool prompt = false;  // the pending tokens began with a prompt
    bool single = false;  // no prompt, and exactly one token was pending when the first came
    int32_t remaining() const { return static_cast<int32_t>(pending.size() - next); }
  };

  void StepSome(Phase phase, const std::vector<int32_t>& active, const OnRows& on_rows);
  void StepSpan(Phase phase, int32_t first, int32_t last, const std::vector<int32_t>& active,
                const OnRows& on_rows);
  int32_t ChooseWidth(int32_t first, int32_t last, const std::vector<int32_t>& taking);
  void EnsureOutputs();
  void WidenSpan(int32_t& first, int32_t& last) const;
  // True for slots that step together on the CPU.
  bool SameKernels(const Slot& a, const Slot& b) const {
    return fused_attention_ ? a.prompt == b.prompt : a.single == b.single;
  }
  void LoadModel(const EngineOptions& options);
  void MakeContext(const EngineOptions& options);
  void CheckContext(const EngineOptions& options) const;
  void SetSizes(const EngineOptions& options, int32_t n_slots);
  uint64_t ScratchBytes(const EngineOptions& options) const;
  void InitContext(const EngineOptions& options);
  bool TryContext(const EngineOptions& options, int32_t n_slots);
  std::string CacheText() const;
  // What the device holds and has free, and what takes less.
  std::string MemoryUse() const;
  CodedError OutOfMemory(const std::string& reason) const;
  int32_t Decode(const llama_batch& batch, bool waits);
  void Fail(int32_t code);
  void ReadRows(int32_t first, int32_t last, int32_t width);

  Counters& counters_;
  std::function<bool()> cancelled_;
  ModelFile file_;
  ggml_backend_dev_t device_ = nullptr;
  std::string device_label_;  // cpu, cuda:0
  std::string device_name_;   // the card's
  bool on_cpu_ = true;
  bool fused_attention_ = false;
  int32_t n_slots_ = 0;
  int32_t n_sequences_ = 0;  // slots, and on the CPU neighbours for a single token
  int32_t min_columns_ = 1;  // tokens of a step, and outputs if any, at the least
  int32_t cells_ = 0;        // of one sequence in the cache, padding included
  uint64_t cache_bytes_ = 0;
  int32_t n_vocab_ = 0;
  int32_t n_ubatch_ = 0;
  int32_t ctx_slot_ = 0;
  int32_t prefill_group_ = 1;
  int32_t n_text_threads_ = 1;
  double step_cost_tokens_ = 0;
  llama_token dummy_token_ = 0;

  std::unique_ptr<llama_model, void (*)(llama_model*)> model_{nullptr, llama_model_free};
  std::unique_ptr<ggml_threadpool, void (*)(ggml_threadpool*)> pool_{nullptr, FreeThreadPool};
  std::unique_ptr<llama_context, void (*)(llama_context*)> context_{nullptr, llama_free};
  std::string lost_;  // why there is no context any more
  std::unique_ptr<Tokenizer> tokenizer_;
  std::vector<Slot> slots_;

  // The batch of one step, reused.
  std::vector<llama_token> tokens_;
  std::vector<llama_pos> positions_;
  std::vector<int32_t> n_seq_ids_;
  std::vector<llama_seq_id> seq_ids_;
  std::vector<llama_seq_id*> seq_id_pointers_;
  std::vector<int8_t> outputs_;
  std::vector<int32_t> taken_;  // pending tokens that each slot of the span takes
  std::vector<Row> rows_;       // of that step
};

}  // namespace gristmill::engine
