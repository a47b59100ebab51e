// What a grammar must satisfy, and the lines of one window as the automaton sees them.
#include <algorithm>

#include "engine/automaton.h"
#include "error.h"

namespace gristmill::engine {

namespace {

constexpr size_t kMaxOps = 64;  // bits of the viability mask

[[noreturn]] void InvalidGrammar(const std::string& expected, const std::string& received) {
  throw CodedError("OPTION_INVALID",
                   {{"option", "grammar"}, {"expected", expected}, {"received", received}});
}

bool IsContinuation(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0) == 0x80;
}

}  // namespace

const Grammar::Part* LineSourceOf(const std::vector<Grammar::Part>& parts, size_t from) {
  for (size_t part = from + 1; part < parts.size(); ++part) {
    if (parts[part].kind == Grammar::PartKind::kLineFrom) return nullptr;
    if (parts[part].kind == Grammar::PartKind::kSource && parts[part].line_scope)
      return &parts[part];
  }
  return nullptr;
}

void CheckGrammar(const Grammar& grammar) {
  if (grammar.ops.size() > kMaxOps)
    InvalidGrammar("at most 64 ops", std::to_string(grammar.ops.size()));
  if (grammar.max_ops < 1) InvalidGrammar("maxOps of at least 1", std::to_string(grammar.max_ops));
  if (grammar.max_ops > 1 && !grammar.ops.empty() && grammar.separator.empty()) {
    InvalidGrammar("a separator", "none");
  }
  for (const std::string& whole : grammar.whole) {
    if (whole.empty()) InvalidGrammar("non-empty whole programs", "an empty one");
  }
  bool always = !grammar.whole.empty();
  for (const auto& op : grammar.ops) {
    bool selected = false;
    bool sourced = false;
    bool bytes = false;
    int32_t n_ascending = 0;
    for (const auto& part : op) {
      const bool line_bound = part.kind == Grammar::PartKind::kLineTo ||
                              (part.kind == Grammar::PartKind::kSource && part.line_scope);
      if (line_bound && !selected) InvalidGrammar("lineFrom before parts that refer to it", "none");
      n_ascending += part.ascending ? 1 : 0;
      selected = selected || part.kind == Grammar::PartKind::kLineFrom;
      sourced = sourced || part.kind == Grammar::PartKind::kSource;
      bytes = bytes || part.kind != Grammar::PartKind::kLiteral || !part.text.empty();
      if (part.max_bytes < 0)
        InvalidGrammar("maxBytes of at least 0", std::to_string(part.max_bytes));
    }
    if (n_ascending > 1) {
      // The second could start behind the last line of the first, which is known too late.
      InvalidGrammar("at most one ascending lineFrom in an op", std::to_string(n_ascending));
    }
    if (!bytes) InvalidGrammar("ops with at least one byte", "an empty op");
    always = always || !sourced;
  }
  if (!always) InvalidGrammar("a program that every window allows", "only ops with a source");
}

// ---- the window
// ----------------------------------------------------------------------------------------------

WindowText::WindowText(const Grammar& grammar, const std::vector<std::string_view>& lines,
                       int32_t line_start, int32_t line_end)
    : first_number_(line_start + grammar.first_line),
      last_number_(line_end - 1 + grammar.first_line) {
  uint8_t usable_anywhere = 0;
  for (int32_t line = line_start; line < line_end; ++line) {
    line_begins_.push_back(static_cast<int32_t>(text_.size()));
    text_ += lines[static_cast<size_t>(line)];
    text_ += '\n';
    uint8_t usable = 0;
    for (const char byte : lines[static_cast<size_t>(line)]) {
      if (!IsExcluded(static_cast<uint8_t>(byte), '"')) usable |= 1;
      if (!IsExcluded(static_cast<uint8_t>(byte), '\'')) usable |= 2;
      if (usable == 3) break;
    }
    usable_.push_back(usable);
    usable_anywhere |= usable;
  }
  line_begins_.push_back(static_cast<int32_t>(text_.size()));
  for (size_t op = 0; op < grammar.ops.size(); ++op) {
    bool viable = true;
    for (const auto& part : grammar.ops[op]) {
      if (part.kind != Grammar::PartKind::kSource) continue;
      viable = viable && (usable_anywhere & (part.quote == '"' ? 1 : 2)) != 0;
    }
    if (viable) viable_ops_ |= uint64_t{1} << op;
    const auto& parts = grammar.ops[op];
    for (size_t part = 0; part < parts.size(); ++part) {
      if (!parts[part].ascending) continue;
      int32_t last = last_number_;
      while (last >= first_number_ && !Selectable(last, LineSourceOf(parts, part))) --last;
      last_starts_.emplace_back(uint64_t{1} << op, last);
    }
  }
}

uint64_t WindowText::ViableOps(int32_t floor) const {
  uint64_t viable = viable_ops_;
  for (const auto& [bit, last] : last_starts_) {
    if (floor > last) viable &= ~bit;
  }
  return viable;
}

bool WindowText::Selectable(int64_t number, const Grammar::Part* source) const {
  if (number < first_number_ || number > last_number_) return false;
  if (source == nullptr) return true;
  return (usable_[number - first_number_] & (source->quote == '"' ? 1 : 2)) != 0;
}

bool WindowText::CanExtend(int64_t value, int32_t low, int32_t high,
                           const Grammar::Part* source) const {
  if (value == 0) return false;  // no leading zeros
  int64_t from = value;
  int64_t to = value;
  while (from <= high / 10) {
    from *= 10;
    to = to * 10 + 9;
    const int64_t begin = std::max<int64_t>(from, low);
    const int64_t end = std::min<int64_t>(to, high);
    for (int64_t number = begin; number <= end; ++number) {
      if (Selectable(number, source)) return true;
    }
  }
  return false;
}

bool WindowText::IsBoundary(int32_t at) const {
  return !IsContinuation(text_[at]);
}

bool WindowText::IsUsable(int32_t at, char quote) const {
  return !IsExcluded(static_cast<uint8_t>(text_[at]), quote);
}

// ---- stepping
// ------------------------------------------------------------------------------------------------

}  // namespace gristmill::engine
