#include "mixture/linear_algebra.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "mixture/instructions.h"

namespace gristmill::mixture {

namespace {

constexpr size_t kInner = 256;  // depth of a packed panel: 256 × 16 doubles stay in the first cache
constexpr size_t kBlock = 48;   // block of the factorisations
constexpr size_t kMaxRows = 8;
constexpr size_t kMaxColumns = 16;

// tile [kRows × 2·kWidth] = packed A panel · packed B panel
using Tile = void (*)(size_t inner, const double* a, const double* b, double* tile);

template <size_t kWidth, size_t kRows>
__attribute__((always_inline)) inline void TileBody(size_t inner, const double* a, const double* b,
                                                    double* tile) {
  typedef double Vector __attribute__((vector_size(kWidth * sizeof(double)), aligned(8)));
  Vector sums[kRows][2] = {};
  for (size_t at = 0; at < inner; ++at, a += kRows, b += 2 * kWidth) {
    const Vector left = *reinterpret_cast<const Vector*>(b);
    const Vector right = *reinterpret_cast<const Vector*>(b + kWidth);
    for (size_t row = 0; row < kRows; ++row) {
      sums[row][0] += left * a[row];
      sums[row][1] += right * a[row];
    }
  }
  for (size_t row = 0; row < kRows; ++row) {
    std::memcpy(tile + row * 2 * kWidth, &sums[row], 2 * kWidth * sizeof(double));
  }
}

void TileBaseline(size_t inner, const double* a, const double* b, double* tile) {
  TileBody<2, 4>(inner, a, b, tile);
}
#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) void TileAvx2(size_t inner, const double* a, const double* b,
                                                  double* tile) {
  TileBody<4, 6>(inner, a, b, tile);
}
__attribute__((target("avx512f,avx2,fma"))) void TileAvx512(size_t inner, const double* a,
                                                            const double* b, double* tile) {
  TileBody<8, 8>(inner, a, b, tile);
}
#endif

struct Kernel {
  Tile tile;
  size_t rows;
  size_t columns;
};

Kernel BestKernel() {
  switch (BestInstructions()) {
#if defined(__x86_64__)
    case Instructions::kAvx512:
      return {TileAvx512, 8, 16};
    case Instructions::kAvx2:
      return {TileAvx2, 6, 8};
#endif
    default:
      return {TileBaseline, 4, 4};
  }
}

// Panels of `width` vectors, the short last one filled with zeros: packed[(panel, inner, lane)].
void Pack(const double* data, size_t lane_stride, size_t inner_stride, size_t lanes, size_t inner,
          size_t width, double* packed) {
  for (size_t begin = 0; begin < lanes; begin += width) {
    const size_t count = std::min(width, lanes - begin);
    for (size_t at = 0; at < inner; ++at, packed += width) {
      const double* source = data + begin * lane_stride + at * inner_stride;
      for (size_t lane = 0; lane < count; ++lane) packed[lane] = source[lane * lane_stride];
      for (size_t lane = count; lane < width; ++lane) packed[lane] = 0;
    }
  }
}

size_t RoundUp(size_t value, size_t step) {
  return (value + step - 1) / step * step;
}

// The factor of a small diagonal block in place, and its inverse in a dense [size × size] array.
bool FactorBlock(size_t size, double* block, size_t stride, double* inverse) {
  for (size_t column = 0; column < size; ++column) {
    for (size_t row = column; row < size; ++row) {
      double sum = block[row * stride + column];
      for (size_t at = 0; at < column; ++at) {
        sum -= block[row * stride + at] * block[column * stride + at];
      }
      if (row > column) {
        block[row * stride + column] = sum / block[column * stride + column];
      } else if (sum > 0 && std::isfinite(sum)) {
        block[row * stride + column] = std::sqrt(sum);
      } else {
        return false;
      }
    }
  }
  std::fill(inverse, inverse + size * size, 0.0);
  for (size_t row = 0; row < size; ++row) {
    double* target = inverse + row * size;
    target[row] = 1;
    for (size_t at = 0; at < row; ++at) {
      const double factor = block[row * stride + at];
      for (size_t column = 0; column <= at; ++column) {
        target[column] -= factor * inverse[at * size + column];
      }
    }
    const double diagonal = block[row * stride + row];
    for (size_t column = 0; column <= row; ++column) target[column] /= diagonal;
  }
  return true;
}

}  // namespace

