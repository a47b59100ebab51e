#include "pages/logit_features.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "pages/logarithms.h"

namespace gristmill::pages {

namespace {

constexpr size_t kKeptBytes = size_t{1} << 20;
// Stands for lines beyond the page: surely no content.
constexpr float kOutside = -6;
constexpr float kFar = 12;
constexpr int kOffsets[] = {-4, -3, -2, -1, 1, 2, 3, 4};
struct Reach {
  int32_t before;
  int32_t after;
};
constexpr Reach kMeans[] = {{1, 1}, {3, 3}, {8, 8}, {20, 20}, {5, 0}, {0, 5}, {15, 0}, {0, 15}};
constexpr int32_t kLargestReach = 8;
// From this many lines on a radix sort is faster.
constexpr size_t kRadixLines = 512;

// Order of floats as order of unsigned numbers.
uint32_t OrderOf(float value) {
  const auto bits = std::bit_cast<uint32_t>(value == 0 ? 0.0f : value);
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

}  // namespace

void LogitFeatures::Measure(std::span<const float> logits, std::span<const double> weights) {
  const size_t n_lines = logits.size();
  clamped_.resize(n_lines);
  sums_.resize(n_lines + 1);
  char_sums_.resize(n_lines + 1);
  last_sure_.resize(n_lines);
  next_sure_.resize(n_lines);
  chars_ = 0;
  largest_ = -kLogitBound;
  sums_[0] = 0;
  char_sums_[0] = 0;
  stretch_ = {};
  int32_t sure = -1;
  for (size_t line = 0; line < n_lines; ++line) {
    const float logit = std::max(-kLogitBound, std::min(kLogitBound, logits[line]));
    clamped_[line] = logit;
    const double value = static_cast<double>(logit);
    sums_[line + 1] = sums_[line] + value;
    chars_ += weights[line];
    char_sums_[line + 1] = char_sums_[line] + weights[line] / (1 + std::exp(-value));
    largest_ = std::max(largest_, logit);
    last_sure_[line] = sure;
    if (logit > 0) sure = static_cast<int32_t>(line);
    stretch_.Add(static_cast<int32_t>(line), value);
  }
  sure = -1;
  for (size_t line = n_lines; line-- > 0;) {
    next_sure_[line] = sure;
    if (clamped_[line] > 0) sure = static_cast<int32_t>(line);
  }
  RankLines();
}

void LogitFeatures::RankLines() {
  const size_t n_lines = clamped_.size();
  keys_.resize(n_lines);
  for (size_t line = 0; line < n_lines; ++line) {
    keys_[line] = uint64_t{OrderOf(clamped_[line])} << 32 | line;
  }
  if (n_lines < kRadixLines) {
    std::sort(keys_.begin(), keys_.end());
  } else {
    // Lines are in order already: a stable sort of the upper half, 11 bits at a time.
    spare_.resize(n_lines);
    for (const int shift : {32, 43, 54}) {
      std::array<size_t, 2048> starts{};
      for (const uint64_t key : keys_) ++starts[key >> shift & 2047];
      size_t total = 0;
      for (size_t& own : starts) total += std::exchange(own, total);
      for (const uint64_t key : keys_) spare_[starts[key >> shift & 2047]++] = key;
      keys_.swap(spare_);
    }
  }
  ranks_.resize(n_lines);
  int32_t below = 0;
  for (size_t at = 0; at < n_lines; ++at) {
    if (at > 0 && keys_[at] >> 32 != keys_[at - 1] >> 32) below = static_cast<int32_t>(at);
    ranks_[keys_[at] & 0xffffffffu] = below;
  }
}

void LogitFeatures::Fill(int32_t first, int32_t count, Columns columns) const {
  const auto n_lines = static_cast<int32_t>(clamped_.size());
  const double n = n_lines;
  // Log-odds of the block and of as many lines around it as any column looks at.
  float around[kBlock + 2 * kLargestReach];
  for (int32_t at = 0; at < count + 2 * kLargestReach; ++at) {
    const int32_t line = first + at - kLargestReach;
    const bool is_outside = line < 0 || line >= n_lines;
    around[at] = is_outside ? kOutside : clamped_[static_cast<size_t>(line)];
  }
  const float* const own = around + kLargestReach;
  Columns to = columns;
  const auto next = [&] {
    Columns column = to;
    to += kBlock;
    return column;
  };
  std::copy(own, own + count, next());
  for (const int offset : kOffsets) std::copy(own + offset, own + offset + count, next());
  for (const Reach reach : kMeans) {
    Columns column = next();
    for (int32_t at = 0; at < count; ++at) {
      const int32_t line = first + at;
      const int32_t start = std::max(0, line - reach.before);
      const int32_t end = std::min(n_lines, line + reach.after + 1);
      const int32_t others = end - start - 1;
      const double sum = sums_[static_cast<size_t>(end)] - sums_[static_cast<size_t>(start)] -
                         static_cast<double>(own[at]);
      column[at] = others <= 0 ? kOutside : static_cast<float>(sum / others);
    }
  }
  const double expected = char_sums_.back();
  const auto log = [](double value) { return static_cast<float>(std::log2(value)); };
  std::fill_n(next(), count, static_cast<float>(sums_.back() / n));
  std::fill_n(next(), count, largest_);
  Columns rank = next();
  Columns before = next();
  Columns after = next();
  std::fill_n(next(), count, static_cast<float>(expected / std::max(1.0, chars_)));
  Columns last_sure = next();
  Columns next_sure = next();
  Columns inside_stretch = next();
  Columns to_stretch = next();
  for (int32_t at = 0; at < count; ++at) {
    const int32_t line = first + at;
    const auto index = static_cast<size_t>(line);
    rank[at] = static_cast<float>(ranks_[index] / n);
    // Content characters expected before and after.
    before[at] = log(1 + char_sums_[index]);
    after[at] = log(1 + expected - char_sums_[index + 1]);
    last_sure[at] = last_sure_[index] < 0 ? kFar : LogOf(line - last_sure_[index]);
    next_sure[at] = next_sure_[index] < 0 ? kFar : LogOf(next_sure_[index] - line);
    const bool inside = stretch_.Holds(line);
    inside_stretch[at] = inside ? 1.0f : 0.0f;
    const float distance = inside ? 0.0f : LogOf(stretch_.DistanceTo(line));
    to_stretch[at] = stretch_.IsBehind(line) ? -distance : distance;
  }
  for (const int direction : {1, -1}) {
    Columns column = next();
    std::fill_n(column, count, kOutside);
    for (int32_t distance = 1; distance <= kLargestReach; ++distance) {
      const float* const other = own + direction * distance;
      for (int32_t at = 0; at < count; ++at) column[at] = std::max(column[at], other[at]);
    }
  }
}

void LogitFeatures::Trim() {
  const auto trim = [](auto& vector) {
    if (vector.capacity() * sizeof(vector[0]) > kKeptBytes) vector = {};
  };
  trim(clamped_);
  trim(sums_);
  trim(char_sums_);
  trim(ranks_);
  trim(last_sure_);
  trim(next_sure_);
  trim(keys_);
  trim(spare_);
}

}  // namespace gristmill::pages
