#include "engine/logits.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>

namespace gristmill::engine {

namespace {

// Lanes are independent, so that a compiler may fill vectors of any width with them without
// changing the order in which anything is compared.
constexpr size_t kLanes = 32;
// Values of a block: only in the block with the greatest value is its place looked for.
constexpr size_t kBlock = 1024;
constexpr float kLowest = -std::numeric_limits<float>::infinity();

using Lanes = std::array<float, kLanes>;

float Greatest(const Lanes& lanes) {
  float greatest = kLowest;
  for (const float lane : lanes) greatest = lane > greatest ? lane : greatest;
  return greatest;
}

// The greatest of `at(0)`, `at(1)`, … `at(count - 1)`.
template <typename At>
float GreatestOf(size_t count, const At& at) {
  Lanes lanes;
  lanes.fill(kLowest);
  size_t index = 0;
  for (; index + kLanes <= count; index += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      const float value = at(index + lane);
      lanes[lane] = value > lanes[lane] ? value : lanes[lane];
    }
  }
  float greatest = Greatest(lanes);
  for (; index < count; ++index) greatest = at(index) > greatest ? at(index) : greatest;
  return greatest;
}

// The first index of the greatest value; 0 where none is greater than -infinity. `on_block` is told
// of every block, while its values are at hand.
template <typename At, typename OnBlock>
size_t FirstGreatest(size_t count, const At& at, const OnBlock& on_block) {
  float greatest = kLowest;
  size_t place = 0;
  for (size_t begin = 0; begin < count; begin += kBlock) {
    const size_t length = std::min(kBlock, count - begin);
    const float own = GreatestOf(length, [&](size_t index) { return at(begin + index); });
    if (own > greatest) {
      greatest = own;
      place = begin;
    }
    on_block(begin, length);
  }
  if (greatest == kLowest) return 0;
  while (at(place) != greatest) ++place;
  return place;
}

// A finite number less itself is 0, all bits of which are clear; anything else less itself is not.
bool AllFinite(std::span<const float> row) {
  std::array<uint32_t, kLanes> bad{};
  size_t index = 0;
  for (; index + kLanes <= row.size(); index += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      const float value = row[index + lane];
      bad[lane] |= std::bit_cast<uint32_t>(value - value);
    }
  }
  uint32_t any = 0;
  for (const uint32_t lane : bad) any |= lane;
  for (; index < row.size(); ++index) any |= std::bit_cast<uint32_t>(row[index] - row[index]);
  return any == 0;
}

}  // namespace

RowFacts ReduceRow(std::span<const float> row) {
  RowFacts facts;
  facts.best = static_cast<int32_t>(FirstGreatest(
      row.size(), [&](size_t index) { return row[index]; },
      [&](size_t begin, size_t length) {
        facts.finite = facts.finite && AllFinite(row.subspan(begin, length));
      }));
  return facts;
}

int32_t BestOf(const float* row, std::span<const int32_t> allowed) {
  return allowed[FirstGreatest(
      allowed.size(), [&](size_t index) { return row[allowed[index]]; }, [](size_t, size_t) {})];
}

}  // namespace gristmill::engine
