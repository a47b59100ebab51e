// One pass over the bytes of a page: the words and the measures that every feature is made of.
//
// Lines end at LF. Blank lines are left out, so that neighbours are lines with something in them;
// SpreadScores gives them scores again. A word is hashed (FNV-1a, 32 bits, over UTF-16 units) in
// lower case with digits as 0; words are kept as numbers of distinct words:
//
//     words      0 1 2 | 0 | 3 1        all words, line after line
//     lines      0       3   4          first word of each line
//     distinct   the, river, was, in
//
// Bytes that are not UTF-8 are read as U+FFFD. Memory beside the text: 108 bytes a line that is not
// blank, 4 a word, 24 to 48 a distinct word.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "cancel.h"
#include "pages/interner.h"
#include "pages/logarithms.h"

namespace gristmill::pages {

// Features of a line itself, first columns of all features.
enum Own {
  kLogChars,
  kLogWords,
  kMeanWordChars,
  kLetterShare,
  kUpperShare,
  kDigitShare,
  kMarkShare,
  kCapitalWordShare,
  kNumberWordShare,
  kStopShare,
  kLogStopWords,
  kEndKind,
  kStartKind,
  kLogSentenceEnds,
  kCommasPerWord,
  kLogSeparators,
  kLogCodeMarks,
  kHasAt,
  kColons,
  kIsProse,
  kOwnFeatures,
};

// Values of kEndKind.
constexpr float kEndOther = 0;
constexpr float kEndWord = 1;
constexpr float kEndDigit = 2;
constexpr float kEndComma = 3;
constexpr float kEndColon = 4;
constexpr float kEndSentence = 5;

// What a line holds, as bits of Line::flags.
enum Flag : uint8_t {
  kHasPrice = 1,
  kHasYear = 2,
  kHasJoined = 4,  // digits on both sides of a colon, full stop, comma, hyphen or slash
  kHasUrl = 8,
  kHasQuestion = 16,
  kIsBullet = 32,
  kIsShort = 64,
};
constexpr int kFlags = 7;

// From this length on a line can be prose.
constexpr int kProseChars = 80;

struct Line {
  float own[kOwnFeatures];
  int32_t index;  // among all lines
  uint32_t first_word;
  uint32_t hash;   // of all its words, in order
  int32_t chars;   // UTF-16 units
  int32_t length;  // the same, those of unspaced scripts three times
  uint32_t shape;  // equal for lines of one form
  uint8_t flags;

  // 2 to the power of the logarithm of its length.
  double Weight() const { return PowerOfLog(length, own[kLogChars]); }
};

struct Word {
  uint32_t hash;
  uint32_t count;
  int32_t last_prose;  // of use to the features of lines; -1 here
  bool is_stop;
  bool in_several;  // as last_prose; false here
};

class PageScan {
 public:
  // Measures `text`; what was measured before is forgotten. Throws ABORTED.
  void Scan(std::span<const uint8_t> text, const CancelFlag& cancel);

  // Gives memory back that only a long page needs.
  void Trim();

  int32_t n_lines() const { return static_cast<int32_t>(lines_.size()); }
  const std::vector<Line>& lines() const { return lines_; }
  uint32_t WordsEnd(int32_t line) const {
    const auto next = static_cast<size_t>(line) + 1;
    return next < lines_.size() ? lines_[next].first_word : static_cast<uint32_t>(words_.size());
  }
  const std::vector<uint32_t>& words() const { return words_; }
  const std::vector<Word>& distinct() const { return distinct_; }
  std::vector<Word>& distinct() { return distinct_; }

  int32_t n_all_lines() const { return n_all_lines_; }
  int64_t n_units() const { return n_units_; }        // of the text, line feeds and blanks included
  int64_t n_unspaced() const { return n_unspaced_; }  // in lines that are not blank
  int64_t n_chars() const { return n_chars_; }        // in lines that are not blank

 private:
  void ScanLine(const uint8_t* at, const uint8_t* end);
  void AddWord(uint32_t hash);

  std::vector<Line> lines_;
  std::vector<uint32_t> words_;
  std::vector<Word> distinct_;
  Interner interner_;
  int32_t n_all_lines_ = 0;
  int64_t n_units_ = 0;
  int64_t n_unspaced_ = 0;
  int64_t n_chars_ = 0;
};

// Scores of all lines from the scores of those that are not blank: a blank line scores like the
// better of its neighbours, so that a break between two paragraphs stays and one inside a menu
// goes. index_of(l) is the place of scored line l among all, ascending.
template <typename IndexOf>
void SpreadScores(std::span<const float> scores, std::span<float> all, IndexOf&& index_of) {
  size_t next = 0;
  for (size_t line = 0; line < all.size(); ++line) {
    if (next < scores.size() &&
        static_cast<int64_t>(index_of(next)) == static_cast<int64_t>(line)) {
      all[line] = scores[next++];
      continue;
    }
    const float before = next > 0 ? scores[next - 1] : 0.0f;
    const float after = next < scores.size() ? scores[next] : 0.0f;
    // A page of blank lines has nothing to lose.
    all[line] = scores.empty() ? 1.0f : std::max(before, after);
  }
}

}  // namespace gristmill::pages
