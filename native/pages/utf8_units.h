// UTF-8 as UTF-16 units, as the decoder of the web platform gives them: what is not UTF-8 becomes
// U+FFFD, one for every longest part that could have begun a character (WHATWG Encoding).
#pragma once

#include <cstdint>

namespace gristmill::pages {

constexpr uint16_t kReplacement = 0xFFFD;

// One character that begins with a byte of 0x80 and above.
struct DecodedUnits {
  uint16_t first;
  uint16_t second;  // 0 unless `first` is a high surrogate
  uint32_t length;  // in bytes, at least 1
};

// Decodes at `at`, which is below `end`.
inline DecodedUnits DecodeUnits(const uint8_t* at, const uint8_t* end) {
  const uint8_t lead = *at;
  uint32_t needed;
  uint32_t code;
  uint8_t low = 0x80;
  uint8_t high = 0xBF;
  if (lead >= 0xC2 && lead <= 0xDF) {
    needed = 1;
    code = lead & 0x1F;
  } else if ((lead & 0xF0) == 0xE0) {
    needed = 2;
    code = lead & 0x0F;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    needed = 3;
    code = lead & 0x07;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
  } else {
    return {kReplacement, 0, 1};
  }
  for (uint32_t index = 1; index <= needed; ++index) {
    if (at + index >= end || at[index] < low || at[index] > high) return {kReplacement, 0, index};
    low = 0x80;
    high = 0xBF;
    code = (code << 6) | (at[index] & 0x3F);
  }
  if (code < 0x10000) return {static_cast<uint16_t>(code), 0, needed + 1};
  code -= 0x10000;
  return {static_cast<uint16_t>(0xD800 + (code >> 10)),
          static_cast<uint16_t>(0xDC00 + (code & 0x3FF)), needed + 1};
}

}  // namespace gristmill::pages
