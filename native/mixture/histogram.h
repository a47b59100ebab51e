// Histograms of a leaf, all domains side by side, and the search for its best split.
//
//   values[bin][0][lane]  sum of gradients   lane = domain, padded to whole vectors
//   values[bin][1][lane]  number of runs
//
// So a step of the search is one vector over the domains, without branches.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gristmill::mixture {

inline constexpr size_t kHistogramLanes = 8;

struct LeafTotals {
  double gradient = 0;
  double count = 0;
};

struct Split {
  double gain = 0;  // decrease of the squared error; 0 when there is none
  int32_t domain = -1;
  int32_t bin = 0;  // bins up to this one go left
  LeafTotals left;
};

// `n_lanes` is a multiple of kHistogramLanes; lanes of no domain are empty and never win.
Split BestSplit(const double* histogram, size_t n_bins, size_t n_lanes, const LeafTotals& totals,
                double min_leaf);

// target = parent - child, over `count` values.
void SubtractHistogram(const double* parent, const double* child, double* target, size_t count);

}  // namespace gristmill::mixture
