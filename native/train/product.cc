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
thread_local std::vector<uint32_t> packed_words;  // as many bytes: words are two deep
thread_local std::vector<uint32_t> rounded_rows;

int64_t Share(int64_t units, int64_t part, int64_t parts) {
  return units * part / parts;
}

// The rows and columns of C that a part owns.
struct Area {
  int64_t row0, row1, column0, column1;

  bool empty() const { return row0 >= row1 || column0 >= column1; }
};
Area AreaOf(const Product& p, int64_t panel, int64_t part, int64_t parts) {
  const int64_t panels = (p.n + panel - 1) / panel;
  // By columns each thread packs only its own part of B, but few panels divide badly.
  if (panels % parts == 0 || panels >= 8 * parts || p.m < 8 * parts) {
    return {0, p.m, std::min(p.n, Share(panels, part, parts) * panel),
            std::min(p.n, Share(panels, part + 1, parts) * panel)};
  }
  return {Share(p.m, part, parts), Share(p.m, part + 1, parts), 0, p.n};
}

void SetInitial(const Product& p, const Area& area) {
  if (p.initial == nullptr) return;
  for (int64_t row = area.row0; row < area.row1; ++row) {
    std::memcpy(p.c + row * p.c_row + area.column0, p.initial + row * p.c_row + area.column0,
                static_cast<size_t>(area.column1 - area.column0) * sizeof(float));
  }
}

}  // namespace

void ComputeProduct(const Kernels& kernels, const Product& p, int64_t part, int64_t parts) {
  const int64_t panel = kernels.panel;
  const Area area = AreaOf(p, panel, part, parts);
  if (area.empty()) return;
  SetInitial(p, area);
  packed_block.resize(static_cast<size_t>(kDepth * (kColumns + panel)));
  for (int64_t column = area.column0; column < area.column1; column += kColumns) {
    const int64_t columns = std::min(kColumns, area.column1 - column);
    for (int64_t depth = 0; depth < p.k; depth += kDepth) {
      const int64_t depths = std::min(kDepth, p.k - depth);
      const bool accumulate = p.accumulate || p.initial != nullptr || depth > 0;
      kernels.pack(depths, columns, p.b + depth * p.b_k + column * p.b_column, p.b_k, p.b_column,
                   packed_block.data(), panel * depths);
      for (int64_t row = area.row0; row < area.row1; row += kRows) {
        kernels.multiply(std::min(kRows, area.row1 - row), columns, depths,
                         p.a + row * p.a_row + depth * p.a_k, p.a_row, p.a_k, packed_block.data(),
                         panel * depths, p.c + row * p.c_row + column, p.c_row, accumulate);
      }
    }
  }
}

void ComputeProductBf16(const Kernels& kernels, const Product& p, int64_t part, int64_t parts) {
  const int64_t panel = kernels.panel;
  const Area area = AreaOf(p, panel, part, parts);
  if (area.empty()) return;
  SetInitial(p, area);
  packed_words.resize(static_cast<size_t>(kDepth * (kColumns + panel)));
  rounded_rows.resize(static_cast<size_t>(kDepth * kRows));
  for (int64_t column = area.column0; column < area.column1; column += kColumns) {
    const int64_t columns = std::min(kColumns, area.column1 - column);
    for (int64_t depth = 0; depth < p.k; depth += 2 * kDepth) {
      const int64_t depths = std::min(2 * kDepth, p.k - depth);
      const int64_t pairs = (depths + 1) / 2;
      const bool accumulate = p.accumulate || p.initial != nullptr || depth > 0;
      kernels.pack_pairs(depths, columns, p.b + depth * p.b_k + column * p.b_column, p.b_k,
                         p.b_column, packed_words.data(), panel * pairs);
      for (int64_t row = area.row0; row < area.row1; row += kRows) {
        const int64_t rows = std::min(kRows, area.row1 - row);
        kernels.round_pairs(rows, depths, p.a + row * p.a_row + depth * p.a_k, p.a_row, p.a_k,
                            rounded_rows.data());
        const bool by_row = p.a_k == 1;
        kernels.multiply_pairs(rows, columns, pairs, rounded_rows.data(), by_row ? pairs : 1,
                               by_row ? 1 : rows, packed_words.data(), panel * pairs,
                               p.c + row * p.c_row + column, p.c_row, accumulate);
      }
    }
  }
}

}  // namespace gristmill::train
