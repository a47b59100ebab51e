// What the scan asks about a UTF-16 unit, in one look-up: classes, lower case, and what it counts
// as.
//
// Compatibility characters that stand for one other (full-width letters and marks, no-break spaces,
// half-width kana) are taken as that one. Surrogates of the supplementary Han planes count as Han,
// all others as symbols. The data is of one version of Unicode (character_table.cc).
#pragma once

#include <array>
#include <cstdint>

namespace gristmill::pages {

// Bits of a class.
enum Class : uint8_t {
  kLetter = 1,
  kUpper = 2,
  kDigit = 4,
  kSpace = 8,
  // Scripts written without spaces (Han, kana, Thai): each character is a word.
  kUnspaced = 16,
  // . ! ? and their like in other scripts.
  kSentenceEnd = 32,
  // Marks that stand between links: | · • » and the like.
  kSeparator = 64,
  // Marks that programs and formulas use and prose hardly does.
  kCode = 128,
};

// What a mark counts as besides its class.
enum Mark : uint8_t {
  kNoMark,
  kComma,
  kColon,
  kAt,
  kSlash,
  kFullStop,
  kQuestion,
  kCurrency,
  kTab,
};

struct Character {
  uint16_t plain;   // what the unit stands for; all else is said of that
  uint16_t folded;  // lower case; digits become 0
  uint8_t bits;
  Mark mark;
};

// By UTF-16 unit; made at first use (about a millisecond).
const std::array<Character, 65536>& Characters();

}  // namespace gristmill::pages
