// The kernels, for the instructions that the including file asks for: KERNEL_GETTER names the
// function that gives them, KERNEL_AVX2 says which vectors there are.

namespace gristmill::pages {

namespace {

// Bit `l` is set when value `l` is not below `threshold`; bits of lines from `count` on mean
// nothing. A column has room for kBlock values.
inline uint32_t NotBelow(const float* values, float threshold, int32_t count) {
  static_assert(kBlock == 32);
  uint32_t bits = 0;
#if defined(KERNEL_AVX2)
  const __m256 limit = _mm256_set1_ps(threshold);
  for (int32_t line = 0; line < count; line += 8) {
    const __m256 is_right = _mm256_cmp_ps(_mm256_loadu_ps(values + line), limit, _CMP_GE_OQ);
    bits |= static_cast<uint32_t>(_mm256_movemask_ps(is_right)) << line;
  }
#elif defined(__SSE2__)
  const __m128 limit = _mm_set1_ps(threshold);
  for (int32_t line = 0; line < count; line += 4) {
    const __m128 is_right = _mm_cmpge_ps(_mm_loadu_ps(values + line), limit);
    bits |= static_cast<uint32_t>(_mm_movemask_ps(is_right)) << line;
  }
#else
  for (int32_t line = 0; line < count; ++line) {
    bits |= static_cast<uint32_t>(values[line] >= threshold) << line;
  }
#endif
  return bits;
}

void AddBins(const float* cuts, size_t n_cuts, const float* weights, const float* values,
             int32_t count, double* sums) {
  int32_t bins[kBlock] = {};
  // Counting is one vector operation a cut and several rows, without a branch; whole blocks keep
  // their bins in registers.
  if (count == kBlock) {
    for (int32_t first = 0; first < kBlock; first += 16) {
      int32_t some[16] = {};
      for (size_t cut = 0; cut < n_cuts; ++cut) {
        const float limit = cuts[cut];
        for (int32_t row = 0; row < 16; ++row) some[row] += limit <= values[first + row] ? 1 : 0;
      }
      for (int32_t row = 0; row < 16; ++row) bins[first + row] = some[row];
    }
  } else if (count >= 8) {
    for (size_t cut = 0; cut < n_cuts; ++cut) {
      for (int32_t row = 0; row < count; ++row) bins[row] += cuts[cut] <= values[row] ? 1 : 0;
    }
  } else {
    for (int32_t row = 0; row < count; ++row) {
      size_t low = 0;
      for (size_t size = n_cuts; size > 0;) {
        const size_t half = (size + 1) / 2;
        const bool is_above = cuts[low + half - 1] <= values[row];
        low += is_above ? half : 0;
        size = is_above ? size - half : half - 1;
      }
      bins[row] = static_cast<int32_t>(low);
    }
  }
  for (int32_t row = 0; row < count; ++row) sums[row] += static_cast<double>(weights[bins[row]]);
}

void AddLeaves(const TreesView& trees, const float* columns, int32_t count, uint32_t* reached,
               double* sums) {
  const uint32_t all = count == kBlock ? ~0u : (1u << count) - 1;
  for (size_t index = 0; index < trees.n_trees; ++index) {
    const TreeSpan tree = trees.trees[index];
    const float* const leaves = trees.leaves + tree.first_leaf;
    const auto add_leaf = [&](int leaf, uint32_t lines) {
      const double value = static_cast<double>(leaves[leaf]);
      for (; lines != 0; lines &= lines - 1) sums[__builtin_ctz(lines)] += value;
    };
    if (tree.n_nodes == 0) {
      add_leaf(0, all);
      continue;
    }
    const TreeNode* const nodes = trees.nodes + tree.first_node;
    for (uint32_t node = 0; node < tree.n_nodes; ++node) reached[node] = 0;
    reached[0] = all;
    for (uint32_t at = 0; at < tree.n_nodes; ++at) {
      const uint32_t lines = reached[at];
      if (lines == 0) continue;
      const TreeNode node = nodes[at];
      const uint32_t right = NotBelow(columns + node.feature * kBlock, node.threshold, count);
      const auto go = [&](int16_t child, uint32_t some) {
        if (child >= 0) {
          reached[child] |= some;
        } else {
          add_leaf(-1 - child, some);
        }
      };
      go(node.left, lines & ~right);
      go(node.right, lines & right);
    }
  }
}

}  // namespace

const Kernels& KERNEL_GETTER() {
  static const Kernels kernels{AddBins, AddLeaves};
  return kernels;
}

}  // namespace gristmill::pages
