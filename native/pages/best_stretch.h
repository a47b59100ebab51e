// The stretch of consecutive lines whose values have the largest sum, while they are given in order
// (Kadane 1984). Empty, from 0 to 0, when no sum is above 0.
#pragma once

#include <cstdint>

namespace gristmill::pages {

template <typename Value>
class BestStretch {
 public:
  void Add(int32_t line, Value value) {
    sum_ += value;
    if (sum_ <= 0) {
      sum_ = 0;
      from_ = line + 1;
    } else if (sum_ > best_) {
      best_ = sum_;
      start_ = from_;
      end_ = line + 1;
    }
  }

  bool IsEmpty() const { return end_ == 0; }
  bool Holds(int32_t line) const { return line >= start_ && line < end_; }
  bool IsBehind(int32_t line) const { return line < start_; }
  // Lines from one outside to the stretch: 1 for its neighbours.
  int32_t DistanceTo(int32_t line) const {
    return IsBehind(line) ? start_ - line : line - end_ + 1;
  }

 private:
  Value best_ = 0;
  Value sum_ = 0;
  int32_t from_ = 0;
  int32_t start_ = 0;
  int32_t end_ = 0;
};

}  // namespace gristmill::pages
