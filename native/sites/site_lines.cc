#include "sites/site_lines.h"

#include <algorithm>
#include <limits>

#include "pages/characters.h"
#include "pages/utf8_units.h"
#include "sites/hash64.h"

namespace gristmill::sites {

namespace {

constexpr size_t kBufferBytes = 4096;

// Folded ASCII, white space as a space; 0 for what begins a longer character.
std::array<uint8_t, 256> MakeFolded() {
  std::array<uint8_t, 256> folded{};
  const auto& characters = pages::Characters();
  for (size_t byte = 0; byte < 128; ++byte) {
    const pages::Character& character = characters[byte];
    folded[byte] = (character.bits & pages::kSpace) != 0 || byte < 32
                       ? uint8_t{' '}
                       : static_cast<uint8_t>(character.folded);
  }
  return folded;
}

const std::array<uint8_t, 256>& Folded() {
  static const std::array<uint8_t, 256> folded = MakeFolded();
  return folded;
}

// A unit of the basic plane as UTF-8.
uint8_t* Put(uint16_t unit, uint8_t* to) {
  if (unit < 0x80) {
    *to++ = static_cast<uint8_t>(unit);
  } else if (unit < 0x800) {
    *to++ = static_cast<uint8_t>(0xC0 | (unit >> 6));
    *to++ = static_cast<uint8_t>(0x80 | (unit & 0x3F));
  } else {
    *to++ = static_cast<uint8_t>(0xE0 | (unit >> 12));
    *to++ = static_cast<uint8_t>(0x80 | ((unit >> 6) & 0x3F));
    *to++ = static_cast<uint8_t>(0x80 | (unit & 0x3F));
  }
  return to;
}

}  // namespace

LineNormaliser::LineNormaliser() : buffer_(kBufferBytes) {}

std::span<const uint8_t> LineNormaliser::Normalise(std::span<const uint8_t> line) {
  if (line.size() > kLongestLine) return {};
  // A byte becomes at most three (what is not UTF-8).
  if (line.size() * 3 + 8 > buffer_.size()) buffer_.resize(line.size() * 3 + 8);
  const std::array<uint8_t, 256>& folded = Folded();
  const auto& characters = pages::Characters();
  const uint8_t* at = line.data();
  const uint8_t* const end = at + line.size();
  uint8_t* const begin = buffer_.data();
  uint8_t* to = begin;
  // Kept beside what is written: reading that back costs several cycles a byte.
  bool was_space = true;
  while (at < end) {
    if (*at < 0x80) {
      const uint8_t byte = folded[*at++];
      const bool is_space = byte == ' ';
      *to = byte;
      // A space behind a space is written over.
      to += (is_space && was_space) ? 0 : 1;
      was_space = is_space;
      continue;
    }
    const pages::DecodedUnits decoded = pages::DecodeUnits(at, end);
    if (decoded.second != 0) {
      to = std::copy(at, at + decoded.length, to);
    } else {
      const pages::Character& character = characters[decoded.first];
      if ((character.bits & pages::kSpace) != 0) {
        *to = ' ';
        to += was_space ? 0 : 1;
        was_space = true;
        at += decoded.length;
        continue;
      }
      to = Put(character.folded, to);
    }
    was_space = false;
    at += decoded.length;
  }
  if (to > begin && to[-1] == ' ') --to;
  return {begin, static_cast<size_t>(to - begin)};
}

uint64_t LineHash(std::span<const uint8_t> normalised) {
  const uint64_t hash = HashBytes(normalised);
  return hash == kPageLine ? 1 : hash;
}

PageSignature::PageSignature() {
  all_.minima.fill(std::numeric_limits<uint64_t>::max());
  long_.minima = all_.minima;
}

void PageSignature::Sketch::Add(uint64_t hash) {
  uint64_t& least = minima[hash & 7];
  least = std::min(least, hash);
  if (n_lines < kFewLines) first[n_lines] = hash;
  ++n_lines;
}

uint64_t PageSignature::Sketch::Hash() {
  std::span<const uint64_t> hashes = minima;
  if (n_lines <= kFewLines) {
    const auto end = first.begin() + static_cast<std::ptrdiff_t>(n_lines);
    std::sort(first.begin(), end);
    const auto distinct = static_cast<size_t>(std::unique(first.begin(), end) - first.begin());
    hashes = {first.data(), distinct};
  }
  return HashBytes({reinterpret_cast<const uint8_t*>(hashes.data()), hashes.size_bytes()});
}

void PageSignature::Add(uint64_t hash, size_t n_bytes) {
  all_.Add(hash);
  if (n_bytes >= kLongLine) long_.Add(hash);
}

uint32_t PageSignature::Value() {
  Sketch& sketch = long_.n_lines >= kLongLines ? long_ : all_;
  return static_cast<uint32_t>(sketch.Hash() >> 32);
}

}  // namespace gristmill::sites
