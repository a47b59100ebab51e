// A first model's log-odds around each line, as columns for a second model: a line between sure
// content is content (stacked sequential learning: Cohen and Carvalho 2005).
//
// Columns: the line's own log-odds; those of the lines at −4..−1 and 1..4; means and maxima over
// windows; the page's mean and best; the place of the line in the page's order; where the stretch
// with the largest sum lies. What Measure keeps takes
// 32 bytes a line, and 16 more while it sorts.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "pages/best_stretch.h"
#include "pages/line_features.h"

namespace gristmill::pages {

constexpr int kLogitFeatures = 1 + 8 + 8 + 12;
// Log-odds further out say no more.
constexpr float kLogitBound = 8;

class LogitFeatures {
 public:
  // `weights`: characters of each line, and one. `LengthOf(line)`.
  void Measure(std::span<const float> logits, std::span<const double> weights);

  // The columns of lines [first, first + count); in any order.
  void Fill(int32_t first, int32_t count, Columns columns) const;

  void Trim();

 private:
  void RankLines();

  std::vector<float> clamped_;
  std::vector<double> sums_;       // of log-odds before each line, and of all
  std::vector<double> char_sums_;  // of the characters expected to be content
  std::vector<int32_t> ranks_;     // how many lines have smaller log-odds
  std::vector<int32_t> last_sure_;
  std::vector<int32_t> next_sure_;
  double chars_ = 0;
  float largest_ = 0;
  BestStretch<double> stretch_;  // of log-odds
  std::vector<uint64_t> keys_;
  std::vector<uint64_t> spare_;
};

}  // namespace gristmill::pages
