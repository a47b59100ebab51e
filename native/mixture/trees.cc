#include "mixture/trees.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "engine/parallel.h"
#include "error.h"
#include "mixture/split.h"

namespace gristmill::mixture {

namespace {

// Gains below this share of the squared losses are rounding: a leaf of equal values must not be
// split.
constexpr double kMinGainShare = 1e-14;
constexpr size_t kPredictBlock = 256;

// Split points of every domain; a weight's bin is the number of split points below it.
struct Bins {
  std::vector<std::vector<double>> edges;  // ascending
  std::vector<uint8_t> columns;            // [n_domains x n_runs]
  // Lists of all runs (split.h), one domain after another; domain's is [starts[domain],
  // starts[domain + 1]).
  std::vector<Entry> entries;
  std::vector<size_t> starts;
};

// A bin for every distinct weight, or about equally filled ones where there are more than
// `max_bins`.
std::vector<double> Edges(std::vector<double> values, size_t max_bins) {
  std::sort(values.begin(), values.end());
  size_t n_distinct = values.empty() ? 0 : 1;
  for (size_t at = 1; at < values.size(); ++at) n_distinct += values[at] != values[at - 1];
  std::vector<double> edges;
  size_t begin = 0;
  for (size_t at = 1; at < values.size() && edges.size() + 1 < max_bins; ++at) {
    if (values[at] == values[at - 1]) continue;
    const size_t bins_left = max_bins - edges.size();
    const bool full = (at - begin) * bins_left >= values.size() - begin;
    if (n_distinct > max_bins && !full) continue;
    const double middle = values[at - 1] + 0.5 * (values[at] - values[at - 1]);
    edges.push_back(middle < values[at] ? middle : values[at - 1]);
    begin = at;
  }
  return edges;
}

Bins MakeBins(const Runs& runs, size_t max_bins) {
  if (runs.n_runs > kMaxRuns) {
    throw CodedError("NATIVE_FAILED",
                     {{"operation", "the gbdt fit"},
                      {"reason", "more than " + std::to_string(kMaxRuns) + " runs"}});
  }
  Bins bins;
  bins.columns.resize(runs.n_runs * runs.n_domains);
  bins.starts.push_back(0);
  for (size_t domain = 0; domain < runs.n_domains; ++domain) {
    std::vector<double> values(runs.n_runs);
    for (size_t run = 0; run < runs.n_runs; ++run) {
      values[run] = runs.weights[run * runs.n_domains + domain];
    }
    std::vector<double> edges = Edges(values, max_bins);
    uint8_t* const column = &bins.columns[domain * runs.n_runs];
    for (size_t run = 0; run < runs.n_runs; ++run) {
      column[run] = static_cast<uint8_t>(std::lower_bound(edges.begin(), edges.end(), values[run]) -
                                         edges.begin());
      if (column[run] > 0) bins.entries.push_back(static_cast<Entry>(run << 8 | column[run]));
    }
    std::stable_sort(bins.entries.begin() + static_cast<ptrdiff_t>(bins.starts.back()),
                     bins.entries.end(),
                     [](Entry left, Entry right) { return (left & 255) > (right & 255); });
    bins.starts.push_back(bins.entries.size());
    bins.edges.push_back(std::move(edges));
  }
  return bins;
}

struct Leaf {
  size_t begin = 0;  // runs are order[begin .. end)
  size_t end = 0;
  int32_t node = 0;
  LeafTotals totals;
  Split split;
};

// A leaf's part of a domain's list.
struct Range {
  size_t begin = 0;
  size_t end = 0;
};

class Booster {
 public:
  Booster(const Runs& runs, const TreeOptions& options)
      : runs_(runs),
        options_(options),
        bins_(MakeBins(runs, static_cast<size_t>(options.max_bins))),
        predictions_(runs.n_runs),
        gradients_(runs.n_runs),
        order_(runs.n_runs),
        goes_left_(runs.n_runs),
        spare_order_(runs.n_runs),
        entries_(bins_.entries.size()),
        spare_entries_(bins_.entries.size()) {
    double sum = 0;
    double squares = 0;
    for (size_t run = 0; run < runs.n_runs; ++run) sum += runs.losses[run];
    trees.base = sum / static_cast<double>(runs.n_runs);
    for (size_t run = 0; run < runs.n_runs; ++run) {
      const double off = runs.losses[run] - trees.base;
      squares += off * off;
      predictions_[run] = trees.base;
    }
    min_gain_ = kMinGainShare * squares;
  }

