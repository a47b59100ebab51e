#include "mixture/histogram.h"

#include <cstring>

#include "mixture/instructions.h"

namespace gristmill::mixture {

namespace {

struct LaneBest {
  double squares[kHistogramLanes];   // (n g_left - n_left g)² at the best bin
  double products[kHistogramLanes];  // n_left · n_right there
  double bins[kHistogramLanes];
  double gradients[kHistogramLanes];
  double counts[kHistogramLanes];
};

// The best bin of every lane of one group. The gain of a split is square / (n · product): two of
// them are compared by multiplying across, without a division.
template <size_t kWidth>
__attribute__((always_inline)) inline void ScanBody(const double* histogram, size_t n_bins,
                                                    size_t bin_stride, size_t n_lanes,
                                                    const LeafTotals& totals, double min_leaf,
                                                    LaneBest& best) {
  typedef double Vector __attribute__((vector_size(kWidth * sizeof(double)), aligned(8)));
  typedef int64_t Mask __attribute__((vector_size(kWidth * sizeof(double))));
  for (size_t lane = 0; lane < kHistogramLanes; lane += kWidth) {
    Vector gradients = {};
    Vector counts = {};
    Vector best_squares = {};
    Vector best_products = {};
    Vector best_bins = {};
    Vector best_gradients = {};
    Vector best_counts = {};
    best_products += 1;
    Vector at_bin = {};
    for (size_t bin = 0; bin + 1 < n_bins; ++bin, at_bin += 1) {
      const double* const values = histogram + bin * bin_stride + lane;
      gradients += *reinterpret_cast<const Vector*>(values);
      counts += *reinterpret_cast<const Vector*>(values + n_lanes);
      const Vector right = totals.count - counts;
      const Vector off = totals.count * gradients - totals.gradient * counts;
      const Vector squares = off * off;
      const Vector products = counts * right;
      const Mask better = (Mask)(squares * best_products > best_squares * products) &
                          (Mask)(counts >= min_leaf) & (Mask)(right >= min_leaf);
      best_squares = better ? squares : best_squares;
      best_products = better ? products : best_products;
      best_bins = better ? at_bin : best_bins;
      best_gradients = better ? gradients : best_gradients;
      best_counts = better ? counts : best_counts;
    }
    std::memcpy(best.squares + lane, &best_squares, sizeof(Vector));
    std::memcpy(best.products + lane, &best_products, sizeof(Vector));
    std::memcpy(best.bins + lane, &best_bins, sizeof(Vector));
    std::memcpy(best.gradients + lane, &best_gradients, sizeof(Vector));
    std::memcpy(best.counts + lane, &best_counts, sizeof(Vector));
  }
}

using Scan = void (*)(const double*, size_t, size_t, size_t, const LeafTotals&, double, LaneBest&);

void ScanBaseline(const double* histogram, size_t n_bins, size_t bin_stride, size_t n_lanes,
                  const LeafTotals& totals, double min_leaf, LaneBest& best) {
  ScanBody<2>(histogram, n_bins, bin_stride, n_lanes, totals, min_leaf, best);
}
#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) void ScanAvx2(const double* histogram, size_t n_bins,
                                                  size_t bin_stride, size_t n_lanes,
                                                  const LeafTotals& totals, double min_leaf,
                                                  LaneBest& best) {
  ScanBody<4>(histogram, n_bins, bin_stride, n_lanes, totals, min_leaf, best);
}
__attribute__((target("avx512f,avx512dq,avx512vl,avx2,fma"))) void ScanAvx512(
    const double* histogram, size_t n_bins, size_t bin_stride, size_t n_lanes,
    const LeafTotals& totals, double min_leaf, LaneBest& best) {
  ScanBody<8>(histogram, n_bins, bin_stride, n_lanes, totals, min_leaf, best);
}
#endif

Scan BestScan() {
  switch (BestInstructions()) {
#if defined(__x86_64__)
    case Instructions::kAvx512:
      return ScanAvx512;
    case Instructions::kAvx2:
      return ScanAvx2;
#endif
    default:
      return ScanBaseline;
  }
}

}  // namespace

Split BestSplit(const double* histogram, size_t n_bins, size_t n_lanes, const LeafTotals& totals,
                double min_leaf) {
  const Scan scan = BestScan();
  Split split;
  LaneBest best;
  for (size_t group = 0; group < n_lanes; group += kHistogramLanes) {
    scan(histogram + group, n_bins, 2 * n_lanes, n_lanes, totals, min_leaf, best);
    for (size_t lane = 0; lane < kHistogramLanes; ++lane) {
      const double gain = best.squares[lane] / (best.products[lane] * totals.count);
      if (gain <= split.gain) continue;
      split = {gain,
               static_cast<int32_t>(group + lane),
               static_cast<int32_t>(best.bins[lane]),
               {best.gradients[lane], best.counts[lane]}};
    }
  }
  return split;
}

void SubtractHistogram(const double* parent, const double* child, double* target, size_t count) {
  for (size_t at = 0; at < count; ++at) target[at] = parent[at] - child[at];
}

}  // namespace gristmill::mixture
