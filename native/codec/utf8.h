// UTF-8 validity of a byte string (RFC 3629: no overlong forms, no surrogates, at most U+10FFFF).
#pragma once

#include <cstdint>
#include <cstring>
#include <span>

namespace gristmill::codec {

inline bool IsUtf8(std::span<const uint8_t> bytes) {
  const uint8_t* cursor = bytes.data();
  const uint8_t* const end = cursor + bytes.size();
  while (cursor < end) {
    // Most corpora are mostly ASCII: 32 bytes at a time, which compilers turn into vector code.
    while (end - cursor >= 32) {
      uint64_t words[4];
      std::memcpy(words, cursor, 32);
      if ((words[0] | words[1] | words[2] | words[3]) & 0x8080808080808080ull) break;
      cursor += 32;
    }
    // One stretch at a time: past the non-ASCII part the loop above takes over again.
    const uint8_t* const stretch = end - cursor > 32 ? cursor + 32 : end;
    while (cursor < stretch) {
      const uint8_t lead = *cursor;
      if (lead < 0x80) {
        cursor++;
        continue;
      }
      const auto tail = [&](int k) { return (cursor[k] & 0xc0) == 0x80; };
      const auto left = end - cursor;
      if (lead >= 0xc2 && lead <= 0xdf) {
        if (left < 2 || !tail(1)) return false;
        cursor += 2;
      } else if ((lead & 0xf0) == 0xe0) {
        if (left < 3 || !tail(1) || !tail(2)) return false;
        if (lead == 0xe0 && cursor[1] < 0xa0) return false;
        if (lead == 0xed && cursor[1] > 0x9f) return false;
        cursor += 3;
      } else if (lead >= 0xf0 && lead <= 0xf4) {
        if (left < 4 || !tail(1) || !tail(2) || !tail(3)) return false;
        if (lead == 0xf0 && cursor[1] < 0x90) return false;
        if (lead == 0xf4 && cursor[1] > 0x8f) return false;
        cursor += 4;
      } else {
        return false;
      }
    }
  }
  return true;
}

}  // namespace gristmill::codec
