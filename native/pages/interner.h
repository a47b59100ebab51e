// Numbers for 32-bit keys in the order in which they first come: 0, 1, 2, …
//
// Open addressing over a power of two that is at most half full; a table is made ready for a page
// by clearing as much of it as the page is likely to need.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace gristmill::pages {

class Interner {
 public:
  // Forgets all keys. `n_expected` of them need no growth.
  void Reset(size_t n_expected) {
    const size_t size = std::bit_ceil(std::clamp<size_t>(2 * n_expected, 64, kMaxFirstSize));
    slots_.assign(size, Slot{});
    n_keys_ = 0;
  }

  // Gives all memory back.
  void Release() { *this = Interner(); }

  uint32_t size() const { return n_keys_; }

  // The number of `key`; equal to the former size() when it is new.
  uint32_t Add(uint32_t key) {
    for (size_t slot = Home(key);; slot = (slot + 1) & (slots_.size() - 1)) {
      Slot& found = slots_[slot];
      if (found.number_plus_one == 0) {
        found = {key, ++n_keys_};
        const uint32_t number = n_keys_ - 1;
        if (2 * size_t{n_keys_} > slots_.size()) Grow();
        return number;
      }
      if (found.key == key) return found.number_plus_one - 1;
    }
  }

 private:
  struct Slot {
    uint32_t key = 0;
    uint32_t number_plus_one = 0;
  };
  static constexpr size_t kMaxFirstSize = 1 << 16;

  // Keys are hashes or small numbers: a product spreads both.
  size_t Home(uint32_t key) const {
    return (key * uint64_t{0x9e3779b97f4a7c15} >> 32) & (slots_.size() - 1);
  }

  void Grow() {
    std::vector<Slot> old(4 * slots_.size());
    old.swap(slots_);
    for (const Slot& entry : old) {
      if (entry.number_plus_one == 0) continue;
      size_t slot = Home(entry.key);
      while (slots_[slot].number_plus_one != 0) slot = (slot + 1) & (slots_.size() - 1);
      slots_[slot] = entry;
    }
  }

  std::vector<Slot> slots_ = std::vector<Slot>(64);
  uint32_t n_keys_ = 0;
};

}  // namespace gristmill::pages
