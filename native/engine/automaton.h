// Byte automaton of a dialect's grammar over one window, and the tokens it allows.
//
// A state is a set of threads, each of which waits for a byte: inside a literal, a line number, a
// source string (with the positions in the window where its text so far occurs), a target string or
// a separator. Line numbers are bounded digit by digit; a source string can only continue along the
// window's text; strings end on character boundaries only. Hence every path that ends is a program
// that is valid for this window.
//
// The quotes around a source or target part belong to the literals beside it. An op whose source
// cannot be filled from this window (no line holds a usable character) is not offered, nor is a
// line number whose line has none.
//
// Ranges that ascend: a thread carries its floor, the smallest number at which the next ascending
// range may start. An op whose range has no such line left is not offered; where no op is left, no
// separator is either, so that the program ends.
//
// States without window-dependent bytes ahead have their allowed tokens cached for the life of the
// automaton.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/vocab_trie.h"
#include "text/lines.h"

namespace gristmill::engine {

// src/native/grammar.ts as plain data.
struct Grammar {
  enum class PartKind : uint8_t { kLiteral, kLineFrom, kLineTo, kSource, kTarget };
  struct Part {
    PartKind kind = PartKind::kLiteral;
    std::string text;         // literal
    bool ascending = false;   // lineFrom
    bool line_scope = false;  // source
    char quote = '"';  // source, target: never inside the text, nor is a backslash or a line break
    int32_t max_bytes = 0;  // target
  };
  std::vector<std::string> whole;
  std::vector<std::vector<Part>> ops;
  std::string separator;
  int32_t max_ops = 1;
  int32_t first_line = 0;
};

// Bytes that never stand inside a source or target string in `quote`.
inline bool IsExcluded(uint8_t byte, char quote) {
  return byte == static_cast<uint8_t>(quote) || byte == '\\' || byte == '\n' || byte == '\r';
}

// The source that a line selected by `parts[from]` must fill; null when the line may be any.
const Grammar::Part* LineSourceOf(const std::vector<Grammar::Part>& parts, size_t from);

// Throws OPTION_INVALID for a grammar that could not end or holds more than 64 ops.
void CheckGrammar(const Grammar& grammar);

// The lines of one window, shared by all states over it. Line numbers are those of the dialect:
// global over the document, starting at the grammar's first line.
class WindowText {
 public:
  WindowText(const Grammar& grammar, const std::vector<std::string_view>& lines, int32_t line_start,
             int32_t line_end);

  int32_t first_number() const { return first_number_; }
  int32_t last_number() const { return last_number_; }
  // Ops that can be completed in this window behind the floor, by bit.
  uint64_t ViableOps(int32_t floor) const;
  // True when the decimal prefix `value` can grow into a number in [low, high] that `op` may
  // select; `source`: what its line must fill, or null.
  bool CanExtend(int64_t value, int32_t low, int32_t high, const Grammar::Part* source) const;
  bool Selectable(int64_t number, const Grammar::Part* source) const;

  const std::string& text() const { return text_; }
  int32_t LineBegin(int32_t number) const { return line_begins_[number - first_number_]; }
  int32_t LineEnd(int32_t number) const { return line_begins_[number - first_number_ + 1] - 1; }
  // True when a source string may start or end at byte `at`.
  bool IsBoundary(int32_t at) const;
  // True when the byte at `at` may be part of a source string in `quote`.
  bool IsUsable(int32_t at, char quote) const;

 private:
  std::string text_;  // lines joined by LF, one LF at the end
  std::vector<int32_t> line_begins_;
  std::vector<uint8_t> usable_;  // per line: bit 0 for ", bit 1 for '
  int32_t first_number_;
  int32_t last_number_;
  uint64_t viable_ops_ = 0;  // wherever the floor is
  // Ops with an ascending range: their bit, and the largest number at which it may start.
  std::vector<std::pair<uint64_t, int32_t>> last_starts_;
};

class Automaton {
 public:
  Automaton(const Tokenizer& tokenizer, const VocabTrie& trie, Grammar grammar);

