// Hashes of words: FNV-1a over UTF-16 units, 32 bits, and a mixer for sequences and namespaces.
// src/lines/hash.ts has the same two for other uses.
#pragma once

#include <cstdint>

namespace gristmill::pages {

constexpr uint32_t kFnvBase = 0x811c9dc5;
constexpr uint32_t kFnvPrime = 0x01000193;

// A word's hash with one more unit.
constexpr uint32_t HashUnit(uint32_t hash, uint16_t unit) {
  return (hash ^ unit) * kFnvPrime;
}

// Hash of an ordered pair of hashes.
constexpr uint32_t MixHashes(uint32_t left, uint32_t right) {
  uint32_t mixed = (left ^ (right + 0x9e3779b9u + (left << 6))) * 0x85ebca6bu;
  mixed ^= mixed >> 13;
  return mixed * 0xc2b2ae35u;
}

}  // namespace gristmill::pages
