// What can be counted about each line of a page: its shape, its place, its repetition, its
// neighbours.
//
// These are the classic cues of boilerplate removal (text and stop-word density of a block and of
// the blocks around it: Kohlschütter et al. 2010, Pomikálek 2011; the stretch of the page that
// holds the text: Pasternack and Roth 2009). All depend on the lines alone; language and URL are
// not needed. Names of the columns: src/lines/feature-names.ts.
//
// A line is prose when it is at least 80 characters long (characters of unspaced scripts count
// three times) and has three stop words, two commas or a sentence end. Logarithms are log2(1 + n).
//
// Columns are made for a block of lines at a time, so that a long page needs no table of them;
// what Measure keeps takes 56 bytes a line.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "pages/best_stretch.h"
#include "pages/interner.h"
#include "pages/page_scan.h"

namespace gristmill::pages {

constexpr int kPlaceFeatures = 21;
constexpr int kNeighbourFeatures = 6 * 5;
constexpr int kWindowFeatures = 6 * 7;
constexpr int kStructureFeatures = 13 + 3 * kFlags;
constexpr int kLineFeatures =
    kOwnFeatures + kPlaceFeatures + kNeighbourFeatures + kWindowFeatures + kStructureFeatures;

// Lines of a block.
constexpr int32_t kBlock = 32;

// Columns of a block: value of line `l` in column `c` at [c * kBlock + l].
using Columns = float*;

class LineFeatures {
 public:
  // What is said of the page as a whole, and of lines that are alike.
  void Measure(PageScan& scan);

  // The columns of lines [first, first + count) of the page that was measured; blocks are asked for
  // in order, from the first one, after Measure or Rewind.
  void Rewind();
  void Fill(const PageScan& scan, int32_t first, int32_t count, Columns columns);

  void Trim();

  // For the features of documents.
  bool IsFirstCopy(int32_t line) const { return to_copy_[static_cast<size_t>(line)] < 0; }
  float repeated_triples() const { return repeated_triples_; }
  float distinct_shapes() const { return distinct_shapes_; }

 private:
  void MeasureProse(const PageScan& scan);
  void MeasureTopic(PageScan& scan);
  void MeasureCopies(const PageScan& scan);
  void MeasureStructure(const PageScan& scan);
  // Number of each key's equals, into `counts`; returns how many different ones there are.
  template <typename KeyOf>
  uint32_t CountEquals(size_t n_lines, KeyOf&& key_of, std::vector<uint32_t>& counts);

  void FillOwn(const PageScan& scan, int32_t first, int32_t count, Columns columns);
  void FillPlace(const PageScan& scan, int32_t first, int32_t count, Columns columns);
  void FillNeighbours(const PageScan& scan, int32_t first, int32_t count, Columns columns);
  void FillWindows(const PageScan& scan, int32_t first, int32_t count, Columns columns);
  void FillStructure(const PageScan& scan, int32_t first, int32_t count, Columns columns);

  // Of the page.
  int64_t page_chars_ = 0;
  int64_t page_prose_ = 0;
  double sum_log_chars_ = 0;
  BestStretch<int64_t> stretch_;  // of prose
  float repeated_triples_ = 0;
  float distinct_shapes_ = 0;

  // By line.
  std::vector<uint32_t> n_copies_;  // lines of the same words
  std::vector<int32_t> to_copy_;    // lines back to the last of them; -1 for none
  std::vector<float> topic_share_;
  std::vector<int32_t> next_prose_;  // the next line of prose behind it; -1 for none
  std::vector<uint32_t> short_run_;  // length of its run of short lines; 0 for others
  std::vector<uint32_t> shape_copies_;
  std::vector<uint32_t> pair_copies_;
  std::vector<uint32_t> triple_copies_;
  std::vector<uint32_t> five_copies_;
  std::vector<int32_t> to_last_;
  std::vector<int32_t> to_next_;
  std::vector<uint32_t> shape_run_;

  // Between two blocks.
  int64_t chars_before_ = 0;
  int64_t prose_before_ = 0;
  int32_t last_prose_ = -1;
  static constexpr int kWindowSignals = 7;
  std::array<double, kWindowSignals> sums_before_{};  // before the first line that a window sees

  Interner interner_;
  std::vector<uint32_t> numbers_;
  std::vector<uint32_t> totals_;
};

}  // namespace gristmill::pages
