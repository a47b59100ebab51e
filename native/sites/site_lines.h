// A page's lines as counting sees them: what makes two lines the same line of a site, and what
// makes two pages copies of each other.
//
// A line is normalised before it is hashed: letters in lower case, digits as 0, compatibility
// characters as what they stand for (pages/characters.h), runs of white space as one space, none at
// its ends. Blank lines are no lines, and neither are ones of more than kLongestLine bytes, which
// are no part of a template.
//
// Copies: pages of a site with one signature count as one page. What is compared are the distinct
// lines of at least kLongLine bytes where the page has at least kLongLines of them, so that the
// text decides and not the menu around it; else all lines. Up to kFewLines of them make a signature
// as a set: it is that of pages with the same lines. Of more it is the hash of eight minima over
// their hashes, each of an eighth of all hashes (one permutation min-hash): pages that share a part
// s of their lines have one signature with a probability of about s to the power of eight.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace gristmill::sites {

// Changes when the same text would have other hashes; files of counts carry it.
constexpr uint32_t kLineVersion = 1;

constexpr size_t kLongestLine = 16384;
constexpr size_t kLongLine = 25;
constexpr size_t kLongLines = 4;
constexpr size_t kFewLines = 64;
// No line has it: it stands for the page.
constexpr uint64_t kPageLine = 0;

// Normalises lines, one after another.
class LineNormaliser {
 public:
  LineNormaliser();
  // A line without its line feed; empty for a blank one and for one that is too long. Valid until
  // the next call.
  std::span<const uint8_t> Normalise(std::span<const uint8_t> line);

 private:
  std::vector<uint8_t> buffer_;
};

// The hash of a normalised line; never kPageLine.
uint64_t LineHash(std::span<const uint8_t> normalised);

// Calls visit(index, normalised, hash) for each line of a page that counts, by its place among all.
template <typename Visit>
void ForEachSiteLine(std::span<const uint8_t> text, LineNormaliser& normaliser, Visit&& visit);

class PageSignature {
 public:
  PageSignature();
  void Add(uint64_t hash, size_t n_bytes);
  // Once.
  uint32_t Value();

 private:
  struct Sketch {
    std::array<uint64_t, 8> minima;
    std::array<uint64_t, kFewLines> first;
    size_t n_lines = 0;

    void Add(uint64_t hash);
    uint64_t Hash();
  };
  Sketch all_;
  Sketch long_;
};

template <typename Visit>
void ForEachSiteLine(std::span<const uint8_t> text, LineNormaliser& normaliser, Visit&& visit) {
  const uint8_t* at = text.data();
  const uint8_t* const end = at + text.size();
  for (int32_t index = 0; at < end; ++index) {
    const auto* found =
        static_cast<const uint8_t*>(std::memchr(at, '\n', static_cast<size_t>(end - at)));
    const uint8_t* const stop = found == nullptr ? end : found;
    const std::span<const uint8_t> line =
        normaliser.Normalise({at, static_cast<size_t>(stop - at)});
    if (!line.empty()) visit(index, line, LineHash(line));
    at = stop + 1;
  }
}

}  // namespace gristmill::sites
