#include "pages/page_scan.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "pages/characters.h"
#include "pages/hash.h"
#include "pages/logarithms.h"
#include "pages/stop_words.h"
#include "pages/utf8_units.h"

namespace gristmill::pages {

namespace {

// State of the scan stays in registers only where its steps are not called.
#if defined(__GNUC__)
#define GRISTMILL_INLINE __attribute__((always_inline))
#else
#define GRISTMILL_INLINE
#endif

// A page that needed more than this gives it back.
constexpr size_t kKeptBytes = size_t{4} << 20;

// Counts of a line while it is read.
struct Counts {
  int32_t units = 0;
  int32_t letters = 0;
  int32_t uppers = 0;
  int32_t digits = 0;
  int32_t spaces = 0;
  int32_t unspaced = 0;
  int32_t sentence_ends = 0;
  int32_t separators = 0;
  int32_t code_marks = 0;
  int32_t commas = 0;
  int32_t capital_words = 0;
  int32_t number_words = 0;
  int32_t stop_words = 0;
  int32_t ats = 0;
  int32_t colons = 0;
  bool has_currency = false;
  bool has_question = false;
  bool has_year = false;
  bool has_joined = false;
  bool has_url = false;
  uint16_t first = 0;
  uint16_t last = 0;
};

float EndKindOf(uint16_t unit) {
  const uint8_t bits = Characters()[unit].bits;
  if ((bits & kSentenceEnd) != 0) return kEndSentence;
  if (unit == u':' || unit == 0xff1a) return kEndColon;
  if (unit == u',' || unit == u';' || unit == 0x3001) return kEndComma;
  // Closing quotes stand after the full stop as often as before it.
  if (unit == u'"' || unit == 0x201d || unit == 0x2019 || unit == 0xbb) return kEndSentence;
  if ((bits & kDigit) != 0) return kEndDigit;
  return (bits & kLetter) != 0 ? kEndWord : kEndOther;
}

// 0 marks, 1 code marks, 2 digit, 3 lower case, 4 upper case.
int StartKindOf(uint16_t unit) {
  const uint8_t bits = Characters()[unit].bits;
  if ((bits & kUpper) != 0) return 4;
  if ((bits & kLetter) != 0) return 3;
  if ((bits & kDigit) != 0) return 2;
  return (bits & kCode) != 0 ? 1 : 0;
}

// - – * • ‣ ◦ · and check marks at the start of a line.
bool IsBullet(uint16_t unit) {
  switch (unit) {
    case u'-':
    case u'*':
    case 0xb7:
    case 0x2013:
    case 0x2014:
    case 0x2022:
    case 0x2023:
    case 0x25e6:
    case 0x25aa:
    case 0x25cf:
    case 0x2713:
      return true;
    default:
      return false;
  }
}

// `:` `.` `,` `-` `/` between digits: times, prices, dates, ratings.
bool IsJoint(uint16_t unit) {
  return unit == u':' || (unit >= u',' && unit <= u'/');
}

// Lines of fewer than 40 characters are short.
const double kShortLog = std::log2(41.0);

void Measure(const Counts& counts, int32_t n_words, Line& line) {
  const auto ratio = [](double part, double whole) { return static_cast<float>(part / whole); };
  const double words = std::max(1, n_words);
  const double visible = std::max(1, counts.units - counts.spaces);
  const int64_t length = int64_t{counts.units} + 2 * int64_t{counts.unspaced};
  const bool is_prose = length >= kProseChars &&
                        (counts.stop_words >= 3 || counts.commas >= 2 || counts.sentence_ends >= 1);
  const float end = EndKindOf(counts.last);
  const int start = StartKindOf(counts.first);
  float* own = line.own;
  own[kLogChars] = LogOf(length);
  own[kLogWords] = LogOf(n_words);
  own[kMeanWordChars] = ratio(double(counts.letters) + counts.digits, words);
  own[kLetterShare] = ratio(counts.letters, visible);
  own[kUpperShare] = ratio(counts.uppers, std::max(1, counts.letters));
  own[kDigitShare] = ratio(counts.digits, visible);
  own[kMarkShare] = ratio(visible - counts.letters - counts.digits, visible);
  own[kCapitalWordShare] = ratio(counts.capital_words, words);
  own[kNumberWordShare] = ratio(counts.number_words, words);
  own[kStopShare] = ratio(counts.stop_words, words);
  own[kLogStopWords] = LogOf(counts.stop_words);
  own[kEndKind] = end;
  own[kStartKind] = static_cast<float>(start);
  own[kLogSentenceEnds] = LogOf(counts.sentence_ends);
  own[kCommasPerWord] = ratio(counts.commas, words);
  own[kLogSeparators] = LogOf(counts.separators);
  own[kLogCodeMarks] = LogOf(counts.code_marks);
  own[kHasAt] = counts.ats > 0 ? 1.0f : 0.0f;
  own[kColons] = static_cast<float>(std::min(4, counts.colons));
  own[kIsProse] = is_prose ? 1.0f : 0.0f;

  line.chars = counts.units;
  line.length = static_cast<int32_t>(length);
  line.flags = static_cast<uint8_t>(
      (counts.has_currency ? kHasPrice : 0) | (counts.has_year ? kHasYear : 0) |
      (counts.has_joined ? kHasJoined : 0) | (counts.has_url ? kHasUrl : 0) |
      (counts.has_question ? kHasQuestion : 0) | (IsBullet(counts.first) ? kIsBullet : 0) |
      (double{own[kLogChars]} < kShortLog ? kIsShort : 0));

  const auto size = static_cast<uint32_t>(std::floor(double{own[kLogChars]} * 1.5 + 0.5));
  const uint32_t some = n_words > 12 ? 13 : n_words > 6 ? 7 : n_words > 3 ? 4 : n_words;
  const uint32_t marks = (counts.digits > 0 ? 1u : 0u) | (counts.has_currency ? 2u : 0u) |
                         (counts.separators > 0 ? 4u : 0u) | (counts.has_joined ? 8u : 0u);
  line.shape = (((std::min(15u, size) * 16 + some) * 8 + static_cast<uint32_t>(start)) * 8 +
                static_cast<uint32_t>(end)) *
                   16 +
               marks;
}

}  // namespace

void PageScan::Scan(std::span<const uint8_t> text, const CancelFlag& cancel) {
  lines_.clear();
  words_.clear();
  distinct_.clear();
  interner_.Reset(text.size() / 12);
  n_all_lines_ = 0;
  n_units_ = 0;
  n_unspaced_ = 0;
  n_chars_ = 0;
  const uint8_t* at = text.data();
  const uint8_t* const end = at + text.size();
  for (;;) {
    const void* found = at < end ? std::memchr(at, '\n', static_cast<size_t>(end - at)) : nullptr;
    ScanLine(at, found == nullptr ? end : static_cast<const uint8_t*>(found));
    ++n_all_lines_;
    if (n_all_lines_ % 1024 == 0) cancel.Check();
    if (found == nullptr) return;
    at = static_cast<const uint8_t*>(found) + 1;
    ++n_units_;
  }
}

void PageScan::Trim() {
  if (lines_.capacity() * sizeof(Line) > kKeptBytes) std::vector<Line>().swap(lines_);
  if (words_.capacity() * sizeof(uint32_t) > kKeptBytes) std::vector<uint32_t>().swap(words_);
  if (distinct_.capacity() * sizeof(Word) > kKeptBytes) {
    std::vector<Word>().swap(distinct_);
    interner_.Release();
  }
}

void PageScan::AddWord(uint32_t hash) {
  const uint32_t number = interner_.Add(hash);
  if (number == distinct_.size()) {
    distinct_.push_back({hash, 0, -1, IsStopWord(hash), false});
  }
  ++distinct_[number].count;
  words_.push_back(number);
}

void PageScan::ScanLine(const uint8_t* at, const uint8_t* end) {
  if (at == end) return;
  const Character* const characters = Characters().data();
  const auto first_word = static_cast<uint32_t>(words_.size());
  Counts counts;
  // The last two units, spaces included.
  uint16_t before = 0;
  uint16_t before_that = 0;
  uint32_t hash = kFnvBase;
  uint32_t word_length = 0;
  bool is_capital = false;
  bool is_number = true;
  uint32_t number = 0;

  const auto close_word = [&]() GRISTMILL_INLINE {
    if (word_length == 0) return;
    if (is_capital) ++counts.capital_words;
    if (is_number) {
      ++counts.number_words;
      if (word_length == 4 && number >= 1900 && number < 2100) counts.has_year = true;
    }
    AddWord(hash);
    word_length = 0;
  };
  const auto see_digit = [&](uint8_t bits) GRISTMILL_INLINE {
    if ((bits & kDigit) != 0 && IsJoint(before) && (characters[before_that].bits & kDigit) != 0) {
      counts.has_joined = true;
    }
  };
  const auto count_word_unit = [&](const Character& character) {
    counts.letters += character.bits & kLetter;
    counts.uppers += (character.bits & kUpper) >> 1;
    counts.digits += (character.bits & kDigit) >> 2;
  };
  const auto see_mark = [&](const Character& character) GRISTMILL_INLINE {
    const uint8_t bits = character.bits;
    if (character.plain == u'/' && before == u'/' && before_that == u':') {
      counts.has_url = true;
    } else if (character.plain == u'.' && before == u'w' && before_that == u'w') {
      counts.has_url = true;
    }
    if ((bits & kSpace) != 0) {
      ++counts.spaces;
      if (character.mark == kTab) ++counts.separators;
      return;
    }
    if (counts.first == 0) counts.first = character.plain;
    counts.last = character.plain;
    if ((bits & kSentenceEnd) != 0) {
      ++counts.sentence_ends;
    } else if (character.mark == kComma) {
      ++counts.commas;
    } else if (character.mark == kColon) {
      ++counts.colons;
    } else if ((bits & kSeparator) != 0) {
      ++counts.separators;
    }
    if (character.mark == kAt) ++counts.ats;
    if (character.mark == kQuestion) counts.has_question = true;
    if (character.mark == kCurrency) counts.has_currency = true;
    if ((bits & kCode) != 0) ++counts.code_marks;
  };
  // A unit; words of ASCII letters are taken whole by the loop below.
  const auto take = [&](const Character& character) GRISTMILL_INLINE {
    const uint8_t bits = character.bits;
    ++counts.units;
    if ((bits & (kLetter | kDigit)) == 0) {
      close_word();
      see_mark(character);
    } else if ((bits & kUnspaced) != 0) {
      close_word();
      see_digit(bits);
      count_word_unit(character);
      ++counts.unspaced;
      if (counts.first == 0) counts.first = character.plain;
      counts.last = character.plain;
      AddWord(HashUnit(kFnvBase, character.folded));
    } else {
      if (word_length == 0) {
        see_digit(bits);
        hash = kFnvBase;
        is_capital = (bits & kUpper) != 0;
        is_number = true;
        number = 0;
        if (counts.first == 0) counts.first = character.plain;
      }
      counts.last = character.plain;
      count_word_unit(character);
      if ((bits & kDigit) == 0) {
        is_number = false;
      } else if (word_length < 4) {
        number = number * 10 + (uint32_t{character.plain} - u'0');
      }
      hash = HashUnit(hash, character.folded);
      ++word_length;
    }
    before_that = before;
    before = character.plain;
  };

  while (at < end) {
    if (*at < 0x80) {
      if (*at == ' ') {
        // The commonest unit by far.
        close_word();
        ++at;
        ++counts.units;
        ++counts.spaces;
        before_that = before;
        before = u' ';
        continue;
      }
      take(characters[*at++]);
      if (word_length == 0) continue;
      // The rest of a word in ASCII.
      const uint8_t* const rest = at;
      uint32_t letters = 0;
      uint32_t uppers = 0;
      while (at < end && *at < 0x80) {
        const Character& character = characters[*at];
        if ((character.bits & (kLetter | kDigit)) == 0) break;
        if ((character.bits & kDigit) != 0 && word_length + (at - rest) < 4) {
          number = number * 10 + (uint32_t{character.plain} - u'0');
        }
        hash = HashUnit(hash, character.folded);
        letters += character.bits & kLetter;
        uppers += character.bits & kUpper;
        ++at;
      }
      const auto taken = static_cast<uint32_t>(at - rest);
      if (taken == 0) continue;
      word_length += taken;
      counts.units += static_cast<int32_t>(taken);
      counts.letters += static_cast<int32_t>(letters);
      counts.uppers += static_cast<int32_t>(uppers / kUpper);
      counts.digits += static_cast<int32_t>(taken - letters);
      if (letters > 0) is_number = false;
      before_that = taken > 1 ? at[-2] : before;
      before = at[-1];
      counts.last = before;
      continue;
    }
    const DecodedUnits decoded = DecodeUnits(at, end);
    at += decoded.length;
    take(characters[decoded.first]);
    if (decoded.second != 0) take(characters[decoded.second]);
  }
  close_word();
  n_units_ += counts.units;
  if (counts.spaces == counts.units) return;
  n_unspaced_ += counts.unspaced;
  n_chars_ += counts.units;

  const auto n_words = static_cast<uint32_t>(words_.size()) - first_word;
  uint32_t line_hash = n_words;
  for (size_t word = first_word; word < words_.size(); ++word) {
    const Word& own = distinct_[words_[word]];
    line_hash = MixHashes(line_hash, own.hash);
    counts.stop_words += own.is_stop ? 1 : 0;
  }
  Line& line = lines_.emplace_back();
  line.index = n_all_lines_;
  line.first_word = first_word;
  line.hash = line_hash;
  Measure(counts, static_cast<int32_t>(n_words), line);
}

}  // namespace gristmill::pages
