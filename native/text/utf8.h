// UTF-8 over Arrow buffers: validation and code point counts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace gristmill::text {

// Code points of valid UTF-8: bytes that do not continue a sequence.
inline size_t CountCodePoints(std::span<const uint8_t> bytes) {
  size_t count = 0;
  for (const uint8_t byte : bytes) count += (byte & 0xC0) != 0x80;  // vectorised by the compiler
  return count;
}

// True when `bytes` is well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates, at most
// U+10FFFF).
bool IsValidUtf8(std::span<const uint8_t> bytes);

}  // namespace gristmill::text
