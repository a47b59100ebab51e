// The characters of the basic plane as compact runs; the data is in character_table.cc.
#pragma once

#include <cstdint>
#include <vector>

namespace gristmill::pages {

extern const char* const kUnicodeVersion;

// Units from `first` up to the next run's have the class `bits`.
struct ClassRun {
  uint16_t first;
  uint8_t bits;
};

// The units first, first + step, … (count of them) become target, target + step, …
struct MappingRun {
  uint16_t first;
  uint16_t count;
  uint16_t step;
  uint16_t target;
};

const std::vector<ClassRun>& ClassRuns();
// What a unit stands for (NFKC, where that is one unit).
const std::vector<MappingRun>& PlainRuns();
// Lower case, where that is one unit.
const std::vector<MappingRun>& LowerRuns();

}  // namespace gristmill::pages
