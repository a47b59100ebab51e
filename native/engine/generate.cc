// The chunk stage: continuous batching of programs (or free text), constrained by the token
// automaton.
//
// Prompts are taken longest first. Freed slots wait until a quarter of them is free (or nothing
// decodes), are then refilled from the lowest up and prefilled together; decode steps advance all
// slots at once. Which prompt lies in which slot depends on the call alone.
#include <algorithm>

#include "engine/jobs.h"
#include "engine/logits.h"
#include "engine/parallel.h"

namespace gristmill::engine {

namespace {

// Longest answer that is tokenised as one piece to find the canonical tokens of what is forced
// next.
constexpr size_t kMaxCanonicalBytes = 1024;
// In the place of a token where none is allowed.
constexpr llama_token kNothing = -1;

}  // namespace

void GenerateJob::Prepare(const TextContext& context) {
  const int64_t started = NowNs();
  builder_ = std::make_unique<PromptBuilder>(context.tokenizer, frame);
  const bool windowed = !line_start.empty();
  const size_t count = doc.size();
  prompts_.resize(count);
  windows_.resize(count);
  programs.resize(count);
  prompt_tokens.assign(count, 0);
  new_tokens.assign(count, 0);
  flags.assign(count, 0);
  ParallelFor(context.n_threads, count, 1, [&](size_t index) {
    if (cancelled) throw CodedError("ABORTED", {{"what", "generation"}});
    PromptBuilder::Prompt prompt;
    if (windowed) {
      const auto lines = text::SplitLines(documents.At(doc[index]));
      if (line_start[index] >= line_end[index] ||
          line_end[index] > static_cast<int32_t>(lines.size())) {
        throw CodedError("OPTION_INVALID",
                         {{"option", "windows"},
                          {"expected", "lines inside document " + std::to_string(doc[index]) +
                                           " (" + std::to_string(lines.size()) + " lines)"},
                          {"received", std::to_string(line_start[index]) + ".." +
                                           std::to_string(line_end[index])}});
      }
      prompt = builder_->Build(
          text::RenderWindow(lines, line_start[index], line_end[index], format), false);
      if (grammar) {
        windows_[index] =
            std::make_unique<WindowText>(*grammar, lines, line_start[index], line_end[index]);
      }
    } else {
      prompt = builder_->Build(documents.At(doc[index]), true);
    }
    prompts_[index] = std::move(prompt.tokens);
    const auto length = static_cast<int32_t>(prompts_[index].size());
    prompt_tokens[index] = length;
    // A window is never cut: a program about lines the model has not seen would be worthless.
    const bool fits =
        length > 0 && length < context.ctx_slot && (!windowed || length <= frame.max_tokens);
    if (!fits) flags[index] |= kUnanswerable;
  });
  context.counters.tokenize_ns += NowNs() - started;
}

// One call's decoding: the slots, what each of them writes, and the queue.
class Generation {
 public:
  Generation(GenerateJob& job, ComputeContext& context)
      : job_(job),
        slots_(context.slots),
        counters_(context.counters),
        tokenizer_(context.slots.tokenizer()),
        automaton_(job.grammar ? &context.AutomatonOf(*job.grammar) : nullptr),
        order_(LongestFirst(job.prompts_, job.flags)),
        prefix_(CommonPrefix(job.prompts_, order_)),
        writers_(static_cast<size_t>(slots_.n_slots())) {}

  void Run() {
    slots_.Clear();
    while (next_ < order_.size() || n_active_ > 0) {
      const int32_t n_free = slots_.n_slots() - n_active_;
      if (next_ < order_.size() && (n_active_ == 0 || 4 * n_free >= slots_.n_slots())) Refill();
      std::vector<int32_t> active;
      for (int32_t slot = 0; slot < slots_.n_slots(); ++slot) {
        if (writers_[slot].item >= 0) active.push_back(slot);
      }
      if (!active.empty()) slots_.Step(SlotContext::Phase::kDecode, active, Sampler());
    }
  }

 private:
  struct Writer {
    int64_t item = -1;
    bool resident = false;  // the call's common prefix lies in the slot
    bool prefilling = false;
    Tokens tokens;      // of the answer
    std::string bytes;  // of the answer
    Automaton::State state;
  };

