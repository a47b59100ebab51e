// Rows of a tensor from one storage type to another, for the converter of model files.
//
// Sources are f32, f16 and bf16; targets also q8_0. Rounding is that of ggml's reference functions:
// to nearest, ties to even (bf16, f16; too large for f16 is infinite), and round-half-away of x/d
// in q8_0. The same type is copied bit for bit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace gristmill::engine {

struct RowsRequest {
  std::span<const uint8_t> from;
  std::span<uint8_t> to;
  std::string from_type;
  std::string to_type;
  int64_t columns = 0;
};

// Checks sizes before anything is written; throws OPTION_INVALID.
void CheckRows(const RowsRequest& request);

// What a target holds that computes nothing.
struct RowsOutcome {
  int64_t not_finite = 0;  // values of the source that are infinite or no numbers
  int64_t too_large = 0;   // finite values (blocks in q8_0) that the target's type makes infinite
};

// Converts whole rows; `request` has been checked.
RowsOutcome ConvertRows(const RowsRequest& request);

}  // namespace gristmill::engine
