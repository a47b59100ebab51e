// A regression and trees above it: two opinions on every line of a page, or on a document.
//
//     words, features ── regression ──► first log-odds ──┐
//                        features ────────────────────── ┴─► trees ──► second log-odds
//
// The trees see the regression's log-odds of the lines around (logit_features.h). Sums have one
// order, that of columns, words and trees, and are of doubles: a row's log-odds do not depend on
// the rows beside it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "pages/kernels.h"
#include "pages/line_features.h"

namespace gristmill::pages {

// Cut points of each feature; a value's bin is the number of cuts that are not above it.
struct Bins {
  int32_t n_features = 0;
  int32_t max_bins = 0;
  std::vector<int32_t> starts;  // [n_features + 1]
  std::vector<float> cuts;      // ascending within a feature, fewer than max_bins of each

  // From the number of cuts of each feature. Throws OPTION_INVALID naming `name`.
  static Bins From(const char* name, int32_t max_bins, std::span<const int32_t> counts,
                   std::span<const float> cuts);

  std::span<const float> CutsOf(int32_t feature) const {
    const auto begin = static_cast<size_t>(starts[static_cast<size_t>(feature)]);
    const auto end = static_cast<size_t>(starts[static_cast<size_t>(feature) + 1]);
    return {cuts.data() + begin, end - begin};
  }
};

// Bins of `count` values.
void BinValues(std::span<const float> cuts, const float* values, int32_t count, int32_t* bins);

// Scale of a line's words: they share one unit of influence, else long lines were decided by their
// length.
double WordScale(int64_t n_words);

// Weights of a regression over bins and hashed words.
struct Regression {
  Bins bins;
  std::span<const float> word_weights;  // a power of two of them
  std::span<const float> bin_weights;   // [n_features x max_bins]

  // Throws OPTION_INVALID when sizes do not fit.
  void Check() const;
  uint32_t word_mask() const { return static_cast<uint32_t>(word_weights.size() - 1); }

  // Sums of the weights of the bins that `count` rows fall in; columns as in line_features.h.
  void SumBins(const float* columns, int32_t count, double* sums) const;
};

// Trees as a model's file has them.
struct TreeArrays {
  double base = 0;
  std::span<const int32_t> tree_starts;
  std::span<const uint16_t> features;
  std::span<const uint8_t> cuts;
  std::span<const int16_t> lefts;
  std::span<const int16_t> rights;
  std::span<const int32_t> leaf_starts;
  std::span<const float> leaves;
};

// Boosted trees over columns of values. A block of lines goes down a tree together: each node
// parts the set of lines that reach it, as bits, by one comparison of a column.
class Trees {
 public:
  // Throws OPTION_INVALID when a walk could leave the arrays.
  static Trees From(const TreeArrays& arrays, const Bins& bins);

  int32_t n_features() const { return n_features_; }

  // Log-odds of `count` rows, at most kBlock.
  void Score(const float* columns, int32_t count, float* logits) const;

 private:
  double base_ = 0;
  int32_t n_features_ = 0;
  uint32_t most_nodes_ = 0;
  std::vector<TreeSpan> trees_;
  std::vector<TreeNode> nodes_;
  std::vector<float> leaves_;
};

}  // namespace gristmill::pages
