// What becomes of a page whose lines are scored: which stretches of lines go, the program that says
// so, and the text that is left. What the strict executor of src/program makes of the same verdict
// (strict.ts) is the oracle, byte for byte.
//
// Lines below the threshold go, where enough speaks against them together. A page that keeps too
// few of its words is dropped, or kept whole. Words are runs between white space (the set of
// Python's str.split); in scripts without spaces a run has several, which only the segmenter of
// JavaScript finds: a page whose fate hangs on them is kUndecided, and the executor's.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace gristmill::pages {

// How removals are spelt in a run's dialect.
struct RemovalSpelling {
  std::string keep;  // where no line goes
  std::string before;
  std::string between;
  std::string after;
  int32_t start_shift = 0;  // added to the first line, and to one past the last
  int32_t end_shift = 0;
};

struct RemovalRules {
  // Lines of lower probability go,
  double threshold = 0;
  // where their log-odds of "remove", as far as above 0, have at least this sum.
  double least_evidence = 0;
  // What is left must have more than this share of the words, and at least so many.
  double min_kept_ratio = 0;
  double min_words = 0;
  RemovalSpelling spelling;
};

// In the order of PAGE_FATES of src/native/lines.ts.
enum class Fate : uint8_t {
  kKept,
  kEdited,
  kFell,            // below the threshold of documents
  kAllRemoved,      // every line goes, or all that the lines of a page without a word held
  kTooMuchRemoved,  // of its words
  kTooFewWords,
  kUndecided,
};

struct Removal {
  Fate fate = Fate::kFell;
  std::vector<int32_t> stretches;  // first line and one past the last, of each
  std::vector<int32_t> bytes;      // of each stretch, a line feed behind the last line included
  std::string program;
  int32_t n_left = 0;  // bytes of the text that is left; of edited pages
};

// Judges a page by the scores of all of its lines. What is left of an edited one is written to
// `into`, which has room for the whole page.
Removal RemoveLines(std::span<const uint8_t> text, std::span<const float> scores,
                    const RemovalRules& rules, uint8_t* into);

}  // namespace gristmill::pages
