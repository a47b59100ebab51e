// The words of a line and of its neighbours as indices into a table of weights (feature hashing,
// Weinberger et al. 2009): single words, pairs, the whole line, the first and last words; of the
// lines before and after their words and the whole line.
//
// Ids are handed to a visitor as they are made: training writes them down, scoring looks their
// weights up at once.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "pages/hash.h"
#include "pages/page_scan.h"

namespace gristmill::pages {

// Words of a line that are looked at; the rest of a long paragraph tells nothing new.
constexpr uint32_t kMaxOwnWords = 64;
constexpr uint32_t kMaxNearWords = 10;
// Distinct words of a document that are looked at, the first ones.
constexpr uint32_t kMaxDocumentWords = 512;

enum WordSpace : uint32_t {
  kWordSpace = 1,
  kPairSpace = 2,
  kLineSpace = 3,
  kFirstSpace = 4,
  kLastSpace = 5,
  kCountSpace = 6,
  kBeforeSpace = 7,
  kLineBeforeSpace = 8,
  kAfterSpace = 9,
  kLineAfterSpace = 10,
  kFirstTwoSpace = 11,
  kDocumentSpace = 21,
};

// Of the line's own words: visit(id) for each, ids are at most `mask`.
template <typename Visit>
void ForEachOwnWord(const PageScan& scan, int32_t line, uint32_t mask, Visit&& visit) {
  const Line& own = scan.lines()[static_cast<size_t>(line)];
  const uint32_t* const words = scan.words().data();
  const Word* const distinct = scan.distinct().data();
  const uint32_t start = own.first_word;
  const uint32_t stop = scan.WordsEnd(line);
  const uint32_t end = std::min(stop, start + kMaxOwnWords);
  const auto put = [&](WordSpace space, uint32_t hash) { visit(MixHashes(space, hash) & mask); };
  uint32_t previous = 0;
  for (uint32_t word = start; word < end; ++word) {
    const uint32_t hash = distinct[words[word]].hash;
    put(kWordSpace, hash);
    if (word > start) put(kPairSpace, MixHashes(previous, hash));
    previous = hash;
  }
  put(kLineSpace, own.hash);
  put(kCountSpace, std::min(12u, stop - start));
  if (stop == start) return;
  const uint32_t first = distinct[words[start]].hash;
  put(kFirstSpace, first);
  put(kLastSpace, distinct[words[stop - 1]].hash);
  if (stop > start + 1) {
    put(kFirstTwoSpace, MixHashes(first, distinct[words[start + 1]].hash));
  }
}

// Of the lines before and after.
template <typename Visit>
void ForEachNearWord(const PageScan& scan, int32_t line, uint32_t mask, Visit&& visit) {
  const uint32_t* const words = scan.words().data();
  const Word* const distinct = scan.distinct().data();
  const auto put = [&](WordSpace space, uint32_t hash) { visit(MixHashes(space, hash) & mask); };
  const auto put_line = [&](int32_t other, WordSpace space, WordSpace line_space) {
    if (other < 0 || other >= scan.n_lines()) {
      put(line_space, ~0u);
      return;
    }
    const Line& near = scan.lines()[static_cast<size_t>(other)];
    const uint32_t end = std::min(scan.WordsEnd(other), near.first_word + kMaxNearWords);
    for (uint32_t word = near.first_word; word < end; ++word) {
      put(space, distinct[words[word]].hash);
    }
    put(line_space, near.hash);
  };
  put_line(line - 1, kBeforeSpace, kLineBeforeSpace);
  put_line(line + 1, kAfterSpace, kLineAfterSpace);
}

// Ids of a document's distinct words, none twice, in the order in which the words come.
inline void DocumentWords(const PageScan& scan, uint32_t mask, std::vector<uint32_t>& ids) {
  constexpr uint32_t kSlots = 4 * kMaxDocumentWords;
  uint32_t slots[kSlots] = {};  // id + 1
  ids.clear();
  for (const Word& word : scan.distinct()) {
    if (ids.size() == kMaxDocumentWords) return;
    const uint32_t id = MixHashes(kDocumentSpace, word.hash) & mask;
    uint32_t slot = (id ^ (id >> 11)) & (kSlots - 1);
    while (slots[slot] != 0 && slots[slot] != id + 1) slot = (slot + 1) & (kSlots - 1);
    if (slots[slot] != 0) continue;
    slots[slot] = id + 1;
    ids.push_back(id);
  }
}

}  // namespace gristmill::pages
