#include "text/utf8.h"

#include <cstring>

namespace gristmill::text {

namespace {
constexpr uint64_t kHighBits = 0x8080808080808080;
}

bool IsValidUtf8(std::span<const uint8_t> bytes) {
  const uint8_t* at = bytes.data();
  const uint8_t* const end = at + bytes.size();
  const auto continues = [&](size_t offset) { return (at[offset] & 0xC0) == 0x80; };
  while (at < end) {
    if (*at < 0x80) {
      // Thirty-two, then eight ASCII bytes at a time: most text is that.
      uint64_t words[4];
      while (end - at >= 32 && (std::memcpy(words, at, 32),
                                ((words[0] | words[1] | words[2] | words[3]) & kHighBits) == 0)) {
        at += 32;
      }
      while (end - at >= 8 && (std::memcpy(words, at, 8), (words[0] & kHighBits) == 0)) at += 8;
      while (at < end && *at < 0x80) ++at;
      continue;
    }
    // The characters of other scripts follow each other: four bytes say whether the next one is of
    // three, or the next two are of two.
    uint32_t four;
    while (end - at >= 4 && (std::memcpy(&four, at, 4), (four & 0x00C0C0F0) == 0x008080E0)) {
      // Neither overlong nor a surrogate.
      const uint32_t upper = four & 0x0000200F;
      if (upper == 0 || upper == 0x0000200D) break;
      at += 3;
    }
    while (end - at >= 4 && (std::memcpy(&four, at, 4), (four & 0xC0E0C0E0) == 0x80C080C0)) {
      // Neither is overlong.
      if ((four & 0x1E) == 0 || (four & 0x1E0000) == 0) break;
      at += 4;
    }
    if (at == end || *at < 0x80) continue;
    const size_t left = static_cast<size_t>(end - at);
    const uint8_t first = *at;
    if (first >= 0xC2 && first <= 0xDF) {
      if (left < 2 || !continues(1)) return false;
      at += 2;
    } else if (first >= 0xE0 && first <= 0xEF) {
      if (left < 3 || !continues(1) || !continues(2)) return false;
      if (first == 0xE0 && at[1] < 0xA0) return false;  // overlong
      if (first == 0xED && at[1] > 0x9F) return false;  // surrogate
      at += 3;
    } else if (first >= 0xF0 && first <= 0xF4) {
      if (left < 4 || !continues(1) || !continues(2) || !continues(3)) return false;
      if (first == 0xF0 && at[1] < 0x90) return false;  // overlong
      if (first == 0xF4 && at[1] > 0x8F) return false;  // beyond U+10FFFF
      at += 4;
    } else {
      return false;
    }
  }
  return true;
}

}  // namespace gristmill::text
