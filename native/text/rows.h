// Values of a column of bytes, as Arrow has them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "error.h"

namespace gristmill::text {

// The bytes of a row; OPTION_INVALID where its offsets are not in order or not inside the data.
inline std::span<const uint8_t> RowOf(std::span<const uint8_t> data,
                                      std::span<const int32_t> offsets, size_t row) {
  const int32_t begin = offsets[row];
  const int32_t end = offsets[row + 1];
  if (begin < 0 || end < begin || static_cast<size_t>(end) > data.size()) {
    throw CodedError("OPTION_INVALID",
                     {{"option", "offsets[" + std::to_string(row) + "]"},
                      {"expected", "ascending offsets inside the data"},
                      {"received", std::to_string(begin) + ".." + std::to_string(end)}});
  }
  return data.subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
}

}  // namespace gristmill::text
