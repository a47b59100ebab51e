// The two loops that scoring spends most of its time in, compiled for several kinds of processors.
// All of them give the same bits: they compare, and add doubles in one order.
#pragma once

#include <cstddef>
#include <cstdint>

#include "pages/line_features.h"

namespace gristmill::pages {

struct TreeNode {
  float threshold;  // a line goes right when its value is not below
  uint16_t feature;
  int16_t left;  // behind the node, relative to the tree; negative: leaf -1 - index
  int16_t right;
};

struct TreeSpan {
  uint32_t first_node;
  uint32_t n_nodes;
  uint32_t first_leaf;
};

struct TreesView {
  const TreeSpan* trees;
  size_t n_trees;
  const TreeNode* nodes;
  const float* leaves;
};

struct Kernels {
  // Adds to `sums` the weights of the bins that `count` values fall in: a bin is the number of cuts
  // that are not above the value. `count` is at most kBlock.
  void (*add_bins)(const float* cuts, size_t n_cuts, const float* weights, const float* values,
                   int32_t count, double* sums);
  // Adds to `sums` the leaves that `count` rows of columns reach. `reached` has room for the nodes
  // of the largest tree.
  void (*add_leaves)(const TreesView& trees, const float* columns, int32_t count, uint32_t* reached,
                     double* sums);
};

// Those for this processor.
const Kernels& PageKernels();

const Kernels& Avx2PageKernels();

}  // namespace gristmill::pages