  const Grammar& grammar() const { return grammar_; }

  struct Thread {
    enum class Kind : uint8_t { kDone, kLeadSpace, kOpEnd, kSeparator, kPart };
    Kind kind = Kind::kDone;
    int16_t alternative = 0;  // ops first, then whole programs
    int16_t part = 0;
    int32_t n_ops = 0;
    int32_t at = 0;  // literal and separator: next byte; target: bytes so far; source: bytes so far
    int64_t number = -1;  // line number so far, -1 before the first digit
    int32_t line_from = -1;
    int32_t floor = 0;
    uint8_t utf8_low = 0x80;  // target: range of the next continuation byte, while utf8_left > 0
    uint8_t utf8_high = 0xBF;
    uint8_t utf8_left = 0;
    std::vector<int32_t> positions;  // source: next byte of each live match
    bool operator==(const Thread&) const = default;
  };
  using State = std::vector<Thread>;

  // At the start of a program; `allow_space` lets one space come first (SentencePiece answers start
  // with one).
  State Start(const WindowText& window, bool allow_space) const;
  // All threads that take `byte`; empty when none does.
  State Step(const State& state, uint8_t byte, const WindowText& window) const;
  State Advance(State state, std::string_view bytes, const WindowText& window) const;
  // True when the program may end here.
  static bool Accepts(const State& state);
  // True when nothing may follow.
  static bool IsFinal(const State& state);
  // The bytes that must follow, up to the next choice.
  std::string ForcedBytes(State& state, const WindowText& window) const;
  struct Allowed {
    const std::vector<llama_token>& tokens;
    bool is_kept;  // as long as the automaton; else until the next call
  };
  // Ascending ids of the tokens that keep the program valid; end-of-generation tokens where it may
  // end.
  Allowed AllowedTokens(const State& state, const WindowText& window);
  // The first tokens of `forced` that no vocabulary token could merge across its end: what may be
  // appended without asking the model. `after` is the state after all of `forced`; `canonical` its
  // tokens.
  size_t SafePrefix(std::string_view forced, const Tokens& canonical, const State& after,
                    const WindowText& window) const;

 private:
  using Bytes = std::vector<uint8_t>;
  const Grammar::Part& PartOf(const Thread& thread) const;
  void Enter(Thread thread, const WindowText& window, State& out) const;
  void StartOps(int32_t n_ops, int32_t floor, const WindowText& window, State& out) const;
  void StepThread(const Thread& thread, uint8_t byte, const WindowText& window, State& out) const;
  void StepNumber(const Thread& thread, uint8_t byte, const WindowText& window, State& out) const;
  void StepSource(const Thread& thread, uint8_t byte, const WindowText& window, State& out) const;
  void StepTarget(const Thread& thread, uint8_t byte, const WindowText& window, State& out) const;
  bool IsAscending(const Thread& thread) const;
  // Bytes the state can take; `any` when they are too many to list.
  Bytes NextBytes(const State& state, const WindowText& window, bool* any) const;
  void Collect(uint32_t node, const State& state, const WindowText& window,
               std::vector<llama_token>& out) const;
  void CollectSource(const Thread& thread, const WindowText& window, std::vector<llama_token>& out);
  bool CanCross(uint32_t node, const State& state, const WindowText& window) const;
  // The cache key of a state; empty when the window may decide what follows.
  std::string CacheKey(const State& state, const WindowText& window) const;

  const Tokenizer& tokenizer_;
  const VocabTrie& trie_;
  Grammar grammar_;
  std::vector<std::vector<Grammar::Part>> alternatives_;
  Tokens eog_;
  std::unordered_map<std::string, std::vector<llama_token>> cache_;
  std::vector<llama_token> scratch_;
  // Set when a part that depends on the window is entered or stepped: its caller's result must not
  // be cached.
  mutable bool touched_window_ = false;
  std::vector<uint32_t> seen_nodes_;  // per trie node: stamp of the walk that saw it last
  uint32_t stamp_ = 0;
};

}  // namespace gristmill::engine
