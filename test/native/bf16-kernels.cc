// Holds products in bf16 against a naive oracle, to the bit: the sets that this processor runs, and
// the one for AVX512-BF16 with its instruction emulated (native/train/kernels_avx512_bf16.cc), so
// that its tiles and layouts are tested on every machine. Compiled and run by
// train-kernels.test.ts; prints one line a set, ends with 1 where one differs.
#include "train/kernels.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

namespace {

float Half(uint32_t word, bool odd) {
  const uint32_t bits = odd ? word & 0xFFFF0000 : word << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// vdpbf16ps as it is documented: the odd product is added first, each is rounded once.
template <typename Sums, typename Words>
Sums DotPairs(Sums sums, const Words& a, const Words& b) {
  for (int lane = 0; lane < 16; ++lane) {
    for (const bool odd : {true, false}) {
      sums[lane] = std::fma(Half(a[lane], odd), Half(b[lane], odd), sums[lane]);
    }
  }
  return sums;
}

}  // namespace

#define KERNEL_WIDTH 16
#define KERNEL_ROWS 12
#define KERNEL_NAME "avx512bf16, emulated"
#define KERNEL_GETTER EmulatedKernels
#define KERNEL_DOT_PAIRS(sum, a, b) DotPairs(sum, a, b)
#include "train/kernels_body.h"

namespace {

using gristmill::train::Kernels;

// Eight bits of significand, ties to even, by arithmetic instead of bits.
float Rounded(float value) {
  if (!std::isfinite(value) || value == 0) return value;
  if (std::fabs(value) < 0x1p-126f) return std::copysign(0.0f, value);
  int exponent;
  const double fraction = std::frexp(static_cast<double>(value), &exponent);
  const double rounded = std::ldexp(std::nearbyint(std::ldexp(fraction, 8)), exponent - 8);
  return std::fabs(rounded) >= 0x1p128 ? std::copysign(INFINITY, value)
                                       : static_cast<float>(rounded);
}

struct Case {
  int64_t m, n, k;
  bool a_by_k, b_by_k, accumulate;
};

bool Differs(const Kernels& kernels, const Case& at, std::mt19937& random) {
  std::normal_distribution<float> normal;
  const auto draw = [&](int64_t count) {
    std::vector<float> values(static_cast<size_t>(count));
    for (float& value : values) {
      value = std::ldexp(normal(random), static_cast<int>(random() % 20) - 10);
    }
    return values;
  };
  std::vector<float> a = draw(at.m * at.k);
  std::vector<float> b = draw(at.k * at.n);
  std::vector<float> c = draw(at.m * at.n);
  a[0] = -0.0f;
  a[a.size() / 2] = 1e-40f;              // subnormal
  b[b.size() / 2] = 1.0f + 0x1p-8f;      // a tie: down, to even
  b[b.size() - 1] = 1.0f + 3 * 0x1p-8f;  // a tie: up, to even
  const int64_t a_row = at.a_by_k ? 1 : at.k, a_k = at.a_by_k ? at.m : 1;
  const int64_t b_k = at.b_by_k ? at.n : 1, b_column = at.b_by_k ? 1 : at.k;
  const int64_t pairs = (at.k + 1) / 2;
  std::vector<float> expected = c;
  for (int64_t row = 0; row < at.m; ++row) {
    for (int64_t column = 0; column < at.n; ++column) {
      float sum = at.accumulate ? c[row * at.n + column] : 0.0f;
      for (int64_t pair = 0; pair < pairs; ++pair) {
        for (const int64_t k : {2 * pair + 1, 2 * pair}) {
          if (k >= at.k) continue;
          sum += Rounded(a[row * a_row + k * a_k]) * Rounded(b[k * b_k + column * b_column]);
        }
      }
      expected[row * at.n + column] = sum;
    }
  }
  const int64_t panels = (at.n + kernels.panel - 1) / kernels.panel;
  std::vector<uint32_t> packed(static_cast<size_t>(panels * kernels.panel * pairs));
  std::vector<uint32_t> words(static_cast<size_t>(at.m * pairs));
  kernels.pack_pairs(at.k, at.n, b.data(), b_k, b_column, packed.data(), kernels.panel * pairs);
  kernels.round_pairs(at.m, at.k, a.data(), a_row, a_k, words.data());
  const bool by_row = a_k == 1;
  kernels.multiply_pairs(at.m, at.n, pairs, words.data(), by_row ? pairs : 1, by_row ? 1 : at.m,
                         packed.data(), kernels.panel * pairs, c.data(), at.n, at.accumulate);
  for (size_t index = 0; index < c.size(); ++index) {
    if (c[index] == expected[index]) continue;
    std::printf("%s: %ld x %ld x %ld, by k %d %d, accumulate %d: [%zu] is %.9g, expected %.9g\n",
                kernels.name, static_cast<long>(at.m), static_cast<long>(at.n),
                static_cast<long>(at.k), at.a_by_k, at.b_by_k, at.accumulate, index,
                static_cast<double>(c[index]), static_cast<double>(expected[index]));
    return true;
  }
  return false;
}

bool Check(const Kernels& kernels) {
  std::mt19937 random(1);
  int count = 0;
  bool failed = false;
  for (const int64_t m : {1, 5, 6, 7, 12, 13, 25}) {
    for (const int64_t n : {1, 8, 15, 16, 31, 33, 65}) {
      for (const int64_t k : {1, 2, 3, 31, 32, 33, 66}) {
        for (int layout = 0; layout < 8; ++layout) {
          failed |=
              Differs(kernels, {m, n, k, (layout & 1) != 0, (layout & 2) != 0, layout > 3}, random);
          count += 1;
        }
      }
    }
  }
  std::printf("%s: %d products%s\n", kernels.name, count, failed ? ", some differ" : "");
  return failed;
}

// Not a number and what is too large stay so.
bool CheckSpecial(const Kernels& kernels) {
  for (const float value : {NAN, INFINITY, -INFINITY, 3.4e38f}) {
    const float one = 1;
    std::vector<uint32_t> packed(static_cast<size_t>(kernels.panel));
    uint32_t word;
    float c = 0;
    kernels.pack_pairs(1, 1, &one, 1, 1, packed.data(), kernels.panel);
    kernels.round_pairs(1, 1, &value, 1, 1, &word);
    kernels.multiply_pairs(1, 1, 1, &word, 1, 1, packed.data(), kernels.panel, &c, 1, false);
    const float expected = std::isfinite(value) ? INFINITY : value;
    if (c == expected || (std::isnan(value) && std::isnan(c))) continue;
    std::printf("%s: %g becomes %g\n", kernels.name, static_cast<double>(value),
                static_cast<double>(c));
    return true;
  }
  return false;
}

}  // namespace

int main() {
  std::vector<const Kernels*> sets = {&gristmill::train::BaselineKernels(),
                                      &gristmill::train::EmulatedKernels()};
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    sets.push_back(&gristmill::train::Avx2Kernels());
  }
#endif
  const Kernels& best = gristmill::train::BestKernels();
  if (std::find(sets.begin(), sets.end(), &best) == sets.end()) sets.push_back(&best);
  bool failed = false;
  for (const Kernels* set : sets) failed |= Check(*set) || CheckSpecial(*set);
  return failed ? 1 : 0;
}
