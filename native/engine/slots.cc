#include "engine/slots.h"

#include <algorithm>
#include <atomic>
#include <chrono>

#include "engine/logits.h"
#include "engine/parallel.h"
#include "error.h"
#include "progress.h"

namespace gristmill::engine {

int64_t NowNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

void SlotContext::Clear() {
  if (!context_) throw OutOfMemory(lost_);
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
  const std::string said =
      reason.empty() ? "llama_decode returned " + std::to_string(code) : reason;
  if (code == -2) throw OutOfMemory(said + "; " + MemoryUse());
  throw CodedError("ENGINE_DECODE_FAILED",
                   {{"file", file_.path}, {"device", device_name_}, {"reason", said}});
}

// Computes a step, and waits for it where `waits` says so. A device whose memory ends within the
// step takes the context along: the model is there, but nothing can be asked of it any more.
int32_t SlotContext::Decode(const llama_batch& batch, bool waits) {
  try {
    const DeviceFullScope scope;
    const int32_t code = llama_decode(context_.get(), batch);
    if (code == 0 && waits) llama_synchronize(context_.get());
    return code;
  } catch (const DeviceFull& full) {
    lost_ = full.what() + ("; " + MemoryUse());
  }
  // Of its own accord it waits for what the device still computes before it gives memory back.
  context_.reset();
  for (Slot& slot : slots_) slot = {};
  throw OutOfMemory(lost_);
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
  narrowest = std::max(narrowest, (min_columns_ + n_span - 1) / n_span);
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

// Outputs beside too few: see the header.
void SlotContext::EnsureOutputs() {
  auto missing = min_columns_ - std::count(outputs_.begin(), outputs_.end(), 1);
  if (missing == min_columns_) return;
  for (auto output = outputs_.begin(); missing > 0; ++output) {
    if (*output == 1) continue;
    *output = 1;
    --missing;
  }
}

// Neighbours beside tokens that are stepped one a slot: see the header.
void SlotContext::WidenSpan(int32_t& first, int32_t& last) const {
  const Slot& sample = slots_[first];
  const bool one_token = last - first == 1 && !sample.prompt && sample.remaining() == 1;
  const bool stays_single = !fused_attention_ && sample.single;
  const int32_t least = stays_single ? min_columns_ : one_token ? 2 : 1;
  while (last - first < least) {
    if (last < n_sequences_) {
      ++last;
    } else {
      --first;
    }
  }
}

void SlotContext::StepSpan(Phase phase, int32_t first, int32_t last,
                           const std::vector<int32_t>& active, const OnRows& on_rows) {
  if (cancelled_()) Fail(2);
  const int64_t started = NowNs();
  if (on_cpu_) WidenSpan(first, last);
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
  if (on_cpu_) EnsureOutputs();
  llama_batch batch{};
  batch.n_tokens = n_tokens;
  batch.token = tokens_.data();
  batch.pos = positions_.data();
  batch.n_seq_id = n_seq_ids_.data();
  batch.seq_id = seq_id_pointers_.data();
  batch.logits = outputs_.data();

  const int64_t computing = NowNs();
  // A step that nothing is read of goes on while the next one is made ready.
  const bool is_read = std::find(outputs_.begin(), outputs_.end(), 1) != outputs_.end();
  const int32_t code = Decode(batch, on_cpu_ || is_read);
  CountProgress();
  if (code != 0) Fail(code);
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
