#include "text/utf8.h"

#include <cstring>

namespace gristmill::text {

bool IsValidUtf8(std::span<const uint8_t> bytes) {
  const uint8_t* at = bytes.data();
  const uint8_t* const end = at + bytes.size();
  const auto continues = [&](size_t offset) { return (at[offset] & 0xC0) == 0x80; };
  while (at < end) {
    // Eight ASCII bytes at a time: most text is that.
    uint64_t eight;
    if (end - at >= 8 && (std::memcpy(&eight, at, 8), (eight & 0x8080808080808080ULL) == 0)) {
      at += 8;
      continue;
    }
    const size_t left = static_cast<size_t>(end - at);
    const uint8_t lead = *at;
    if (lead < 0x80) {
      at += 1;
    } else if (lead >= 0xC2 && lead <= 0xDF) {
      if (left < 2 || !continues(1)) return false;
      at += 2;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
      if (left < 3 || !continues(1) || !continues(2)) return false;
      if (lead == 0xE0 && at[1] < 0xA0) return false;  // overlong
      if (lead == 0xED && at[1] > 0x9F) return false;  // surrogate
      at += 3;
    } else if (lead >= 0xF0 && lead <= 0xF4) {
      if (left < 4 || !continues(1) || !continues(2) || !continues(3)) return false;
      if (lead == 0xF0 && at[1] < 0x90) return false;  // overlong
      if (lead == 0xF4 && at[1] > 0x8F) return false;  // beyond U+10FFFF
      at += 4;
    } else {
      return false;
    }
  }
  return true;
}

}  // namespace gristmill::text
