// Products in bf16, part of kernels_body.h and included there, within its target region and its
// namespace (kernels.h has the layouts).

typedef uint32_t WordVec __attribute__((vector_size(KERNEL_WIDTH * 4)));
typedef uint32_t WordVecInMemory
    __attribute__((vector_size(KERNEL_WIDTH * 4), aligned(4), may_alias));

constexpr uint32_t kHighHalf = 0xFFFF0000;
constexpr int64_t kPairBlock = 16;

// To the nearest bf16, ties to even, in the high half of the word; subnormals become zero, what is
// not a number stays so.
KERNEL_INLINE uint32_t RoundToHigh(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  const uint32_t magnitude = bits & 0x7FFFFFFF;
  const uint32_t rounded = (bits + 0x7FFF + (bits >> 16 & 1)) & kHighHalf;
  const uint32_t kept = magnitude < 0x00800000 ? bits & 0x80000000 : rounded;
  return magnitude > 0x7F800000 ? (bits & kHighHalf) | 0x00400000 : kept;
}
KERNEL_INLINE uint32_t PairOf(float even, float odd) {
  return RoundToHigh(even) >> 16 | RoundToHigh(odd);
}

// `k` neighbouring floats as words.
KERNEL_INLINE void RoundLine(int64_t k, const float* __restrict from, uint32_t* __restrict to) {
  for (int64_t pair = 0; pair < k / 2; ++pair) {
    to[pair] = PairOf(from[2 * pair], from[2 * pair + 1]);
  }
  if (k % 2 != 0) to[k / 2] = PairOf(from[k - 1], 0.0f);
}
// Two lines of floats, side by side in the words.
KERNEL_INLINE void RoundTwo(int64_t n, const float* __restrict even, const float* __restrict odd,
                            uint32_t* __restrict to) {
  for (int64_t at = 0; at < n; ++at) to[at] = PairOf(even[at], odd[at]);
}
KERNEL_INLINE void RoundOne(int64_t n, const float* __restrict even, uint32_t* __restrict to) {
  for (int64_t at = 0; at < n; ++at) to[at] = PairOf(even[at], 0.0f);
}

void PackPairs(int64_t k, int64_t n, const float* b, int64_t row_stride, int64_t column_stride,
               uint32_t* packed, int64_t panel_stride) {
  const int64_t pairs = (k + 1) / 2;
  for (int64_t first = 0; first < n; first += kPanel) {
    const int64_t columns = n - first < kPanel ? n - first : kPanel;
    uint32_t* panel = packed + first / kPanel * panel_stride;
    const float* source = b + first * column_stride;
    if (columns < kPanel) std::memset(panel, 0, static_cast<size_t>(pairs * kPanel) * 4);
    if (column_stride == 1) {
      for (int64_t row = 0; row < k; row += 2) {
        const float* even = source + row * row_stride;
        uint32_t* to = panel + row / 2 * kPanel;
        if (row + 1 < k) {
          RoundTwo(columns, even, even + row_stride, to);
        } else {
          RoundOne(columns, even, to);
        }
      }
      continue;
    }
    // Some pairs of every column at a time: the written lines stay in the first-level cache.
    for (int64_t top = 0; top < k; top += 2 * kPairBlock) {
      const int64_t rows = k - top < 2 * kPairBlock ? k - top : 2 * kPairBlock;
      for (int64_t column = 0; column < columns; ++column) {
        const float* from = source + column * column_stride + top * row_stride;
        float line[2 * kPairBlock];
        uint32_t words[kPairBlock];
        if (row_stride != 1) {
          for (int64_t row = 0; row < rows; ++row) line[row] = from[row * row_stride];
          from = line;
        }
        RoundLine(rows, from, words);
        uint32_t* to = panel + top / 2 * kPanel + column;
        for (int64_t pair = 0; pair < (rows + 1) / 2; ++pair) to[pair * kPanel] = words[pair];
      }
    }
  }
}