  SlotContext::OnRows Sampler() {
    return [this](std::span<const SlotContext::Row> rows) {
      if (automaton_ != nullptr) Choose(rows);
      for (size_t index = 0; index < rows.size(); ++index) {
        Sample(rows[index].slot, automaton_ != nullptr ? choices_[index] : rows[index].best);
      }
    };
  }

  // The best allowed token of every row; kNothing where none is (a vocabulary without single
  // bytes). Which tokens are allowed is found in order, as the automaton is shared.
  void Choose(std::span<const SlotContext::Row> rows) {
    choices_.assign(rows.size(), kNothing);
    kept_.assign(rows.size(), {});
    size_t n_values = 0;
    for (size_t index = 0; index < rows.size(); ++index) {
      const auto& [slot, logits, best] = rows[index];
      const Writer& writer = writers_[slot];
      const auto [tokens, is_kept] =
          automaton_->AllowedTokens(writer.state, *job_.windows_[writer.item]);
      if (tokens.empty()) continue;
      if (is_kept) {
        kept_[index] = tokens;
        n_values += tokens.size();
      } else {
        choices_[index] = BestOf(logits, tokens);
      }
    }
    const size_t at_once = RowsAtOnce(n_values / std::max<size_t>(1, rows.size()));
    ParallelFor(slots_.n_text_threads(), rows.size(), at_once, [&](size_t index) {
      if (!kept_[index].empty()) choices_[index] = BestOf(rows[index].logits, kept_[index]);
    });
  }

  void Refill() {
    std::vector<int32_t> fresh;
    for (int32_t slot = 0; slot < slots_.n_slots() && next_ < order_.size(); ++slot) {
      if (writers_[slot].item < 0 && Begin(slot, order_[next_])) fresh.push_back(slot);
    }
    // Neighbours are prefilled together, a few at a time: long steps per slot cost the least.
    size_t begin = 0;
    while (begin < fresh.size()) {
      size_t end = begin + 1;
      while (end < fresh.size() && fresh[end] == fresh[end - 1] + 1 &&
             static_cast<int32_t>(end - begin) < slots_.prefill_group()) {
        ++end;
      }
      std::vector<int32_t> group(fresh.begin() + static_cast<std::ptrdiff_t>(begin),
                                 fresh.begin() + static_cast<std::ptrdiff_t>(end));
      while (!group.empty()) {
        slots_.Step(SlotContext::Phase::kPrefill, group, Sampler());
        std::erase_if(group, [this](int32_t slot) { return !writers_[slot].prefilling; });
      }
      begin = end;
    }
  }

  // Gives the next prompt to `slot`; false when it needs no model at all.
  bool Begin(int32_t slot, size_t item) {
    next_ += 1;
    Writer& writer = writers_[slot];
    const bool resident = writer.resident;
    writer = {};
    writer.item = static_cast<int64_t>(item);
    writer.resident = true;
    writer.prefilling = true;
    n_active_ += 1;
    const Tokens& prompt = job_.prompts_[item];
    const int32_t kept = resident ? prefix_ : 0;
    slots_.Restart(slot, kept, prompt.data() + kept, prompt.size() - static_cast<size_t>(kept));
    counters_.prompt_tokens += static_cast<int64_t>(prompt.size());
    counters_.prefix_tokens_reused += kept;
    if (automaton_ == nullptr) return true;
    writer.state = automaton_->Start(*job_.windows_[item], tokenizer_.adds_space_prefix());
    Tokens pending;
    if (!Force(writer, pending)) {
      Finish(slot, 0);
      writer.resident = resident;
      return false;
    }
    slots_.Append(slot, pending);
    return true;
  }

  void Sample(int32_t slot, llama_token token) {
    Writer& writer = writers_[slot];
    writer.prefilling = false;
    counters_.decode_steps += 1;
    counters_.sampled_tokens += 1;
    if (token == kNothing) return Finish(slot, kTruncated);
    if (tokenizer_.IsEog(token)) return Finish(slot, 0);
    Take(writer, token);
    Tokens pending{token};
    if (automaton_ != nullptr) {
      writer.state = automaton_->Advance(std::move(writer.state), tokenizer_.Piece(token),
                                         *job_.windows_[writer.item]);
      if (!Force(writer, pending)) return Finish(slot, 0);
    }
    if (IsFull(writer)) return Finish(slot, kTruncated);
    slots_.Append(slot, pending);
  }

