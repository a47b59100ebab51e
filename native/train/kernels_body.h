// Body of every instruction set: included once per kernels_*.cc inside its target region, with
// KERNEL_WIDTH (floats per vector), KERNEL_ROWS (rows per tile), KERNEL_NAME and KERNEL_GETTER set,
// and KERNEL_DOT_PAIRS(sum, a, b) where the processor adds products of pairs in bf16 itself.

namespace gristmill::train {
namespace {

constexpr int64_t kWidth = KERNEL_WIDTH;
constexpr int kRows = KERNEL_ROWS;  // a multiple of three
constexpr int64_t kPanel = 2 * kWidth;

typedef float Vec __attribute__((vector_size(KERNEL_WIDTH * 4)));
typedef float VecInMemory __attribute__((vector_size(KERNEL_WIDTH * 4), aligned(4), may_alias));
typedef int32_t IntVec __attribute__((vector_size(KERNEL_WIDTH * 4)));

#define KERNEL_INLINE inline __attribute__((always_inline))

KERNEL_INLINE Vec Load(const float* from) {
  return *reinterpret_cast<const VecInMemory*>(from);
}
KERNEL_INLINE void Store(float* to, Vec value) {
  *reinterpret_cast<VecInMemory*>(to) = value;
}
// Minus zero changes nothing, so this is one broadcast; plus zero would be an addition (-0 + 0 =
// 0).
KERNEL_INLINE Vec All(float value) {
  return value - Vec{};
}

KERNEL_INLINE float Sum(Vec value) {
  float sum = 0;
  for (int lane = 0; lane < kWidth; ++lane) sum += value[lane];
  return sum;
}

// Relative error below 2e-7 in -87..88; smaller arguments give about 1e-38, not zero.
KERNEL_INLINE Vec Exp(Vec x) {
  const Vec low = All(-87.0f);
  const Vec high = All(88.0f);
  x = x < low ? low : x;
  x = x > high ? high : x;
  const Vec magic = All(12582912.0f);  // 1.5 * 2^23: its low bits count units
  const Vec shifted = x * 1.44269504f + magic;
  const Vec n = shifted - magic;
  const Vec r = (x - n * 0.693145752f) - n * 1.42860677e-6f;
  Vec p = All(1.98756912e-4f);
  p = p * r + 1.39819994e-3f;
  p = p * r + 8.33345205e-3f;
  p = p * r + 4.16657962e-2f;
  p = p * r + 1.66666657e-1f;
  p = p * r + 0.5f;
  p = p * r * r + r + 1.0f;
  const IntVec exponent = (IntVec(shifted) - 0x4B400000 + 127) << 23;
  return p * Vec(exponent);
}

void Pack(int64_t k, int64_t n, const float* b, int64_t row_stride, int64_t column_stride,
          float* packed, int64_t panel_stride) {
  for (int64_t first = 0; first < n; first += kPanel) {
    const int64_t columns = n - first < kPanel ? n - first : kPanel;
    float* panel = packed + first / kPanel * panel_stride;
    const float* source = b + first * column_stride;
    if (columns < kPanel) std::memset(panel, 0, static_cast<size_t>(k * kPanel) * sizeof(float));
    if (column_stride == 1 && columns == kPanel) {
      for (int64_t row = 0; row < k; ++row) {
        Store(panel + row * kPanel, Load(source + row * row_stride));
        Store(panel + row * kPanel + kWidth, Load(source + row * row_stride + kWidth));
      }
    } else if (column_stride == 1) {
      for (int64_t row = 0; row < k; ++row) {
        for (int64_t column = 0; column < columns; ++column) {
          panel[row * kPanel + column] = source[row * row_stride + column];
        }
      }
    } else {
      // Sixteen rows at a time: the written lines stay in the first-level cache.
      for (int64_t top = 0; top < k; top += 16) {
        const int64_t bottom = k - top < 16 ? k : top + 16;
        for (int64_t column = 0; column < columns; ++column) {
          const float* from = source + column * column_stride;
          for (int64_t row = top; row < bottom; ++row) {
            panel[row * kPanel + column] = from[row * row_stride];
          }
        }
      }
    }
  }
}

// One tile of Rows x kPanel. Row pointers go in threes: base, base + stride, base + 2 * stride is
// what an x86 address can say, and twelve pointers would not fit the registers.
template <int Rows>
KERNEL_INLINE void Tile(int64_t k, const float* a, int64_t row_stride, int64_t k_stride,
                        const float* b, float* c, int64_t ldc, bool accumulate) {
  constexpr int kGroups = (Rows + 2) / 3;
  Vec left[Rows];
  Vec right[Rows];
#pragma GCC unroll 16
  for (int row = 0; row < Rows; ++row) {
    left[row] = accumulate ? Load(c + row * ldc) : Vec{};
    right[row] = accumulate ? Load(c + row * ldc + kWidth) : Vec{};
  }
  const float* group[kGroups];
#pragma GCC unroll 16
  for (int index = 0; index < kGroups; ++index) group[index] = a + 3 * index * row_stride;
  for (int64_t depth = 0; depth < k; ++depth) {
    const Vec b_left = Load(b);
    const Vec b_right = Load(b + kWidth);
    b += kPanel;
#pragma GCC unroll 16
    for (int row = 0; row < Rows; ++row) {
      const Vec value = All(group[row / 3][row % 3 * row_stride]);
      left[row] += value * b_left;
      right[row] += value * b_right;
    }
#pragma GCC unroll 16
    for (int index = 0; index < kGroups; ++index) group[index] += k_stride;
  }
#pragma GCC unroll 16
  for (int row = 0; row < Rows; ++row) {
    Store(c + row * ldc, left[row]);
    Store(c + row * ldc + kWidth, right[row]);
  }
}

template <typename Tiles, int Rows, typename Value>
void TileOf(int rows, int64_t k, const Value* a, int64_t row_stride, int64_t k_stride,
            const Value* b, float* c, int64_t ldc, bool accumulate) {
  if constexpr (Rows > 0) {
    if (rows == Rows) {
      Tiles::template Run<Rows>(k, a, row_stride, k_stride, b, c, ldc, accumulate);
    } else {
      TileOf<Tiles, Rows - 1>(rows, k, a, row_stride, k_stride, b, c, ldc, accumulate);
    }
  }
}

// C by tiles; Value is a float, or a word of two bf16.
template <typename Tiles, typename Value>
KERNEL_INLINE void MultiplyTiles(int64_t m, int64_t n, int64_t k, const Value* a,
                                 int64_t row_stride, int64_t k_stride, const Value* packed,
                                 int64_t panel_stride, float* c, int64_t ldc, bool accumulate) {
  float edge[kRows * kPanel];
  for (int64_t first = 0; first < n; first += kPanel) {
    const Value* panel = packed + first / kPanel * panel_stride;
    const int64_t columns = n - first < kPanel ? n - first : kPanel;
    for (int64_t row = 0; row < m; row += kRows) {
      const int rows = static_cast<int>(m - row < kRows ? m - row : kRows);
      const Value* a_row = a + row * row_stride;
      float* c_row = c + row * ldc + first;
      if (columns == kPanel) {
        TileOf<Tiles, kRows>(rows, k, a_row, row_stride, k_stride, panel, c_row, ldc, accumulate);
        continue;
      }
      for (int index = 0; accumulate && index < rows; ++index) {
        for (int64_t column = 0; column < kPanel; ++column) {
          edge[index * kPanel + column] = column < columns ? c_row[index * ldc + column] : 0.0f;
        }
      }
      TileOf<Tiles, kRows>(rows, k, a_row, row_stride, k_stride, panel, edge, kPanel, accumulate);
      for (int index = 0; index < rows; ++index) {
        for (int64_t column = 0; column < columns; ++column) {
          c_row[index * ldc + column] = edge[index * kPanel + column];
        }
      }
    }
  }
}

struct FloatTiles {
  template <int Rows>
  static void Run(int64_t k, const float* a, int64_t row_stride, int64_t k_stride, const float* b,
                  float* c, int64_t ldc, bool accumulate) {
    Tile<Rows>(k, a, row_stride, k_stride, b, c, ldc, accumulate);
  }
};

void Multiply(int64_t m, int64_t n, int64_t k, const float* a, int64_t row_stride, int64_t k_stride,
              const float* packed, int64_t panel_stride, float* c, int64_t ldc, bool accumulate) {
  MultiplyTiles<FloatTiles>(m, n, k, a, row_stride, k_stride, packed, panel_stride, c, ldc,
                            accumulate);
}

#include "train/kernels_bf16.h"

float Dot(int64_t n, const float* a, const float* b) {
  Vec sums[2] = {};
  int64_t index = 0;
  for (; index + 2 * kWidth <= n; index += 2 * kWidth) {
    sums[0] += Load(a + index) * Load(b + index);
    sums[1] += Load(a + index + kWidth) * Load(b + index + kWidth);
  }
  float sum = Sum(sums[0] + sums[1]);
  for (; index < n; ++index) sum += a[index] * b[index];
  return sum;
}

void Axpy(int64_t n, float alpha, const float* x, float* y) {
  int64_t index = 0;
  for (; index + kWidth <= n; index += kWidth) {
    Store(y + index, Load(y + index) + Load(x + index) * alpha);
  }
  for (; index < n; ++index) y[index] += alpha * x[index];
}

float ExpSum(int64_t n, const float* x, float shift, float* y) {
  Vec sums = {};
  int64_t index = 0;
  for (; index + kWidth <= n; index += kWidth) {
    const Vec value = Exp(Load(x + index) + shift);
    Store(y + index, value);
    sums += value;
  }
  float sum = Sum(sums);
  if (index < n) {
    float rest[kWidth] = {};
    std::memcpy(rest, x + index, static_cast<size_t>(n - index) * sizeof(float));
    Store(rest, Exp(Load(rest) + shift));
    for (int64_t lane = 0; index < n; ++lane, ++index) {
      y[index] = rest[lane];
      sum += rest[lane];
    }
  }
  return sum;
}

float Max(int64_t n, const float* x) {
  float best = x[0];
  int64_t index = 0;
  if (n >= kWidth) {
    Vec bests = Load(x);
    for (index = kWidth; index + kWidth <= n; index += kWidth) {
      const Vec value = Load(x + index);
      bests = value > bests ? value : bests;
    }
    for (int lane = 0; lane < kWidth; ++lane) best = bests[lane] > best ? bests[lane] : best;
  }
  for (; index < n; ++index) best = x[index] > best ? x[index] : best;
  return best;
}

// Calls body(offset) for whole vectors, and once more on copies for the rest.
void SwiGlu(int64_t n, const float* gate, const float* up, float* out) {
  int64_t index = 0;
  for (; index + kWidth <= n; index += kWidth) {
    const Vec g = Load(gate + index);
    Store(out + index, g / (Exp(-g) + 1.0f) * Load(up + index));
  }
  if (index == n) return;
  const size_t bytes = static_cast<size_t>(n - index) * sizeof(float);
  float rest[2][kWidth] = {};
  std::memcpy(rest[0], gate + index, bytes);
  std::memcpy(rest[1], up + index, bytes);
  SwiGlu(kWidth, rest[0], rest[1], rest[0]);
  std::memcpy(out + index, rest[0], bytes);
}

void SwiGluBack(int64_t n, const float* gate, const float* up, const float* d_out, float* d_gate,
                float* d_up) {
  int64_t index = 0;
  for (; index + kWidth <= n; index += kWidth) {
    const Vec g = Load(gate + index);
    const Vec d = Load(d_out + index);
    const Vec sigmoid = 1.0f / (Exp(-g) + 1.0f);
    const Vec silu = g * sigmoid;
    Store(d_gate + index, d * Load(up + index) * (sigmoid + silu * (1.0f - sigmoid)));
    Store(d_up + index, d * silu);
  }
  if (index == n) return;
  const size_t bytes = static_cast<size_t>(n - index) * sizeof(float);
  float rest[5][kWidth] = {};
  std::memcpy(rest[0], gate + index, bytes);
  std::memcpy(rest[1], up + index, bytes);
  std::memcpy(rest[2], d_out + index, bytes);
  SwiGluBack(kWidth, rest[0], rest[1], rest[2], rest[3], rest[4]);
  std::memcpy(d_gate + index, rest[3], bytes);
  std::memcpy(d_up + index, rest[4], bytes);
}

void AdamW(int64_t n, const AdamStep& step, const float* grad, float* weight, float* first,
           float* second) {
  for (int64_t index = 0; index < n; ++index) {
    const float g = grad[index] * step.grad_scale;
    const float m = step.beta1 * first[index] + (1.0f - step.beta1) * g;
    const float v = step.beta2 * second[index] + (1.0f - step.beta2) * g * g;
    first[index] = m;
    second[index] = v;
    weight[index] = step.keep * weight[index] -
                    step.rate * m / (__builtin_sqrtf(v) * step.root_scale + step.epsilon);
  }
}

}  // namespace

const Kernels& KERNEL_GETTER() {
#if defined(KERNEL_DOT_PAIRS)
  constexpr bool kInstructions = true;
#else
  constexpr bool kInstructions = false;
#endif
  static constexpr Kernels kernels = {KERNEL_NAME, kPanel,     kInstructions, Pack,       Multiply,
                                      PackPairs,   RoundPairs, MultiplyPairs, Dot,        Axpy,
                                      ExpSum,      Max,        SwiGlu,        SwiGluBack, AdamW};
  return kernels;
}

}  // namespace gristmill::train
