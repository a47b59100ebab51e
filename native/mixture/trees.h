// Gradient-boosted regression trees: squared loss, leaf-wise growth, binned weights (LightGBM's
// trees, as RegMix uses them, arXiv 2407.01492 §3.2), searched over sorted lists of runs instead of
// histograms (split.h). One thread, fixed order of sums.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cancel.h"
#include "mixture/runs.h"

namespace gristmill::mixture {

struct TreeOptions {
  int n_rounds = 1000;
  int n_leaves = 31;
  int min_leaf = 20;
  int max_bins = 255;
  double learning_rate = 0.01;
  // Rounds without a better held-out error before a fit with held-out runs stops.
  int patience = 100;
};

// Trees of flat nodes; the children of a node lie side by side.
struct Trees {
  double base = 0;
  std::vector<int32_t> roots;     // first node of every tree
  std::vector<int32_t> domains;   // -1 for a leaf
  std::vector<int32_t> children;  // the left one (weight <= split); the right one follows it
  std::vector<double> splits;     // of a leaf: its value, learning rate included
};

// Fits on `runs`. With `held_out` runs, boosting stops early and only the rounds up to their lowest
// squared error are kept. Throws ABORTED.
Trees FitTrees(const Runs& runs, const Runs& held_out, const TreeOptions& options,
               const CancelFlag& cancel);

void PredictTrees(const Trees& trees, size_t n_domains, std::span<const double> mixtures,
                  std::span<double> means, int n_threads);

}  // namespace gristmill::mixture