  // Adds one tree; false when nothing can be split any more.
  bool Round() {
    LeafTotals totals;
    for (size_t run = 0; run < runs_.n_runs; ++run) {
      gradients_[run] = runs_.losses[run] - predictions_[run];
      totals.gradient += gradients_[run];
      order_[run] = static_cast<int32_t>(run);
    }
    totals.count = static_cast<double>(runs_.n_runs);
    const size_t first_node = trees.domains.size();
    trees.roots.push_back(static_cast<int32_t>(first_node));
    leaves_.clear();
    leaves_.push_back({0, runs_.n_runs, AddNode(), totals, {}});
    entries_ = bins_.entries;
    ranges_.resize(runs_.n_domains);
    for (size_t domain = 0; domain < runs_.n_domains; ++domain) {
      ranges_[domain] = {bins_.starts[domain], bins_.starts[domain + 1]};
    }
    if (CanSplit(leaves_[0])) FindSplit(0);
    while (leaves_.size() < static_cast<size_t>(options_.n_leaves)) {
      size_t best = 0;
      for (size_t leaf = 1; leaf < leaves_.size(); ++leaf) {
        if (leaves_[leaf].split.gain > leaves_[best].split.gain) best = leaf;
      }
      if (leaves_[best].split.gain <= min_gain_) break;
      SplitLeaf(best);
    }
    for (Leaf& leaf : leaves_) {
      const double value = options_.learning_rate * leaf.totals.gradient / leaf.totals.count;
      trees.splits[leaf.node] = value;
      for (size_t at = leaf.begin; at < leaf.end; ++at) predictions_[order_[at]] += value;
    }
    if (leaves_.size() > 1) return true;
    trees.roots.pop_back();
    Truncate(first_node);
    return false;
  }

  void Truncate(size_t n_nodes) {
    trees.domains.resize(n_nodes);
    trees.children.resize(n_nodes);
    trees.splits.resize(n_nodes);
  }

  Trees trees;

 private:
  bool CanSplit(const Leaf& leaf) const { return leaf.totals.count >= 2.0 * options_.min_leaf; }

  int32_t AddNode() {
    trees.domains.push_back(-1);
    trees.children.push_back(0);
    trees.splits.push_back(0);
    return static_cast<int32_t>(trees.domains.size() - 1);
  }

  void FindSplit(size_t index) {
    Leaf& leaf = leaves_[index];
    terms_.Set(leaf.totals, options_.min_leaf);
    const Range* const ranges = &ranges_[index * runs_.n_domains];
    for (size_t domain = 0; domain < runs_.n_domains; ++domain) {
      const Range& range = ranges[domain];
      SearchSplit({&entries_[range.begin], range.end - range.begin}, gradients_.data(), terms_,
                  static_cast<int32_t>(domain), leaf.split);
    }
  }

  // The left child takes the parent's place, the right one is the last leaf.
  void SplitLeaf(size_t index) {
    const Leaf parent = leaves_[index];
    const Split& split = parent.split;
    const size_t domain = static_cast<size_t>(split.domain);
    const size_t middle = PartRuns(parent);
    const int32_t child = AddNode();
    AddNode();
    trees.domains[parent.node] = split.domain;
    trees.splits[parent.node] = bins_.edges[domain][split.bin];
    trees.children[parent.node] = child;
    const LeafTotals left{parent.totals.gradient - split.right.gradient,
                          parent.totals.count - split.right.count};
    leaves_[index] = {parent.begin, middle, child, left, {}};
    leaves_.push_back({middle, parent.end, child + 1, split.right, {}});
    ranges_.resize(leaves_.size() * runs_.n_domains);
    const bool low = CanSplit(leaves_[index]);
    const bool high = CanSplit(leaves_.back());
    if (!low && !high) return;
    Range* const low_ranges = &ranges_[index * runs_.n_domains];
    Range* const high_ranges = &ranges_[(leaves_.size() - 1) * runs_.n_domains];
    for (size_t at = 0; at < runs_.n_domains; ++at) {
      const Range range = low_ranges[at];
      const size_t n_left = PartList({&entries_[range.begin], range.end - range.begin},
                                     goes_left_.data(), spare_entries_.data());
      low_ranges[at].end = range.begin + n_left;
      high_ranges[at] = {range.begin + n_left, range.end};
    }
    if (low) FindSplit(index);
    if (high) FindSplit(leaves_.size() - 1);
  }