void AddProduct(size_t rows, size_t columns, size_t inner, double sign, MatrixView a, MatrixView b,
                double* c, size_t c_stride) {
  if (rows == 0 || columns == 0) return;
  const Kernel kernel = BestKernel();
  thread_local std::vector<double> packed_a;
  thread_local std::vector<double> packed_b;
  double tile[kMaxRows * kMaxColumns];
  for (size_t begin = 0; begin < inner; begin += kInner) {
    const size_t depth = std::min(kInner, inner - begin);
    packed_a.resize(RoundUp(rows, kernel.rows) * depth);
    packed_b.resize(RoundUp(columns, kernel.columns) * depth);
    Pack(a.data + begin * a.column_stride, a.row_stride, a.column_stride, rows, depth, kernel.rows,
         packed_a.data());
    Pack(b.data + begin * b.row_stride, b.column_stride, b.row_stride, columns, depth,
         kernel.columns, packed_b.data());
    for (size_t column = 0; column < columns; column += kernel.columns) {
      const size_t n_columns = std::min(kernel.columns, columns - column);
      for (size_t row = 0; row < rows; row += kernel.rows) {
        const size_t n_rows = std::min(kernel.rows, rows - row);
        kernel.tile(depth, packed_a.data() + row * depth, packed_b.data() + column * depth, tile);
        for (size_t inside = 0; inside < n_rows; ++inside) {
          double* target = c + (row + inside) * c_stride + column;
          const double* source = tile + inside * kernel.columns;
          for (size_t lane = 0; lane < n_columns; ++lane) target[lane] += sign * source[lane];
        }
      }
    }
  }
}

bool CholeskyWithInverse(size_t n, double* matrix, double* inverse_factor) {
  std::fill(inverse_factor, inverse_factor + n * n, 0.0);
  std::vector<double> diagonal(kBlock * kBlock);
  std::vector<double> panel(n * kBlock);
  for (size_t begin = 0; begin < n; begin += kBlock) {
    const size_t size = std::min(kBlock, n - begin);
    const size_t end = begin + size;
    if (!FactorBlock(size, matrix + begin * n + begin, n, diagonal.data())) return false;
    for (size_t row = 0; row < size; ++row) {
      std::copy_n(&diagonal[row * size], size, inverse_factor + (begin + row) * n + begin);
    }
    if (end == n) break;
    // Below the block: L21 = A21 · L11⁻ᵀ, then A22 -= L21 · L21ᵀ, its lower triangle by blocks.
    std::fill(panel.begin(), panel.end(), 0.0);
    AddProduct(n - end, size, size, 1, {matrix + end * n + begin, n, 1}, {diagonal.data(), 1, size},
               panel.data(), size);
    for (size_t row = end; row < n; ++row) {
      std::copy_n(&panel[(row - end) * size], size, matrix + row * n + begin);
    }
    for (size_t column = end; column < n; column += kBlock) {
      const size_t width = std::min(kBlock, n - column);
      AddProduct(n - column, width, size, -1, {matrix + column * n + begin, n, 1},
                 {matrix + column * n + begin, 1, n}, matrix + column * n + column, n);
    }
  }
  // Row blocks of L⁻¹: W_i = -L_ii⁻¹ · (L_i,<i · W_<i); the diagonal blocks are there already.
  for (size_t begin = kBlock; begin < n; begin += kBlock) {
    const size_t size = std::min(kBlock, n - begin);
    std::fill(panel.begin(), panel.end(), 0.0);
    for (size_t column = 0; column < begin; column += kBlock) {
      AddProduct(size, kBlock, begin - column, 1, {matrix + begin * n + column, n, 1},
                 {inverse_factor + column * n + column, n, 1}, &panel[column], n);
    }
    AddProduct(size, begin, size, -1, {inverse_factor + begin * n + begin, n, 1},
               {panel.data(), n, 1}, inverse_factor + begin * n, n);
  }
  return true;
}

void InverseFromFactor(size_t n, const double* inverse_factor, double* inverse) {
  std::fill(inverse, inverse + n * n, 0.0);
  for (size_t begin = 0; begin < n; begin += kBlock) {
    const size_t size = std::min(kBlock, n - begin);
    AddProduct(size, begin + size, n - begin, 1, {inverse_factor + begin * n + begin, 1, n},
               {inverse_factor + begin * n, n, 1}, inverse + begin * n, n);
  }
  for (size_t row = 0; row < n; ++row) {
    for (size_t column = 0; column < row; ++column) {
      inverse[column * n + row] = inverse[row * n + column];
    }
  }
}

}  // namespace gristmill::mixture
