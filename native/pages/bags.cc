#include "pages/bags.h"

#include <algorithm>

namespace gristmill::pages {

namespace {

// Lines of context on each side of a window's own lines, at most; a quarter of the window where
// that is less.
constexpr int32_t kMaxOverlap = 64;

}  // namespace

void BagWriter::Put(int32_t id, float weight) {
  bags_.ids.push_back(id);
  bags_.weights.push_back(weight);
}

void BagWriter::SetColumns(const float* columns, int32_t count) {
  binned_.resize(static_cast<size_t>(model_.bins.n_features) * kBlock);
  for (int32_t feature = 0; feature < model_.bins.n_features; ++feature) {
    BinValues(model_.bins.CutsOf(feature), columns + feature * kBlock, count,
              binned_.data() + feature * kBlock);
  }
}

void BagWriter::AddBinned(int32_t at) {
  for (int32_t feature = 0; feature < model_.bins.n_features; ++feature) {
    Put(feature * model_.bins.max_bins + binned_[static_cast<size_t>(feature * kBlock + at)], 1);
  }
}

void BagWriter::AddRow(const float* values, int32_t stride) {
  for (int32_t feature = 0; feature < model_.bins.n_features; ++feature) {
    int32_t bin = 0;
    BinValues(model_.bins.CutsOf(feature), values + feature * stride, 1, &bin);
    Put(feature * model_.bins.max_bins + bin, 1);
  }
}

void BagWriter::CloseBag(std::span<const uint32_t> words) {
  const int32_t first_word = model_.bins.n_features * model_.bins.max_bins;
  const auto scale = static_cast<float>(WordScale(static_cast<int64_t>(words.size())));
  for (const uint32_t id : words) Put(first_word + static_cast<int32_t>(id), scale);
  bags_.starts.push_back(static_cast<int32_t>(bags_.ids.size()));
}

Bags Slice(const Bags& bags, int32_t from, int32_t to) {
  Bags part;
  const int32_t begin = bags.starts[static_cast<size_t>(from)];
  const int32_t end = bags.starts[static_cast<size_t>(to)];
  for (int32_t bag = from; bag <= to; ++bag) {
    part.starts.push_back(bags.starts[static_cast<size_t>(bag)] - begin);
  }
  part.ids.assign(bags.ids.begin() + begin, bags.ids.begin() + end);
  part.weights.assign(bags.weights.begin() + begin, bags.weights.begin() + end);
  return part;
}

std::vector<LineWindow> PlanLineWindows(int32_t n_lines, int32_t n_ctx) {
  const int32_t overlap = std::min(kMaxOverlap, n_ctx >> 2);
  std::vector<LineWindow> windows;
  for (int32_t first = 0; first < n_lines;) {
    const int32_t from = std::max(0, first - overlap);
    const int32_t to = std::min(n_lines, from + n_ctx);
    const int32_t last = to == n_lines ? n_lines : to - overlap;
    windows.push_back({from, to, first, last});
    first = last;
  }
  return windows;
}

}  // namespace gristmill::pages
