#include "engine/automaton.h"

#include <algorithm>
#include <limits>

#include "error.h"

namespace gristmill::engine {

namespace {

constexpr size_t kMaxForcedBytes = 4096;  // longer literals are taken piece by piece
constexpr int64_t kMaxNumber = 1'000'000'000;

}  // namespace

Automaton::Automaton(const Tokenizer& tokenizer, const VocabTrie& trie, Grammar grammar)
    : tokenizer_(tokenizer), trie_(trie), grammar_(std::move(grammar)) {
  alternatives_ = grammar_.ops;
  for (const std::string& whole : grammar_.whole) {
    alternatives_.push_back({Grammar::Part{.text = whole}});
  }
  for (llama_token token = 0; token < tokenizer.n_tokens(); ++token) {
    if (tokenizer.IsEog(token)) eog_.push_back(token);
  }
  seen_nodes_.resize(trie.n_nodes(), 0);
}

const Grammar::Part& Automaton::PartOf(const Thread& thread) const {
  return alternatives_[thread.alternative][thread.part];
}

// True inside a range that raises the floor: of an op with an ascending lineFrom at or before the
// part.
bool Automaton::IsAscending(const Thread& thread) const {
  const auto& parts = alternatives_[thread.alternative];
  int16_t part = thread.part;
  while (parts[part].kind != Grammar::PartKind::kLineFrom) --part;  // CheckGrammar: there is one
  return parts[part].ascending;
}

void Automaton::StartOps(int32_t n_ops, int32_t floor, const WindowText& window, State& out) const {
  const uint64_t viable = window.ViableOps(floor);
  for (size_t op = 0; op < grammar_.ops.size(); ++op) {
    if ((viable >> op & 1) == 0) continue;
    Thread thread;
    thread.kind = Thread::Kind::kPart;
    thread.alternative = static_cast<int16_t>(op);
    thread.n_ops = n_ops;
    thread.floor = floor;
    Enter(std::move(thread), window, out);
  }
}

Automaton::State Automaton::Start(const WindowText& window, bool allow_space) const {
  State state;
  if (allow_space) state.push_back({.kind = Thread::Kind::kLeadSpace});
  StartOps(0, 0, window, state);
  for (size_t index = grammar_.ops.size(); index < alternatives_.size(); ++index) {
    Thread thread;
    thread.kind = Thread::Kind::kPart;
    thread.alternative = static_cast<int16_t>(index);
    Enter(std::move(thread), window, state);
  }
  return state;
}

// Puts the thread in front of its part's first byte; past the last part the op is complete.
void Automaton::Enter(Thread thread, const WindowText& window, State& out) const {
  const auto& parts = alternatives_[thread.alternative];
  thread.at = 0;
  thread.number = -1;
  thread.utf8_left = 0;
  thread.positions.clear();
  while (thread.part < static_cast<int16_t>(parts.size()) &&
         parts[thread.part].kind == Grammar::PartKind::kLiteral &&
         parts[thread.part].text.empty()) {
    thread.part += 1;
  }
  if (thread.part == static_cast<int16_t>(parts.size())) {
    const bool is_op = thread.alternative < static_cast<int16_t>(grammar_.ops.size());
    thread.n_ops += is_op ? 1 : 0;
    const bool more =
        is_op && thread.n_ops < grammar_.max_ops && window.ViableOps(thread.floor) != 0;
    thread.kind = more ? Thread::Kind::kOpEnd : Thread::Kind::kDone;
    thread.alternative = 0;
    thread.part = 0;
    thread.line_from = -1;
  } else if (parts[thread.part].kind != Grammar::PartKind::kLiteral &&
             parts[thread.part].kind != Grammar::PartKind::kTarget) {
    touched_window_ = true;
  }
  if (std::find(out.begin(), out.end(), thread) != out.end()) return;
  out.push_back(thread);
  const bool may_be_empty =
      thread.kind == Thread::Kind::kPart && PartOf(thread).kind == Grammar::PartKind::kTarget;
  if (may_be_empty) {
    thread.part += 1;
    Enter(std::move(thread), window, out);
  }
}

void Automaton::StepNumber(const Thread& thread, uint8_t byte, const WindowText& window,
                           State& out) const {
  if (byte < '0' || byte > '9' || thread.number > kMaxNumber || thread.number == 0) return;
  const bool is_from = PartOf(thread).kind == Grammar::PartKind::kLineFrom;
  const bool ascending = IsAscending(thread);
  const int32_t floor = ascending ? thread.floor : 0;
  const int32_t low = is_from ? std::max(window.first_number(), floor) : thread.line_from;
  const int32_t high = window.last_number();
  const auto& parts = alternatives_[thread.alternative];
  const Grammar::Part* source =
      is_from ? LineSourceOf(parts, static_cast<size_t>(thread.part)) : nullptr;
  const int64_t value = std::max<int64_t>(thread.number, 0) * 10 + (byte - '0');
  if (window.CanExtend(value, low, high, source)) {
    Thread longer = thread;
    longer.number = value;
    out.push_back(std::move(longer));
  }
  if (value >= low && value <= high && window.Selectable(value, source)) {
    Thread next = thread;
    if (is_from) next.line_from = static_cast<int32_t>(value);
    if (ascending) next.floor = std::max(next.floor, static_cast<int32_t>(value) + 1);
    next.part += 1;
    Enter(std::move(next), window, out);
  }
}

void Automaton::StepSource(const Thread& thread, uint8_t byte, const WindowText& window,
                           State& out) const {
  const Grammar::Part& part = PartOf(thread);
  if (IsExcluded(byte, part.quote)) return;
  Thread next = thread;
  next.positions.clear();
  if (thread.at == 0) {
    const int32_t begin = part.line_scope ? window.LineBegin(thread.line_from) : 0;
    const int32_t end = part.line_scope ? window.LineEnd(thread.line_from)
                                        : static_cast<int32_t>(window.text().size());
    for (int32_t at = begin; at < end; ++at) {
      if (static_cast<uint8_t>(window.text()[at]) == byte && window.IsBoundary(at)) {
        next.positions.push_back(at + 1);
      }
    }
  } else {
    for (const int32_t at : thread.positions) {
      if (static_cast<uint8_t>(window.text()[at]) == byte) next.positions.push_back(at + 1);
    }
  }
  if (next.positions.empty()) return;
  next.at += 1;
  const bool may_end = std::any_of(next.positions.begin(), next.positions.end(),
                                   [&](int32_t at) { return window.IsBoundary(at); });
  out.push_back(next);
  if (may_end) {
    next.part += 1;
    Enter(std::move(next), window, out);
  }
}

void Automaton::StepTarget(const Thread& thread, uint8_t byte, const WindowText& window,
                           State& out) const {
  const Grammar::Part& part = PartOf(thread);
  Thread next = thread;
  next.utf8_low = 0x80;
  next.utf8_high = 0xBF;
  if (thread.utf8_left > 0) {
    if (byte < thread.utf8_low || byte > thread.utf8_high) return;
    next.utf8_left -= 1;
  } else if (byte < 0x80) {
    if (IsExcluded(byte, part.quote) || (byte < 0x20 && byte != '\t') || byte == 0x7F) return;
  } else if (byte >= 0xC2 && byte <= 0xDF) {
    next.utf8_left = 1;
  } else if (byte >= 0xE0 && byte <= 0xEF) {
    next.utf8_left = 2;
    if (byte == 0xE0) next.utf8_low = 0xA0;
    if (byte == 0xED) next.utf8_high = 0x9F;
  } else if (byte >= 0xF0 && byte <= 0xF4) {
    next.utf8_left = 3;
    if (byte == 0xF0) next.utf8_low = 0x90;
    if (byte == 0xF4) next.utf8_high = 0x8F;
  } else {
    return;
  }
  next.at += 1;
  if (next.at + next.utf8_left > part.max_bytes) return;
  out.push_back(next);
  if (next.utf8_left == 0) {
    next.part += 1;
    Enter(std::move(next), window, out);
  }
}

void Automaton::StepThread(const Thread& thread, uint8_t byte, const WindowText& window,
                           State& out) const {
  switch (thread.kind) {
    case Thread::Kind::kDone:
      return;
    case Thread::Kind::kLeadSpace:
      if (byte == ' ') {
        for (Thread& started : Start(window, false)) out.push_back(std::move(started));
      }
      return;
    case Thread::Kind::kOpEnd:
    case Thread::Kind::kSeparator: {
      if (static_cast<uint8_t>(grammar_.separator[thread.at]) != byte) return;
      Thread next = thread;
      next.kind = Thread::Kind::kSeparator;
      next.at += 1;
      if (next.at < static_cast<int32_t>(grammar_.separator.size())) {
        out.push_back(std::move(next));
      } else {
        StartOps(thread.n_ops, thread.floor, window, out);
      }
      return;
    }
    case Thread::Kind::kPart:
      break;
  }
  switch (PartOf(thread).kind) {
    case Grammar::PartKind::kLiteral: {
      const std::string& text = PartOf(thread).text;
      if (static_cast<uint8_t>(text[thread.at]) != byte) return;
      Thread next = thread;
      next.at += 1;
      if (next.at < static_cast<int32_t>(text.size())) {
        out.push_back(std::move(next));
      } else {
        next.part += 1;
        Enter(std::move(next), window, out);
      }
      return;
    }
    case Grammar::PartKind::kLineFrom:
    case Grammar::PartKind::kLineTo:
      touched_window_ = true;
      StepNumber(thread, byte, window, out);
      return;
    case Grammar::PartKind::kSource:
      touched_window_ = true;
      StepSource(thread, byte, window, out);
      return;
    case Grammar::PartKind::kTarget:
      StepTarget(thread, byte, window, out);
      return;
  }
}

Automaton::State Automaton::Step(const State& state, uint8_t byte, const WindowText& window) const {
  State next;
  for (const Thread& thread : state) StepThread(thread, byte, window, next);
  return next;
}

Automaton::State Automaton::Advance(State state, std::string_view bytes,
                                    const WindowText& window) const {
  for (const char byte : bytes) state = Step(state, static_cast<uint8_t>(byte), window);
  return state;
}

bool Automaton::Accepts(const State& state) {
  return std::any_of(state.begin(), state.end(), [](const Thread& thread) {
    return thread.kind == Thread::Kind::kDone || thread.kind == Thread::Kind::kOpEnd;
  });
}

bool Automaton::IsFinal(const State& state) {
  return !state.empty() && std::all_of(state.begin(), state.end(), [](const Thread& thread) {
    return thread.kind == Thread::Kind::kDone;
  });
}

Automaton::Bytes Automaton::NextBytes(const State& state, const WindowText& window,
                                      bool* any) const {
  Bytes bytes;
  *any = false;
  for (const Thread& thread : state) {
    if (thread.kind == Thread::Kind::kDone) continue;
    if (thread.kind == Thread::Kind::kLeadSpace) {
      bytes.push_back(' ');
      continue;
    }
    if (thread.kind != Thread::Kind::kPart) {
      bytes.push_back(static_cast<uint8_t>(grammar_.separator[thread.at]));
      continue;
    }
    const Grammar::Part& part = PartOf(thread);
    switch (part.kind) {
      case Grammar::PartKind::kLiteral:
        bytes.push_back(static_cast<uint8_t>(part.text[thread.at]));
        break;
      case Grammar::PartKind::kLineFrom:
      case Grammar::PartKind::kLineTo:
        for (uint8_t digit = '0'; digit <= '9'; ++digit) {
          State next;
          StepThread(thread, digit, window, next);
          if (!next.empty()) bytes.push_back(digit);
        }
        break;
      case Grammar::PartKind::kSource:
        if (thread.at == 0) {
          *any = true;
          break;
        }
        for (const int32_t at : thread.positions) {
          if (window.IsUsable(at, part.quote))
            bytes.push_back(static_cast<uint8_t>(window.text()[at]));
        }
        break;
      case Grammar::PartKind::kTarget:
        *any = true;
        break;
    }
  }
  std::sort(bytes.begin(), bytes.end());
  bytes.erase(std::unique(bytes.begin(), bytes.end()), bytes.end());
  return bytes;
}

std::string Automaton::ForcedBytes(State& state, const WindowText& window) const {
  std::string forced;
  while (!state.empty() && !Accepts(state) && forced.size() < kMaxForcedBytes) {
    bool any = false;
    const Bytes bytes = NextBytes(state, window, &any);
    if (any || bytes.size() != 1) break;
    State next = Step(state, bytes.front(), window);
    if (next.empty()) break;
    forced += static_cast<char>(bytes.front());
    state = std::move(next);
  }
  return forced;
}

// ---- tokens
// --------------------------------------------------------------------------------------------------

void Automaton::Collect(uint32_t node, const State& state, const WindowText& window,
                        std::vector<llama_token>& out) const {
  const auto visit = [&](uint32_t child) {
    const State next = Step(state, trie_.Byte(child), window);
    if (next.empty()) return;
    if (trie_.Token(child) >= 0) out.push_back(trie_.Token(child));
    if (trie_.ChildrenBegin(child) != trie_.ChildrenEnd(child)) Collect(child, next, window, out);
  };
  bool any = false;
  const Bytes bytes = NextBytes(state, window, &any);
  if (any) {
    for (uint32_t child = trie_.ChildrenBegin(node); child < trie_.ChildrenEnd(node); ++child)
      visit(child);
    return;
  }
  for (const uint8_t byte : bytes) {
    const uint32_t child = trie_.Child(node, byte);
    if (child != VocabTrie::kNone) visit(child);
  }
}

// Walks the trie along the window's text from every live position; what follows a node is looked at
// once.
void Automaton::CollectSource(const Thread& thread, const WindowText& window,
                              std::vector<llama_token>& out) {
  const Grammar::Part& part = PartOf(thread);
  State ended;
  Thread after = thread;
  after.part += 1;
  Enter(std::move(after), window, ended);
  stamp_ += 2;
  const auto walk = [&](int32_t at) {
    uint32_t node = VocabTrie::kRoot;
    while (window.IsUsable(at, part.quote)) {
      node = trie_.Child(node, static_cast<uint8_t>(window.text()[at]));
      if (node == VocabTrie::kNone) return;
      ++at;
      uint32_t& seen = seen_nodes_[node];
      if (seen < stamp_) {
        seen = stamp_;
        if (trie_.Token(node) >= 0) out.push_back(trie_.Token(node));
      }
      // The text may end here within the token; the same node may also be reached inside a
      // character.
      if (seen == stamp_ && window.IsBoundary(at)) {
        seen = stamp_ + 1;
        Collect(node, ended, window, out);
      }
    }
  };
  if (thread.at > 0) {
    for (const int32_t at : thread.positions) walk(at);
    return;
  }
  const int32_t begin = part.line_scope ? window.LineBegin(thread.line_from) : 0;
  const int32_t end = part.line_scope ? window.LineEnd(thread.line_from)
                                      : static_cast<int32_t>(window.text().size());
  for (int32_t at = begin; at < end; ++at) {
    if (window.IsBoundary(at)) walk(at);
  }
}

std::string Automaton::CacheKey(const State& state, const WindowText& window) const {
  std::string key;
  const auto put = [&](int64_t value) {
    key.append(reinterpret_cast<const char*>(&value), sizeof value);
  };
  const int64_t reach = static_cast<int64_t>(trie_.max_bytes());
  for (const Thread& thread : state) {
    int64_t at = thread.at;
    if (thread.kind == Thread::Kind::kPart) {
      const Grammar::Part& part = PartOf(thread);
      if (part.kind == Grammar::PartKind::kTarget) {
        // Far from its bound a target allows the same tokens wherever it stands.
        at = part.max_bytes - thread.at > reach ? -1 : thread.at;
      } else if (part.kind != Grammar::PartKind::kLiteral) {
        return {};
      }
    }
    put(static_cast<int64_t>(thread.kind) << 48 | int64_t{thread.alternative} << 20 | thread.part);
    put(at);
    // All that a state says of the window before one of its parts is entered: what may follow an
    // op.
    put(static_cast<int64_t>(window.ViableOps(thread.floor)));
    put(std::min<int64_t>(grammar_.max_ops - thread.n_ops, reach));
    put(int64_t{thread.utf8_left} << 16 | int64_t{thread.utf8_low} << 8 | thread.utf8_high);
  }
  return key;
}

Automaton::Allowed Automaton::AllowedTokens(const State& state, const WindowText& window) {
  const std::string key = CacheKey(state, window);
  if (!key.empty()) {
    const auto found = cache_.find(key);
    if (found != cache_.end()) return {found->second, true};
  }
  touched_window_ = false;
  scratch_.clear();
  State plain;
  for (const Thread& thread : state) {
    const bool source =
        thread.kind == Thread::Kind::kPart && PartOf(thread).kind == Grammar::PartKind::kSource;
    if (source) {
      CollectSource(thread, window, scratch_);
    } else {
      plain.push_back(thread);
    }
  }
  if (!plain.empty()) Collect(VocabTrie::kRoot, plain, window, scratch_);
  if (Accepts(state)) scratch_.insert(scratch_.end(), eog_.begin(), eog_.end());
  std::sort(scratch_.begin(), scratch_.end());
  scratch_.erase(std::unique(scratch_.begin(), scratch_.end()), scratch_.end());
  if (key.empty() || touched_window_) return {scratch_, false};
  return {cache_.emplace(key, scratch_).first->second, true};
}

bool Automaton::CanCross(uint32_t node, const State& state, const WindowText& window) const {
  const auto leads = [&](uint32_t child) {
    const State next = Step(state, trie_.Byte(child), window);
    if (next.empty()) return false;
    return trie_.Token(child) >= 0 || CanCross(child, next, window);
  };
  bool any = false;
  const Bytes bytes = NextBytes(state, window, &any);
  if (any) {
    for (uint32_t child = trie_.ChildrenBegin(node); child < trie_.ChildrenEnd(node); ++child) {
      if (leads(child)) return true;
    }
    return false;
  }
  return std::any_of(bytes.begin(), bytes.end(), [&](uint8_t byte) {
    const uint32_t child = trie_.Child(node, byte);
    return child != VocabTrie::kNone && leads(child);
  });
}

size_t Automaton::SafePrefix(std::string_view forced, const Tokens& canonical, const State& after,
                             const WindowText& window) const {
  size_t begin = 0;
  for (size_t index = 0; index < canonical.size(); ++index) {
    uint32_t node = VocabTrie::kRoot;
    for (size_t at = begin; at < forced.size() && node != VocabTrie::kNone; ++at) {
      node = trie_.Child(node, static_cast<uint8_t>(forced[at]));
    }
    if (node != VocabTrie::kNone && CanCross(node, after, window)) return index;
    begin += tokenizer_.Piece(canonical[index]).size();
  }
  return canonical.size();
}

}  // namespace gristmill::engine
