#include "pages/stack.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <string>

#include "error.h"

namespace gristmill::pages {

namespace {

[[noreturn]] void Refuse(const std::string& option, const std::string& expected,
                         const std::string& received) {
  throw CodedError("OPTION_INVALID",
                   {{"option", option}, {"expected", expected}, {"received", received}});
}

}  // namespace

Bins Bins::From(const char* name, int32_t max_bins, std::span<const int32_t> counts,
                std::span<const float> cuts) {
  const std::string option = name;
  if (max_bins < 2 || max_bins > 256) {
    Refuse(option + ".maxBins", "2..256", std::to_string(max_bins));
  }
  Bins bins;
  bins.n_features = static_cast<int32_t>(counts.size());
  bins.max_bins = max_bins;
  bins.starts.assign(1, 0);
  int64_t total = 0;
  for (const int32_t count : counts) {
    if (count < 0 || count >= max_bins) {
      Refuse(option + ".counts", "0.." + std::to_string(max_bins - 1), std::to_string(count));
    }
    total += count;
    if (total > static_cast<int64_t>(cuts.size())) break;
    bins.starts.push_back(static_cast<int32_t>(total));
  }
  if (total != static_cast<int64_t>(cuts.size())) {
    Refuse(option + ".cuts", std::to_string(total) + " cuts", std::to_string(cuts.size()));
  }
  bins.cuts.assign(cuts.begin(), cuts.end());
  return bins;
}

void BinValues(std::span<const float> cuts, const float* values, int32_t count, int32_t* bins) {
  for (int32_t row = 0; row < count; ++row) {
    const auto above = std::upper_bound(cuts.begin(), cuts.end(), values[row]);
    bins[row] = static_cast<int32_t>(above - cuts.begin());
  }
}

double WordScale(int64_t n_words) {
  return n_words == 0 ? 0 : std::min(1.0, 2 / std::sqrt(static_cast<double>(n_words)));
}

void Regression::Check() const {
  if (!std::has_single_bit(word_weights.size()) || word_weights.size() > (size_t{1} << 24)) {
    Refuse("wordWeights", "a power of two, at most 2^24", std::to_string(word_weights.size()));
  }
  const size_t expected = static_cast<size_t>(bins.n_features) * static_cast<size_t>(bins.max_bins);
  if (bin_weights.size() != expected) {
    Refuse("binWeights", std::to_string(expected), std::to_string(bin_weights.size()));
  }
}

void Regression::SumBins(const float* columns, int32_t count, double* sums) const {
  std::fill(sums, sums + count, 0.0);
  const Kernels& kernels = PageKernels();
  const float* weights = bin_weights.data();
  for (int32_t feature = 0; feature < bins.n_features; ++feature) {
    const std::span<const float> cuts = bins.CutsOf(feature);
    kernels.add_bins(cuts.data(), cuts.size(), weights, columns + feature * kBlock, count, sums);
    weights += bins.max_bins;
  }
}

Trees Trees::From(const TreeArrays& arrays, const Bins& bins) {
  const size_t n_nodes = arrays.features.size();
  const size_t n_starts = arrays.tree_starts.size();
  const bool same = arrays.cuts.size() == n_nodes && arrays.lefts.size() == n_nodes &&
                    arrays.rights.size() == n_nodes && n_starts == arrays.leaf_starts.size();
  if (!same || n_starts == 0 || arrays.tree_starts.front() != 0 ||
      arrays.leaf_starts.front() != 0 ||
      arrays.tree_starts.back() != static_cast<int64_t>(n_nodes) ||
      arrays.leaf_starts.back() != static_cast<int64_t>(arrays.leaves.size())) {
    Refuse("trees", "arrays of one length", "others");
  }
  Trees trees;
  trees.base_ = arrays.base;
  trees.n_features_ = bins.n_features;
  trees.leaves_.assign(arrays.leaves.begin(), arrays.leaves.end());
  for (size_t tree = 0; tree + 1 < n_starts; ++tree) {
    const int64_t first = arrays.tree_starts[tree];
    const int64_t count = arrays.tree_starts[tree + 1] - first;
    const int64_t first_leaf = arrays.leaf_starts[tree];
    const int64_t n_leaves = arrays.leaf_starts[tree + 1] - first_leaf;
    const std::string name = "trees[" + std::to_string(tree) + "]";
    if (first < 0 || count < 0 || first + count > static_cast<int64_t>(n_nodes) || first_leaf < 0 ||
        n_leaves < 1 || first_leaf + n_leaves > static_cast<int64_t>(arrays.leaves.size())) {
      Refuse(name, "ascending starts", "others");
    }
    for (int64_t node = 0; node < count; ++node) {
      const auto at = static_cast<size_t>(first + node);
      const uint16_t feature = arrays.features[at];
      for (const int64_t child : {int64_t{arrays.lefts[at]}, int64_t{arrays.rights[at]}}) {
        const bool is_node = child > node && child < count;
        const bool is_leaf = child < 0 && -1 - child < n_leaves;
        if (!is_node && !is_leaf) Refuse(name, "children behind their parents", "others");
      }
      if (feature >= bins.n_features) Refuse(name, "features that there are", "others");
      const std::span<const float> cuts = bins.CutsOf(feature);
      const size_t cut = arrays.cuts[at];
      // A bin is not above the cut when the value is below the cut point of that number.
      const float threshold =
          cut < cuts.size() ? cuts[cut] : std::numeric_limits<float>::quiet_NaN();
      trees.nodes_.push_back({threshold, feature, arrays.lefts[at], arrays.rights[at]});
    }
    trees.trees_.push_back({static_cast<uint32_t>(first), static_cast<uint32_t>(count),
                            static_cast<uint32_t>(first_leaf)});
    trees.most_nodes_ = std::max(trees.most_nodes_, static_cast<uint32_t>(count));
  }
  return trees;
}

void Trees::Score(const float* columns, int32_t count, float* logits) const {
  double sums[kBlock];
  std::fill(sums, sums + kBlock, base_);
  std::vector<uint32_t> reached(std::max(1u, most_nodes_));
  const TreesView view{trees_.data(), trees_.size(), nodes_.data(), leaves_.data()};
  PageKernels().add_leaves(view, columns, count, reached.data(), sums);
  for (int32_t row = 0; row < count; ++row) logits[row] = static_cast<float>(sums[row]);
}

}  // namespace gristmill::pages
