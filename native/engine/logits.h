// Rows of logits reduced to what decoding takes of them.
//
// Both functions give what a loop over the row gives that keeps the first value greater than all
// before it (a value that is no number is greater than none): the first index of the greatest
// value, whatever the width of the vectors that it was found with. -0 and 0 are equal.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace gristmill::engine {

struct RowFacts {
  int32_t best = 0;    // index of the greatest value; 0 where none is greater than -infinity
  bool finite = true;  // every value is a finite number
};

// Rows that one thread takes at a time: for less than a tenth of a millisecond's work no thread is
// worth its start.
inline size_t RowsAtOnce(size_t n_values) {
  constexpr size_t kValues = size_t{1} << 18;
  return std::max<size_t>(1, kValues / std::max<size_t>(1, n_values));
}

// One pass over `row`, which is not empty.
RowFacts ReduceRow(std::span<const float> row);

// The one of `allowed` whose value is the greatest, the first of them where several are; the first
// where no value is greater than -infinity. `allowed` is not empty and holds indices of the row.
int32_t BestOf(const float* row, std::span<const int32_t> allowed);

}  // namespace gristmill::engine
