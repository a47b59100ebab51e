// The best split of one leaf, searched over its runs in the order of their weights.
//
// Every domain of a leaf has a list of the runs that have some of it, highest bin first; runs of
// bin 0 (mostly those with none of the domain) are in no list. A prefix of a list is the right side
// of a split:
//
//   entry = run << 8 | bin      [bin 9, run 4] [bin 9, run 7] [bin 3, run 0] [bin 2, run 5]
//                                              ^ split: bins up to 3 go left
//
// So a leaf costs what it holds, however many bins there are: with some hundred runs most bins of a
// histogram are empty. Sums have one fixed order, and products are not fused with sums: the same
// trees on every processor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace gristmill::mixture {

using Entry = uint32_t;
inline constexpr size_t kMaxRuns = size_t{1} << 24;  // what an entry can name

struct LeafTotals {
  double gradient = 0;
  double count = 0;
};

struct Split {
  double gain = 0;  // decrease of the squared error; 0 when there is none
  int32_t domain = -1;
  int32_t bin = 0;  // bins up to this one go left
  LeafTotals right;
};

// What the first n runs of a list are weighed with: gain = (gradient - means[n - 1])² factors[n -
// 1]; the factor is 0 where a side would be smaller than `min_leaf`.
struct SplitTerms {
  std::vector<double> means;
  std::vector<double> factors;

  void Set(const LeafTotals& totals, double min_leaf);
};

// Takes the best split of one domain's list into `split` where it is better than what is there.
void SearchSplit(std::span<const Entry> list, const double* gradients, const SplitTerms& terms,
                 int32_t domain, Split& split);

// Stable: entries of runs that go left stay in front of `list`, the others follow; returns how many
// stayed. `spare` has room for the list.
size_t PartList(std::span<Entry> list, const uint8_t* goes_left, Entry* spare);

}  // namespace gristmill::mixture
