#include "pages/line_removal.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <string_view>

namespace gristmill::pages {

namespace {

constexpr double kAll = std::numeric_limits<double>::infinity();
// Characters of scripts without spaces have three bytes or more, and begin with one of these.
constexpr uint8_t kThreeByteLead = 0xE0;

// 1 for white space of one byte, 2 for the first byte of longer white space, else 0.
constexpr std::array<uint8_t, 256> SpaceKinds() {
  std::array<uint8_t, 256> kinds{};
  for (const int code : {9, 10, 11, 12, 13, 28, 29, 30, 31, 32}) {
    kinds[static_cast<size_t>(code)] = 1;
  }
  // U+0085 U+00A0 | U+1680 | U+2000..200A U+2028 U+2029 U+202F U+205F | U+3000
  for (const int lead : {0xC2, 0xE1, 0xE2, 0xE3}) kinds[static_cast<size_t>(lead)] = 2;
  return kinds;
}
constexpr std::array<uint8_t, 256> kSpaceKinds = SpaceKinds();

// Bytes of the white space of two or three bytes that begins at `at`, or 0.
size_t LongSpace(const uint8_t* at, const uint8_t* end) {
  const auto byte = [&](int offset) -> int { return end - at > offset ? at[offset] : -1; };
  const int second = byte(1);
  const int third = byte(2);
  switch (*at) {
    case 0xC2:
      return second == 0x85 || second == 0xA0 ? 2 : 0;
    case 0xE1:
      return second == 0x9A && third == 0x80 ? 3 : 0;
    case 0xE3:
      return second == 0x80 && third == 0x80 ? 3 : 0;
    default:
      if (second == 0x81) return third == 0x9F ? 3 : 0;
      if (second != 0x80) return 0;
      return (third >= 0x80 && third <= 0x8A) || third == 0xA8 || third == 0xA9 || third == 0xAF
                 ? 3
                 : 0;
  }
}

// Words, each run counted once; runs may have more where `is_exact` is false.
struct WordCount {
  double n_words = 0;
  bool is_exact = true;

