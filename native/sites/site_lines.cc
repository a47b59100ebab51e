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

// By UTF-16 unit, what it counts as; 0 for white space. A third of what else is known of it: the
// caches hold more of it.
std::vector<uint16_t> MakeFoldedUnits() {
  std::vector<uint16_t> folded(65536);
  const auto& characters = pages::Characters();
  for (size_t unit = 0; unit < folded.size(); ++unit) {
    const pages::Character& character = characters[unit];
    folded[unit] = (character.bits & pages::kSpace) != 0 ? uint16_t{0} : character.folded;
  }
  return folded;
}

const uint16_t* FoldedUnits() {
  static const std::vector<uint16_t> folded = MakeFoldedUnits();
  return folded.data();
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

// pages::DecodeUnits, with a short way for characters of two bytes and for well-formed ones of
// three.
pages::DecodedUnits Decode(const uint8_t* at, const uint8_t* end) {
  if (end - at >= 3) {
    const uint32_t lead = at[0];
    const uint32_t second = at[1];
    if (lead >= 0xC2 && lead <= 0xDF && (second & 0xC0) == 0x80) {
      return {static_cast<uint16_t>((lead & 0x1F) << 6 | (second & 0x3F)), 0, 2};
    }
    if (lead > 0xE0 && lead <= 0xEF && lead != 0xED && (second & 0xC0) == 0x80 &&
        (at[2] & 0xC0) == 0x80) {
      return {static_cast<uint16_t>((lead & 0x0F) << 12 | (second & 0x3F) << 6 | (at[2] & 0x3F)), 0,
              3};
    }
  }
  return pages::DecodeUnits(at, end);
}

constexpr size_t kBlock = 16;
using Block = uint8_t __attribute__((vector_size(kBlock)));

// Folds sixteen bytes at once. False, with `to` undefined, where one of them is not ASCII or a
// space stands behind a space: those go one by one.
bool FoldBlock(const uint8_t* from, uint8_t* to, bool& was_space) {
  Block bytes;
  std::memcpy(&bytes, from, kBlock);
  const auto is_upper = reinterpret_cast<Block>((bytes - 'A') < 26);
  const auto is_digit = reinterpret_cast<Block>((bytes - '0') < 10);
  const auto is_space = reinterpret_cast<Block>(bytes <= ' ');
  Block folded = bytes | (is_upper & 0x20);
  folded = (folded & ~is_digit) | (is_digit & '0');
  folded = (folded & ~is_space) | (is_space & ' ');
  uint64_t halves[2];
  uint64_t spaces[2];
  std::memcpy(halves, &bytes, kBlock);
  std::memcpy(spaces, &is_space, kBlock);
  uint64_t behind = spaces[0] & ((spaces[0] << 8) | (was_space ? 0xFF : 0));
  behind |= spaces[1] & ((spaces[1] << 8) | (spaces[0] >> 56));
  if ((((halves[0] | halves[1]) & 0x8080808080808080) | behind) != 0) return false;
  std::memcpy(to, &folded, kBlock);
  was_space = (spaces[1] >> 63) != 0;
  return true;
}

}  // namespace

LineNormaliser::LineNormaliser() : buffer_(kBufferBytes) {}

std::span<const uint8_t> LineNormaliser::Normalise(std::span<const uint8_t> line) {
  if (line.size() > kLongestLine) return {};
  // A byte becomes at most three (what is not UTF-8), and blocks are written whole.
  const size_t most = line.size() * 3 + 2 * kBlock;
  if (most > buffer_.size()) buffer_.resize(most);
  const std::array<uint8_t, 256>& folded = Folded();
  const uint16_t* const folded_units = FoldedUnits();
  const uint8_t* at = line.data();
  const uint8_t* const end = at + line.size();
  uint8_t* const begin = buffer_.data();
  uint8_t* to = begin;
  // Kept beside what is written: reading that back costs several cycles a byte.
  bool was_space = true;
  while (at < end) {
    const auto left = static_cast<size_t>(end - at);
    if (left >= kBlock) {
      if (FoldBlock(at, to, was_space)) {
        at += kBlock;
        to += kBlock;
        continue;
      }
    } else {
      // A last block that is filled up with what is no space.
      uint8_t rest[kBlock];
      std::memset(rest, 'x', kBlock);
      std::memcpy(rest, at, left);
      if (FoldBlock(rest, to, was_space)) {
        to += left;
        break;
      }
    }
    const uint8_t* const stop = at + std::min(left, kBlock);
    while (at < stop) {
      const uint8_t lead = *at;
      if (lead < 0x80) {
        const uint8_t byte = folded[lead];
        const bool is_space = byte == ' ';
        *to = byte;
        // A space behind a space is written over.
        to += (is_space && was_space) ? 0 : 1;
        was_space = is_space;
        ++at;
        continue;
      }
      const pages::DecodedUnits decoded = Decode(at, end);
      if (decoded.second != 0) {
        to = std::copy(at, at + decoded.length, to);
      } else {
        const uint16_t unit = folded_units[decoded.first];
        if (unit == 0) {
          *to = ' ';
          to += was_space ? 0 : 1;
          was_space = true;
          at += decoded.length;
          continue;
        }
        to = Put(unit, to);
      }
      was_space = false;
      at += decoded.length;
    }
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
