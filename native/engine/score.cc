// The document stage: one prefill per document, the decision read from the logits of the first
// token in which the two answers differ (ProX, document-level refining).
#include <algorithm>
#include <limits>

#include "engine/jobs.h"
#include "engine/parallel.h"

namespace gristmill::engine {

void ScoreJob::Prepare(const TextContext& context) {
  const int64_t started = NowNs();
  const PromptBuilder builder(context.tokenizer, frame);
  const Tokens keep_tokens = builder.AnswerTokens(keep);
  const Tokens drop_tokens = builder.AnswerTokens(drop);
  size_t common = 0;
  while (common < keep_tokens.size() && common < drop_tokens.size() &&
         keep_tokens[common] == drop_tokens[common]) {
    ++common;
  }
  if (common == keep_tokens.size() || common == drop_tokens.size()) {
    throw CodedError("OPTION_INVALID", {{"option", "answers"},
                                        {"expected", "answers of which none starts with the other"},
                                        {"received", keep + " and " + drop}});
  }
  keep_token_ = keep_tokens[common];
  drop_token_ = drop_tokens[common];
  prompts_.resize(docs.size());
  prompt_tokens.assign(docs.size(), 0);
  flags.assign(docs.size(), 0);
  logit_diff.assign(docs.size(), std::numeric_limits<float>::quiet_NaN());
  ParallelFor(context.n_threads, docs.size(), 1, [&](size_t index) {
    if (cancelled) throw CodedError("ABORTED", {{"what", "document scoring"}});
    PromptBuilder::Prompt prompt = builder.Build(documents.At(docs[index]), true);
    Tokens& tokens = prompts_[index] = std::move(prompt.tokens);
    tokens.insert(tokens.end(), keep_tokens.begin(),
                  keep_tokens.begin() + static_cast<std::ptrdiff_t>(common));
    prompt_tokens[index] = static_cast<int32_t>(tokens.size());
    if (prompt.truncated) flags[index] |= kTruncated;
    const bool fits = !tokens.empty() && static_cast<int32_t>(tokens.size()) <= context.ctx_slot;
    if (!fits) flags[index] |= kUnanswerable;
  });
  context.counters.tokenize_ns += NowNs() - started;
}

void ScoreJob::Compute(ComputeContext& context) {
  SlotContext& slots = context.slots;
  slots.Clear();
  const std::vector<size_t> order = LongestFirst(prompts_, flags);
  const int32_t prefix = CommonPrefix(prompts_, order);
  const auto group = static_cast<size_t>(slots.prefill_group());
  std::vector<bool> resident(group, false);
  for (size_t begin = 0; begin < order.size(); begin += group) {
    const size_t end = std::min(order.size(), begin + group);
    std::vector<int32_t> active;
    for (size_t at = begin; at < end; ++at) {
      const auto slot = static_cast<int32_t>(at - begin);
      const Tokens& prompt = prompts_[order[at]];
      const int32_t keep_tokens = resident[slot] ? prefix : 0;
      slots.Restart(slot, keep_tokens, prompt.data() + keep_tokens, prompt.size() - keep_tokens);
      resident[slot] = true;
      context.counters.prompt_tokens += static_cast<int64_t>(prompt.size());
      context.counters.prefix_tokens_reused += keep_tokens;
      active.push_back(slot);
    }
    while (!active.empty()) {
      slots.Step(SlotContext::Phase::kPrefill, active, [&](auto rows) {
        for (const auto& [slot, logits, best] : rows) {
          logit_diff[order[begin + static_cast<size_t>(slot)]] =
              logits[keep_token_] - logits[drop_token_];
        }
      });
      std::erase_if(active, [&](int32_t slot) { return !slots.HasPending(slot); });
    }
  }
}

}  // namespace gristmill::engine