void RoundPairs(int64_t m, int64_t k, const float* a, int64_t row_stride, int64_t k_stride,
                uint32_t* words) {
  const int64_t pairs = (k + 1) / 2;
  if (k_stride == 1) {
    for (int64_t row = 0; row < m; ++row) RoundLine(k, a + row * row_stride, words + row * pairs);
    return;
  }
  for (int64_t depth = 0; depth < k; depth += 2) {
    const float* even = a + depth * k_stride;
    uint32_t* to = words + depth / 2 * m;
    if (row_stride == 1 && depth + 1 < k) {
      RoundTwo(m, even, even + k_stride, to);
      continue;
    }
    for (int64_t row = 0; row < m; ++row) {
      const float* from = even + row * row_stride;
      to[row] = PairOf(*from, depth + 1 < k ? from[k_stride] : 0.0f);
    }
  }
}

KERNEL_INLINE WordVec LoadWords(const uint32_t* from) {
  return *reinterpret_cast<const WordVecInMemory*>(from);
}
KERNEL_INLINE WordVec AllWords(uint32_t word) {
  return WordVec{} + word;
}

// One tile, as Tile().
template <int Rows>
KERNEL_INLINE void TilePairs(int64_t pairs, const uint32_t* a, int64_t row_stride,
                             int64_t pair_stride, const uint32_t* b, float* c, int64_t ldc,
                             bool accumulate) {
  constexpr int kGroups = (Rows + 2) / 3;
  Vec left[Rows];
  Vec right[Rows];
#pragma GCC unroll 16
  for (int row = 0; row < Rows; ++row) {
    left[row] = accumulate ? Load(c + row * ldc) : Vec{};
    right[row] = accumulate ? Load(c + row * ldc + kWidth) : Vec{};
  }
  const uint32_t* group[kGroups];
#pragma GCC unroll 16
  for (int index = 0; index < kGroups; ++index) group[index] = a + 3 * index * row_stride;
  for (int64_t pair = 0; pair < pairs; ++pair) {
    const WordVec b_left = LoadWords(b);
    const WordVec b_right = LoadWords(b + kWidth);
    b += kPanel;
#if defined(KERNEL_DOT_PAIRS)
#pragma GCC unroll 16
    for (int row = 0; row < Rows; ++row) {
      const WordVec words = AllWords(group[row / 3][row % 3 * row_stride]);
      left[row] = KERNEL_DOT_PAIRS(left[row], words, b_left);
      right[row] = KERNEL_DOT_PAIRS(right[row], words, b_right);
    }
#else
    // All odd products, then all even ones: so sixteen registers are enough.
    {
      const Vec b_left_odd = Vec(b_left & kHighHalf);
      const Vec b_right_odd = Vec(b_right & kHighHalf);
#pragma GCC unroll 16
      for (int row = 0; row < Rows; ++row) {
        const Vec odd = Vec(AllWords(group[row / 3][row % 3 * row_stride]) & kHighHalf);
        left[row] += odd * b_left_odd;
        right[row] += odd * b_right_odd;
      }
    }
    {
      const Vec b_left_even = Vec(b_left << 16);
      const Vec b_right_even = Vec(b_right << 16);
#pragma GCC unroll 16
      for (int row = 0; row < Rows; ++row) {
        const Vec even = Vec(AllWords(group[row / 3][row % 3 * row_stride]) << 16);
        left[row] += even * b_left_even;
        right[row] += even * b_right_even;
      }
    }
#endif
#pragma GCC unroll 16
    for (int index = 0; index < kGroups; ++index) group[index] += pair_stride;
  }
#pragma GCC unroll 16
  for (int row = 0; row < Rows; ++row) {
    Store(c + row * ldc, left[row]);
    Store(c + row * ldc + kWidth, right[row]);
  }
}

struct PairTiles {
  template <int Rows>
  static void Run(int64_t pairs, const uint32_t* a, int64_t row_stride, int64_t pair_stride,
                  const uint32_t* b, float* c, int64_t ldc, bool accumulate) {
    TilePairs<Rows>(pairs, a, row_stride, pair_stride, b, c, ldc, accumulate);
  }
};

void MultiplyPairs(int64_t m, int64_t n, int64_t pairs, const uint32_t* a, int64_t row_stride,
                   int64_t pair_stride, const uint32_t* packed, int64_t panel_stride, float* c,
                   int64_t ldc, bool accumulate) {
  MultiplyTiles<PairTiles>(m, n, pairs, a, row_stride, pair_stride, packed, panel_stride, c, ldc,
                           accumulate);
}
