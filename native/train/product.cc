// Blocking and division of work for one matrix product (see Product in graph.h).
#include <algorithm>
#include <cstring>
#include <vector>

#include "train/graph.h"

namespace gristmill::train {

namespace {

// A packed block of B (kDepth x kColumns, 512 KiB) lies in the second-level cache next to the
// kRows x kDepth part of A that meets it.
constexpr int64_t kDepth = 256;
constexpr int64_t kColumns = 512;
constexpr int64_t kRows = 192;

thread_local std::vector<float> packed_block;

int64_t Share(int64_t units, int64_t part, int64_t parts) {
  return units * part / parts;
}

}  // namespace

void ComputeProduct(const Kernels& kernels, const Product& p, int64_t part, int64_t parts) {
  const int64_t panel = kernels.panel;
  const int64_t panels = (p.n + panel - 1) / panel;
  int64_t row0 = 0, row1 = p.m, column0 = 0, column1 = p.n;
  // By columns each thread packs only its own part of B, but few panels divide badly.
  if (panels % parts == 0 || panels >= 8 * parts || p.m < 8 * parts) {
    column0 = std::min(p.n, Share(panels, part, parts) * panel);
    column1 = std::min(p.n, Share(panels, part + 1, parts) * panel);
  } else {
    row0 = Share(p.m, part, parts);
    row1 = Share(p.m, part + 1, parts);
  }
  if (row0 >= row1 || column0 >= column1) return;
  if (p.initial != nullptr) {
    for (int64_t row = row0; row < row1; ++row) {
      std::memcpy(p.c + row * p.c_row + column0, p.initial + row * p.c_row + column0,
                  static_cast<size_t>(column1 - column0) * sizeof(float));
    }
  }
  packed_block.resize(static_cast<size_t>(kDepth * (kColumns + panel)));
  for (int64_t column = column0; column < column1; column += kColumns) {
    const int64_t columns = std::min(kColumns, column1 - column);
    for (int64_t depth = 0; depth < p.k; depth += kDepth) {
      const int64_t depths = std::min(kDepth, p.k - depth);
      const bool accumulate = p.accumulate || p.initial != nullptr || depth > 0;
      kernels.pack(depths, columns, p.b + depth * p.b_k + column * p.b_column, p.b_k, p.b_column,
                   packed_block.data(), panel * depths);
      for (int64_t row = row0; row < row1; row += kRows) {
        kernels.multiply(std::min(kRows, row1 - row), columns, depths,
                         p.a + row * p.a_row + depth * p.a_k, p.a_row, p.a_k, packed_block.data(),
                         panel * depths, p.c + row * p.c_row + column, p.c_row, accumulate);
      }
    }
  }
}

}  // namespace gristmill::train
