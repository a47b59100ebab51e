// 64-bit hashes of byte strings, the same on every machine: sites, lines, blocks of files.
//
// Sixteen bytes a step, each folded by a 128-bit product. It is no defence against somebody who
// looks for collisions: two lines that collide share a count, and a site has too few of them for
// chance to do that.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace gristmill::sites {

inline uint64_t FoldedProduct(uint64_t left, uint64_t right) {
  const auto product = static_cast<unsigned __int128>(left) * right;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

inline uint64_t HashBytes(std::span<const uint8_t> bytes, uint64_t seed = 0) {
  constexpr uint64_t kFirst = 0x9e3779b97f4a7c15;
  constexpr uint64_t kSecond = 0xd6e8feb86659fd93;
  constexpr uint64_t kThird = 0xa0761d6478bd642f;
  const auto eight = [](const uint8_t* at) {
    uint64_t word;
    std::memcpy(&word, at, 8);
    return word;
  };
  const uint8_t* at = bytes.data();
  size_t left = bytes.size();
  uint64_t hash = seed ^ kThird;
  while (left > 16) {
    hash = FoldedProduct(eight(at) ^ kFirst, eight(at + 8) ^ hash ^ kSecond);
    at += 16;
    left -= 16;
  }
  uint8_t rest[16] = {};
  if (left > 0) std::memcpy(rest, at, left);
  hash = FoldedProduct(eight(rest) ^ kFirst, eight(rest + 8) ^ hash ^ kSecond);
  return FoldedProduct(hash ^ kThird, bytes.size() ^ kFirst);
}

}  // namespace gristmill::sites