  // Parts the leaf's runs, and notes of each where it goes; returns where the right side begins.
  size_t PartRuns(const Leaf& leaf) {
    const uint8_t* const column =
        &bins_.columns[static_cast<size_t>(leaf.split.domain) * runs_.n_runs];
    size_t left = leaf.begin;
    size_t right = 0;
    for (size_t at = leaf.begin; at < leaf.end; ++at) {
      const int32_t run = order_[at];
      const size_t low = column[run] <= leaf.split.bin;
      goes_left_[static_cast<size_t>(run)] = static_cast<uint8_t>(low);
      order_[left] = run;
      spare_order_[right] = run;
      left += low;
      right += 1 - low;
    }
    std::copy_n(spare_order_.begin(), right, order_.begin() + static_cast<ptrdiff_t>(left));
    return left;
  }

  Runs runs_;
  TreeOptions options_;
  Bins bins_;
  double min_gain_ = 0;
  std::vector<double> predictions_;
  std::vector<double> gradients_;  // residuals: what a leaf averages
  std::vector<int32_t> order_;
  std::vector<uint8_t> goes_left_;  // by run
  std::vector<int32_t> spare_order_;
  std::vector<Entry> entries_;  // the lists of all domains, parted as the tree grows
  std::vector<Entry> spare_entries_;
  std::vector<Range> ranges_;  // [n_leaves x n_domains]
  SplitTerms terms_;
  std::vector<Leaf> leaves_;
};

// A node in one piece: a step of a walk touches one cache line.
struct Node {
  double split;
  int32_t domain;
  int32_t child;
};

double Walk(const Node* nodes, int32_t node, const double* weights) {
  while (nodes[node].domain >= 0) {
    const Node& at = nodes[node];
    node = at.child + (weights[at.domain] <= at.split ? 0 : 1);
  }
  return nodes[node].split;
}

// The nodes from `first` on, which becomes node 0.
std::vector<Node> PackNodes(const Trees& trees, size_t first) {
  std::vector<Node> nodes;
  for (size_t node = first; node < trees.domains.size(); ++node) {
    nodes.push_back({trees.splits[node], trees.domains[node],
                     trees.children[node] - static_cast<int32_t>(first)});
  }
  return nodes;
}

}  // namespace

Trees FitTrees(const Runs& runs, const Runs& held_out, const TreeOptions& options,
               const CancelFlag& cancel) {
  Booster booster(runs, options);
  std::vector<double> predictions(held_out.n_runs, booster.trees.base);
  double lowest = std::numeric_limits<double>::infinity();
  size_t best_rounds = 0;
  size_t best_nodes = 0;
  for (int round = 0; round < options.n_rounds; ++round) {
    cancel.Check();
    if (!booster.Round()) break;
    if (held_out.n_runs == 0) continue;
    double error = 0;
    const std::vector<Node> nodes =
        PackNodes(booster.trees, static_cast<size_t>(booster.trees.roots.back()));
    for (size_t run = 0; run < held_out.n_runs; ++run) {
      predictions[run] += Walk(nodes.data(), 0, held_out.weights + run * held_out.n_domains);
      const double off = predictions[run] - held_out.losses[run];
      error += off * off;
    }
    if (error < lowest) {
      lowest = error;
      best_rounds = booster.trees.roots.size();
      best_nodes = booster.trees.domains.size();
    } else if (booster.trees.roots.size() >= best_rounds + static_cast<size_t>(options.patience)) {
      break;
    }
  }
  if (held_out.n_runs > 0) {
    booster.trees.roots.resize(best_rounds);
    booster.Truncate(best_nodes);
  }
  return std::move(booster.trees);
}

void PredictTrees(const Trees& trees, size_t n_domains, std::span<const double> mixtures,
                  std::span<double> means, int n_threads) {
  const std::vector<Node> nodes = PackNodes(trees, 0);
  const size_t n_blocks = (means.size() + kPredictBlock - 1) / kPredictBlock;
  engine::ParallelFor(n_threads, n_blocks, 1, [&](size_t block) {
    const size_t begin = block * kPredictBlock;
    const size_t end = std::min(means.size(), begin + kPredictBlock);
    std::fill(means.begin() + begin, means.begin() + end, trees.base);
    for (const int32_t root : trees.roots) {
      for (size_t row = begin; row < end; ++row) {
        means[row] += Walk(nodes.data(), root, mixtures.data() + row * n_domains);
      }
    }
  });
}

}  // namespace gristmill::mixture
