#include "mixture/trees.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "engine/parallel.h"
#include "mixture/histogram.h"

namespace gristmill::mixture {

namespace {

// Gains below this share of the squared losses are rounding: a leaf of equal values must not be
// split.
constexpr double kMinGainShare = 1e-14;
constexpr size_t kPredictBlock = 256;

// Split points of every domain; a weight's bin is the number of split points below it.
struct Bins {
  std::vector<std::vector<double>> edges;  // ascending
  std::vector<uint8_t> of_runs;            // [n_runs × n_domains]
  size_t n_bins = 1;                       // most of any domain
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
  Bins bins;
  bins.of_runs.resize(runs.n_runs * runs.n_domains);
  for (size_t domain = 0; domain < runs.n_domains; ++domain) {
    std::vector<double> values(runs.n_runs);
    for (size_t run = 0; run < runs.n_runs; ++run) {
      values[run] = runs.weights[run * runs.n_domains + domain];
    }
    const std::vector<double> edges = Edges(values, max_bins);
    for (size_t run = 0; run < runs.n_runs; ++run) {
      bins.of_runs[run * runs.n_domains + domain] = static_cast<uint8_t>(
          std::lower_bound(edges.begin(), edges.end(), values[run]) - edges.begin());
    }
    bins.n_bins = std::max(bins.n_bins, edges.size() + 1);
    bins.edges.push_back(edges);
  }
  return bins;
}

struct Leaf {
  size_t begin = 0;  // runs are order[begin .. end)
  size_t end = 0;
  int32_t node = 0;
  LeafTotals totals;
  Split split;
  std::unique_ptr<double[]> histogram;  // only where a split is possible
};

class Booster {
 public:
  Booster(const Runs& runs, const TreeOptions& options)
      : runs_(runs),
        options_(options),
        bins_(MakeBins(runs, static_cast<size_t>(options.max_bins))),
        n_lanes_((runs.n_domains + kHistogramLanes - 1) / kHistogramLanes * kHistogramLanes),
        histogram_size_(bins_.n_bins * 2 * n_lanes_),
        predictions_(runs.n_runs),
        gradients_(runs.n_runs),
        order_(runs.n_runs),
        scratch_(runs.n_runs) {
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
    leaves_.push_back({0, runs_.n_runs, AddNode(), totals, {}, nullptr});
    if (CanSplit(leaves_[0])) {
      Fill(leaves_[0]);
      FindSplit(leaves_[0]);
    }
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
      Release(leaf);
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

  std::unique_ptr<double[]> Take() {
    if (free_.empty()) return std::make_unique<double[]>(histogram_size_);
    std::unique_ptr<double[]> histogram = std::move(free_.back());
    free_.pop_back();
    return histogram;
  }

  void Release(Leaf& leaf) {
    if (leaf.histogram) free_.push_back(std::move(leaf.histogram));
  }

  void Fill(Leaf& leaf) {
    leaf.histogram = Take();
    double* const histogram = leaf.histogram.get();
    std::fill_n(histogram, histogram_size_, 0.0);
    const size_t n_domains = runs_.n_domains;
    for (size_t at = leaf.begin; at < leaf.end; ++at) {
      const size_t run = static_cast<size_t>(order_[at]);
      const uint8_t* const bins = &bins_.of_runs[run * n_domains];
      const double gradient = gradients_[run];
      for (size_t domain = 0; domain < n_domains; ++domain) {
        double* const cell = histogram + bins[domain] * 2 * n_lanes_ + domain;
        cell[0] += gradient;
        cell[n_lanes_] += 1;
      }
    }
  }

  void FindSplit(Leaf& leaf) const {
    leaf.split =
        BestSplit(leaf.histogram.get(), bins_.n_bins, n_lanes_, leaf.totals, options_.min_leaf);
  }

  void SplitLeaf(size_t index) {
    Leaf parent = std::move(leaves_[index]);
    const Split& split = parent.split;
    const size_t domain = static_cast<size_t>(split.domain);
    size_t left = parent.begin;
    size_t right = 0;
    for (size_t at = parent.begin; at < parent.end; ++at) {
      const int32_t run = order_[at];
      if (bins_.of_runs[run * runs_.n_domains + domain] <= split.bin) {
        order_[left++] = run;
      } else {
        scratch_[right++] = run;
      }
    }
    std::copy_n(scratch_.begin(), right, order_.begin() + left);
    const int32_t child = AddNode();
    AddNode();
    trees.domains[parent.node] = split.domain;
    trees.splits[parent.node] = bins_.edges[domain][split.bin];
    trees.children[parent.node] = child;
    Leaf low{parent.begin, left, child, split.left, {}, nullptr};
    Leaf high{
        left,
        parent.end,
        child + 1,
        {parent.totals.gradient - split.left.gradient, parent.totals.count - split.left.count},
        {},
        nullptr};
    Leaf& smaller = low.totals.count <= high.totals.count ? low : high;
    Leaf& larger = &smaller == &low ? high : low;
    if (CanSplit(larger)) {
      Fill(smaller);
      larger.histogram = std::move(parent.histogram);
      SubtractHistogram(larger.histogram.get(), smaller.histogram.get(), larger.histogram.get(),
                        histogram_size_);
      FindSplit(larger);
      if (CanSplit(smaller)) {
        FindSplit(smaller);
      } else {
        Release(smaller);
      }
    } else {
      Release(parent);
    }
    leaves_[index] = std::move(low);
    leaves_.push_back(std::move(high));
  }

  Runs runs_;
  TreeOptions options_;
  Bins bins_;
  size_t n_lanes_;
  size_t histogram_size_;
  double min_gain_ = 0;
  std::vector<double> predictions_;
  std::vector<double> gradients_;  // residuals: what a leaf averages
  std::vector<int32_t> order_;
  std::vector<int32_t> scratch_;
  std::vector<Leaf> leaves_;
  std::vector<std::unique_ptr<double[]>> free_;
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
