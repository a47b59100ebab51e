#include "mixture/split.h"

#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "mixture/instructions.h"

namespace gristmill::mixture {

namespace {

constexpr size_t kLanes = 4;  // on every processor: the width is part of the order of sums

typedef double Vector __attribute__((vector_size(kLanes * sizeof(double))));
typedef double VectorInMemory
    __attribute__((vector_size(kLanes * sizeof(double)), aligned(8), may_alias));
typedef int64_t Mask __attribute__((vector_size(kLanes * sizeof(double))));

typedef uint32_t Entries __attribute__((vector_size(kLanes * sizeof(Entry))));
typedef int32_t Signs __attribute__((vector_size(kLanes * sizeof(Entry))));
typedef uint32_t EntriesInMemory
    __attribute__((vector_size(kLanes * sizeof(Entry)), aligned(4), may_alias));

#define SPLIT_INLINE __attribute__((always_inline)) inline

#if defined(__clang__)
#define SPLIT_SHUFFLE(value, a, b, c, d) __builtin_shufflevector(value, Vector{}, a, b, c, d)
#else
#define SPLIT_SHUFFLE(value, a, b, c, d) __builtin_shuffle(value, Vector{}, Mask{a, b, c, d})
#endif

// The gains of one block of a list and the sums that they were made of. The carry between blocks is
// one addition.
struct Block {
  Vector sums;
  Vector gains;
};
SPLIT_INLINE Block GainsOf(const Entry* block, size_t first, const double* gradients,
                           const SplitTerms& terms, Vector& before) {
  Vector sums = {gradients[block[0] >> 8], gradients[block[1] >> 8], gradients[block[2] >> 8],
                 gradients[block[3] >> 8]};
  sums += SPLIT_SHUFFLE(sums, 4, 0, 1, 2);
  sums += SPLIT_SHUFFLE(sums, 4, 5, 0, 1);
  const Vector total = SPLIT_SHUFFLE(sums, 3, 3, 3, 3);
  sums += before;
  before += total;
  const Vector off = sums - *reinterpret_cast<const VectorInMemory*>(&terms.means[first]);
  return {sums, off * off * *reinterpret_cast<const VectorInMemory*>(&terms.factors[first])};
}

template <typename Lanes>
SPLIT_INLINE void SearchBody(std::span<const Entry> list, const double* gradients,
                             const SplitTerms& terms, int32_t domain, Split& split) {
  const size_t count = list.size();
  Vector before = {};
  const auto take = [&](const Block& block, size_t first, size_t size, const Entry* next) {
    for (size_t lane = 0; lane < size; ++lane) {
      const Entry following = first + lane + 1 < count ? next[lane] & 255 : 0;
      if (following == (list[first + lane] & 255) || !(block.gains[lane] > split.gain)) continue;
      split = {block.gains[lane],
               domain,
               static_cast<int32_t>(following),
               {block.sums[lane], static_cast<double>(first + lane + 1)}};
    }
  };
  size_t first = 0;
  for (; first + kLanes < count; first += kLanes) {
    const Entry* const entries = &list[first];
    const Block block = GainsOf(entries, first, gradients, terms, before);
    // Runs of one bin cannot be parted.
    const Entries parted = (*reinterpret_cast<const EntriesInMemory*>(entries) ^
                            *reinterpret_cast<const EntriesInMemory*>(entries + 1)) &
                           255;
    const Mask better =
        (Mask)(block.gains > split.gain) & __builtin_convertvector((Signs)(parted != 0), Mask);
    if (Lanes::Any(better)) take(block, first, kLanes, entries + 1);
  }
  if (first == count) return;
  Entry tail[kLanes] = {};
  for (size_t at = first; at < count; ++at) tail[at - first] = list[at];
  take(GainsOf(tail, first, gradients, terms, before), first, count - first, tail + 1);
}

using Search = void (*)(std::span<const Entry>, const double*, const SplitTerms&, int32_t, Split&);

struct BaselineLanes {
  static SPLIT_INLINE bool Any(const Mask& mask) {
    return (mask[0] | mask[1] | mask[2] | mask[3]) != 0;
  }
};
void SearchBaseline(std::span<const Entry> list, const double* gradients, const SplitTerms& terms,
                    int32_t domain, Split& split) {
  SearchBody<BaselineLanes>(list, gradients, terms, domain, split);
}
#if defined(__x86_64__)
struct Avx2Lanes {
  __attribute__((target("avx2"))) static inline bool Any(const Mask& mask) {
    return _mm256_movemask_pd((__m256d)mask) != 0;
  }
};
__attribute__((target("avx2"))) void SearchAvx2(std::span<const Entry> list,
                                                const double* gradients, const SplitTerms& terms,
                                                int32_t domain, Split& split) {
  SearchBody<Avx2Lanes>(list, gradients, terms, domain, split);
}
#endif

Search BestSearch() {
#if defined(__x86_64__)
  if (BestInstructions() != Instructions::kBaseline) return SearchAvx2;
#endif
  return SearchBaseline;
}

}  // namespace

void SplitTerms::Set(const LeafTotals& totals, double min_leaf) {
  const size_t count = static_cast<size_t>(totals.count);
  means.resize(count + kLanes);
  factors.resize(count + kLanes);
  const double mean = totals.gradient / totals.count;
  for (size_t at = 0; at < count + kLanes; ++at) {
    const double right = static_cast<double>(at + 1);
    const double left = totals.count - right;
    means[at] = mean * right;
    factors[at] = right >= min_leaf && left >= min_leaf ? totals.count / (right * left) : 0;
  }
}

void SearchSplit(std::span<const Entry> list, const double* gradients, const SplitTerms& terms,
                 int32_t domain, Split& split) {
  static const Search search = BestSearch();
  search(list, gradients, terms, domain, split);
}

size_t PartList(std::span<Entry> list, const uint8_t* goes_left, Entry* spare) {
  size_t left = 0;
  size_t right = 0;
  // Both places are written and one of them is kept: a branch would be guessed wrong every other
  // time.
  for (const Entry entry : list) {
    const size_t low = goes_left[entry >> 8];
    list[left] = entry;
    spare[right] = entry;
    left += low;
    right += 1 - low;
  }
  std::memcpy(list.data() + left, spare, right * sizeof(Entry));
  return left;
}

}  // namespace gristmill::mixture
