// The work an engine takes, as plain structs. A job is prepared on the text thread (tokenisation),
// then computed on the context's own thread; requests hold views that their submitter keeps alive
// until the job is done.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/automaton.h"
#include "engine/slots.h"
#include "engine/tokenizer.h"
#include "error.h"
#include "text/lines.h"
#include "text/windows.h"
#include "trace.h"

namespace gristmill::engine {

// Documents as an Arrow-style column; checked when made.
struct Documents {
  std::span<const uint8_t> data;
  std::span<const int32_t> offsets;

  int32_t size() const { return static_cast<int32_t>(offsets.size()) - 1; }
  std::string_view At(int32_t document) const {
    const int32_t begin = offsets[document];
    const std::string_view text(reinterpret_cast<const char*>(data.data()) + begin,
                                static_cast<size_t>(offsets[document + 1] - begin));
    TraceBytes("engine", text.data(), text.size());
    return text;
  }
};

// Throws OPTION_INVALID when offsets descend or leave the data.
void CheckDocuments(const Documents& documents);

enum ResultFlag : uint8_t { kTruncated = 1, kUnanswerable = 2 };

// What the text thread works with.
struct TextContext {
  const Tokenizer& tokenizer;
  int32_t ctx_slot;
  int32_t n_threads;
  Counters& counters;
};

// What the compute thread works with.
struct ComputeContext {
  SlotContext& slots;
  Counters& counters;
  // The automaton of a grammar over this vocabulary, compiled once.
  virtual Automaton& AutomatonOf(const Grammar& grammar) = 0;
  ComputeContext(SlotContext& context, Counters& counts) : slots(context), counters(counts) {}
  virtual ~ComputeContext() = default;
};

class Job {
 public:
  virtual ~Job() = default;
  virtual void Prepare(const TextContext& context) = 0;
  // Only for jobs that need the model.
  virtual bool NeedsModel() const { return true; }
  virtual void Compute(ComputeContext& context) {}

  std::atomic<bool> cancelled{false};
  std::optional<CodedError> error;
};

class PlanJob : public Job {
 public:
  Documents documents;
  std::vector<int32_t> docs;
  text::LineFormat format;
  text::WindowRule rule;
  bool in_characters = false;  // sizes are code points, else tokens
  bool count_bos = false;      // tokens only: one more per line

  std::vector<int32_t> doc, line_start, own_start, line_end, size;
  std::vector<uint8_t> oversize;

  bool NeedsModel() const override { return false; }
  void Prepare(const TextContext& context) override;
};

class ScoreJob : public Job {
 public:
  Documents documents;
  std::vector<int32_t> docs;
  Frame frame;
  std::string keep;
  std::string drop;

  std::vector<float> logit_diff;
  std::vector<int32_t> prompt_tokens;
  std::vector<uint8_t> flags;

  void Prepare(const TextContext& context) override;
  void Compute(ComputeContext& context) override;

 private:
  std::vector<Tokens> prompts_;
  llama_token keep_token_ = -1;
  llama_token drop_token_ = -1;
};

// generatePrograms and generateText: windows of documents, or whole documents.
class GenerateJob : public Job {
 public:
  Documents documents;
  Frame frame;
  int32_t max_new_tokens = 0;
  // Windows; `line_start` is empty for whole documents.
  std::vector<int32_t> doc, line_start, line_end;
  text::LineFormat format;
  std::optional<Grammar> grammar;

  std::vector<std::string> programs;
  std::vector<int32_t> prompt_tokens, new_tokens;
  std::vector<uint8_t> flags;

  void Prepare(const TextContext& context) override;
  void Compute(ComputeContext& context) override;
  const std::vector<Tokens>& prompts() const { return prompts_; }

 private:
  friend class Generation;
  std::unique_ptr<PromptBuilder> builder_;
  std::vector<Tokens> prompts_;
  std::vector<std::unique_ptr<WindowText>> windows_;
};

// The prompts that generation would compute, and nothing more.
class PromptJob : public GenerateJob {
 public:
  bool NeedsModel() const override { return false; }
};

// Indices of the prompts that can be answered, longest first, ties by index: neighbours share
// compute steps.
std::vector<size_t> LongestFirst(const std::vector<Tokens>& prompts,
                                 const std::vector<uint8_t>& flags);

// Tokens that all these prompts start with; at most one less than the shortest.
int32_t CommonPrefix(const std::vector<Tokens>& prompts, const std::vector<size_t>& order);

}  // namespace gristmill::engine