  // Counts on, up to `limit`. A word of `text` ends with it.
  void Add(std::span<const uint8_t> text, double limit) {
    const uint8_t* at = text.data();
    const uint8_t* const end = at + text.size();
    bool in_run = false;
    while (at < end) {
      const uint8_t kind = kSpaceKinds[*at];
      const size_t width = kind < 2 ? kind : LongSpace(at, end);
      if (width > 0) {
        in_run = false;
        at += width;
        continue;
      }
      if (!in_run) {
        if (n_words >= limit) return;
        ++n_words;
        in_run = true;
      }
      if (*at >= kThreeByteLead) is_exact = false;
      ++at;
    }
  }
};

// The most words that a text of so many bytes can have.
double MaxWords(size_t n_bytes) {
  return std::floor((static_cast<double>(n_bytes) + 1) / 2);
}

struct Range {
  size_t begin;
  size_t end;
};

// How much speaks against the lines below a threshold.
double EvidenceAgainst(std::span<const float> scores, double threshold) {
  double evidence = 0;
  for (const float own : scores) {
    const auto score = static_cast<double>(own);
    if (score < threshold) evidence += std::max(0.0, std::log((1 - score) / score));
  }
  return evidence;
}

void Spell(const RemovalSpelling& spelling, Removal& removal) {
  if (removal.stretches.empty()) {
    removal.program = spelling.keep;
    return;
  }
  for (size_t at = 0; at < removal.stretches.size(); at += 2) {
    if (at > 0) removal.program += '\n';
    removal.program += spelling.before;
    removal.program += std::to_string(int64_t{removal.stretches[at]} + spelling.start_shift);
    removal.program += spelling.between;
    removal.program += std::to_string(int64_t{removal.stretches[at + 1]} + spelling.end_shift);
    removal.program += spelling.after;
  }
}

// What the words that are left make of the page: kEdited, or why not.
Fate JudgeWords(std::span<const uint8_t> text, std::span<const Range> kept, const Removal& removal,
                const RemovalRules& rules) {
  const double ratio = rules.min_kept_ratio;
  // Words to keep so that the ratio holds whatever the page has of them, or whatever has gone.
  double n_lost = 0;
  for (const int32_t bytes : removal.bytes) n_lost += MaxWords(static_cast<size_t>(bytes)) + 3;
  const double enough_of_all = std::floor(ratio * MaxWords(text.size())) + 1;
  const double enough_of_lost = std::floor(ratio * n_lost / (1 - ratio)) + 1;
  const double enough = std::min(enough_of_all, enough_of_lost);
  const double limit = std::max(enough, rules.min_words);
  WordCount left;
  for (const Range& range : kept) {
    if (left.n_words >= limit) break;
    left.Add(text.subspan(range.begin, range.end - range.begin), limit);
  }
  WordCount all;
  if (left.n_words < limit) {
    if (!left.is_exact) return Fate::kUndecided;
    if (left.n_words < enough) {
      all.Add(text, kAll);
      if (!all.is_exact) return Fate::kUndecided;
      if (all.n_words > 0 && left.n_words <= ratio * all.n_words) return Fate::kTooMuchRemoved;
    }
    if (left.n_words < rules.min_words) return Fate::kTooFewWords;
  }
  if (left.n_words > 0) return Fate::kEdited;
  // Of a page that has no word either all that it held went.
  WordCount any;
  any.Add(text, 1);
  return any.n_words == 0 ? Fate::kAllRemoved : Fate::kEdited;
}

}  // namespace

Removal RemoveLines(std::span<const uint8_t> text, std::span<const float> scores,
                    const RemovalRules& rules, uint8_t* into) {
  Removal removal;
  removal.fate = Fate::kKept;
  const auto goes = [&](size_t line) {
    return static_cast<double>(scores[line]) < rules.threshold;
  };
  const bool is_acted_on =
      rules.least_evidence <= 0 || EvidenceAgainst(scores, rules.threshold) >= rules.least_evidence;
  for (size_t line = 0; is_acted_on && line < scores.size(); ++line) {
    if (!goes(line)) continue;
    const size_t first = line;
    while (line < scores.size() && goes(line)) ++line;
    removal.stretches.push_back(static_cast<int32_t>(first));
    removal.stretches.push_back(static_cast<int32_t>(line));
  }
  Spell(rules.spelling, removal);
  if (removal.stretches.empty()) return removal;

  // Where the stretches lie; past the last line a line feed is made believe.
  std::vector<Range> kept;
  size_t line = 0;
  size_t at = 0;
  const auto go_to = [&](size_t wanted) {
    for (; line < wanted; ++line) {
      const void* const found =
          at < text.size() ? std::memchr(text.data() + at, '\n', text.size() - at) : nullptr;
      at = found == nullptr
               ? text.size() + 1
               : static_cast<size_t>(static_cast<const uint8_t*>(found) - text.data()) + 1;
    }
  };
  size_t kept_from = 0;
  for (size_t stretch = 0; stretch < removal.stretches.size(); stretch += 2) {
    go_to(static_cast<size_t>(removal.stretches[stretch]));
    if (at > kept_from) kept.push_back({kept_from, at});
    const size_t from = at;
    go_to(static_cast<size_t>(removal.stretches[stretch + 1]));
    removal.bytes.push_back(static_cast<int32_t>(at - from));
    kept_from = at;
  }
  if (kept_from <= text.size()) {
    kept.push_back({kept_from, text.size()});
  } else if (kept.empty()) {
    // The last line has no line feed of its own.
    --removal.bytes.back();
    removal.fate = Fate::kAllRemoved;
    return removal;
  } else {
    // The last line is gone: so is the line feed before it.
    --kept.back().end;
  }
  removal.fate = JudgeWords(text, kept, removal, rules);
  if (removal.fate != Fate::kEdited) return removal;
  uint8_t* to = into;
  for (const Range& range : kept) {
    if (range.end == range.begin) continue;
    to = std::copy(text.begin() + static_cast<ptrdiff_t>(range.begin),
                   text.begin() + static_cast<ptrdiff_t>(range.end), to);
  }
  removal.n_left = static_cast<int32_t>(to - into);
  return removal;
}

}  // namespace gristmill::pages