  void Take(Writer& writer, llama_token token) {
    writer.tokens.push_back(token);
    writer.bytes += tokenizer_.Piece(token);
  }

  bool IsFull(const Writer& writer) const {
    const auto written = static_cast<int32_t>(writer.tokens.size());
    return written >= job_.max_new_tokens ||
           job_.prompt_tokens[writer.item] + written >= slots_.ctx_slot();
  }

  // Appends what the grammar forces next; false when the program is complete.
  bool Force(Writer& writer, Tokens& pending) {
    const WindowText& window = *job_.windows_[writer.item];
    if (Automaton::IsFinal(writer.state)) return false;
    Automaton::State after = writer.state;
    const std::string forced = automaton_->ForcedBytes(after, window);
    if (forced.empty()) return true;
    const Tokens canonical = Canonical(writer, forced);
    const bool final = Automaton::IsFinal(after);
    const size_t safe =
        final ? canonical.size() : automaton_->SafePrefix(forced, canonical, after, window);
    size_t bytes = 0;
    size_t taken = 0;
    for (; taken < safe && !IsFull(writer); ++taken) {
      Take(writer, canonical[taken]);
      pending.push_back(canonical[taken]);
      bytes += tokenizer_.Piece(canonical[taken]).size();
      counters_.forced_tokens += 1;
    }
    if (final && taken == canonical.size() && taken > 0) return false;
    writer.state = automaton_->Advance(std::move(writer.state),
                                       std::string_view(forced).substr(0, bytes), window);
    return true;
  }

  // Tokens of `forced` as they stand in the canonical tokens of the whole answer, if its tokens so
  // far are canonical; else the tokens of `forced` alone. Empty when they do not spell it.
  Tokens Canonical(const Writer& writer, const std::string& forced) const {
    const std::string whole = writer.bytes + forced;
    Tokens tokens;
    if (whole.size() <= kMaxCanonicalBytes) {
      // The tokeniser puts a space of its own in front of an answer after a special token.
      tokens = job_.builder_->AnswerTokens(whole);
      const bool spells = tokenizer_.Detokenize(tokens) == whole;
      if (!spells && whole.front() == ' ') tokens = job_.builder_->AnswerTokens(whole.substr(1));
      if (tokens.size() > writer.tokens.size() &&
          std::equal(writer.tokens.begin(), writer.tokens.end(), tokens.begin())) {
        tokens.erase(tokens.begin(),
                     tokens.begin() + static_cast<std::ptrdiff_t>(writer.tokens.size()));
        if (tokenizer_.Detokenize(tokens) == forced) return tokens;
      }
    }
    tokens = tokenizer_.Continuation(forced);
    if (tokenizer_.Detokenize(tokens) != forced) tokens = {};
    return tokens;
  }

  void Finish(int32_t slot, uint8_t flag) {
    Writer& writer = writers_[slot];
    std::string program = std::move(writer.bytes);
    if (automaton_ != nullptr && tokenizer_.adds_space_prefix() && program.starts_with(' ')) {
      program.erase(0, 1);
    }
    job_.programs[writer.item] = std::move(program);
    job_.new_tokens[writer.item] = static_cast<int32_t>(writer.tokens.size());
    job_.flags[writer.item] |= flag;
    writer.item = -1;
    writer.prefilling = false;
    n_active_ -= 1;
    slots_.Restart(slot, std::min(prefix_, slots_.Held(slot)), nullptr, 0);
  }

  GenerateJob& job_;
  SlotContext& slots_;
  Counters& counters_;
  const Tokenizer& tokenizer_;
  Automaton* automaton_;
  std::vector<size_t> order_;
  int32_t prefix_;
  std::vector<Writer> writers_;
  // By row of a step: the token that is taken, and those of which it is the best.
  std::vector<llama_token> choices_;
  std::vector<std::span<const llama_token>> kept_;
  size_t next_ = 0;
  int32_t n_active_ = 0;
};

void GenerateJob::Compute(ComputeContext& context) {
  Generation(*this, context).Run();
}

}  // namespace gristmill::engine
