#include "engine/tensor_rows.h"

#include <ggml.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "error.h"

namespace gristmill::engine {

namespace {

[[noreturn]] void Invalid(const char* option, const std::string& expected,
                          const std::string& received) {
  throw CodedError("OPTION_INVALID",
                   {{"option", option}, {"expected", expected}, {"received", received}});
}

ggml_type TypeNamed(const char* option, const std::string& name) {
  for (const ggml_type type : {GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_BF16, GGML_TYPE_Q8_0}) {
    if (name == ggml_type_name(type)) return type;
  }
  Invalid(option, "f32, f16, bf16 or q8_0", name);
}

// Views may start at any byte, so values are copied to where their type may lie.
void ToFloats(ggml_type type, const uint8_t* from, float* to, int64_t count) {
  if (type == GGML_TYPE_F32) {
    std::memcpy(to, from, static_cast<size_t>(count) * sizeof(float));
    return;
  }
  std::vector<uint16_t> halves(static_cast<size_t>(count));
  std::memcpy(halves.data(), from, halves.size() * sizeof(uint16_t));
  if (type == GGML_TYPE_F16) {
    ggml_fp16_to_fp32_row(halves.data(), to, count);
  } else {
    ggml_bf16_to_fp32_row(reinterpret_cast<const ggml_bf16_t*>(halves.data()), to, count);
  }
}

void FromFloats(ggml_type type, const float* from, std::vector<uint8_t>& to, int64_t count) {
  switch (type) {
    case GGML_TYPE_F32:
      std::memcpy(to.data(), from, to.size());
      return;
    case GGML_TYPE_F16:
      ggml_fp32_to_fp16_row(from, reinterpret_cast<ggml_fp16_t*>(to.data()), count);
      return;
    case GGML_TYPE_BF16:
      // Not the fast one: with AVX512-BF16 it flushes subnormal values to zero.
      ggml_fp32_to_bf16_row_ref(from, reinterpret_cast<ggml_bf16_t*>(to.data()), count);
      return;
    default:
      ggml_quantize_chunk(type, from, to.data(), 0, 1, count, nullptr);
  }
}

int64_t CountNotFinite(const float* values, int64_t count) {
  int64_t found = 0;
  for (int64_t index = 0; index < count; ++index) found += std::isfinite(values[index]) ? 0 : 1;
  return found;
}

// Infinite values of a row; in q8_0 the blocks whose scale is.
int64_t CountInfinite(ggml_type type, const std::vector<uint8_t>& row, int64_t count) {
  const auto half_at = [&](size_t at) { return row[at] | row[at + 1] << 8; };
  int64_t found = 0;
  if (type == GGML_TYPE_F16 || type == GGML_TYPE_BF16) {
    const int exponent = type == GGML_TYPE_F16 ? 0x7C00 : 0x7F80;
    for (int64_t index = 0; index < count; ++index) {
      found += (half_at(static_cast<size_t>(index) * 2) & exponent) == exponent ? 1 : 0;
    }
  } else if (type == GGML_TYPE_Q8_0) {
    const size_t block = ggml_type_size(type);
    for (size_t at = 0; at < row.size(); at += block) {
      found += (half_at(at) & 0x7C00) == 0x7C00 ? 1 : 0;
    }
  }
  return found;
}

}  // namespace

void CheckRows(const RowsRequest& request) {
  const ggml_type from = TypeNamed("from", request.from_type);
  const ggml_type to = TypeNamed("to", request.to_type);
  if (from == GGML_TYPE_Q8_0) Invalid("from", "f32, f16 or bf16", request.from_type);
  const int64_t block = ggml_blck_size(to);
  if (request.columns <= 0 || request.columns % block != 0) {
    Invalid("columns", "a positive multiple of " + std::to_string(block),
            std::to_string(request.columns));
  }
  const size_t row = ggml_row_size(from, request.columns);
  if (request.from.size() % row != 0) {
    Invalid("source", "whole rows of " + std::to_string(row) + " bytes",
            std::to_string(request.from.size()) + " bytes");
  }
  const size_t expected = request.from.size() / row * ggml_row_size(to, request.columns);
  if (request.to.size() != expected) {
    Invalid("target", std::to_string(expected) + " bytes",
            std::to_string(request.to.size()) + " bytes");
  }
}

RowsOutcome ConvertRows(const RowsRequest& request) {
  const ggml_type from = TypeNamed("from", request.from_type);
  const ggml_type to = TypeNamed("to", request.to_type);
  RowsOutcome outcome;
  if (request.from.empty()) return outcome;
  const size_t from_bytes = ggml_row_size(from, request.columns);
  const size_t to_bytes = ggml_row_size(to, request.columns);
  std::vector<float> floats(static_cast<size_t>(request.columns));
  std::vector<uint8_t> converted(to_bytes);
  const size_t n_rows = request.from.size() / from_bytes;
  for (size_t row = 0; row < n_rows; ++row) {
    const uint8_t* source = request.from.data() + row * from_bytes;
    uint8_t* target = request.to.data() + row * to_bytes;
    ToFloats(from, source, floats.data(), request.columns);
    const int64_t not_finite = CountNotFinite(floats.data(), request.columns);
    outcome.not_finite += not_finite;
    if (from == to) {
      std::memcpy(target, source, to_bytes);
      continue;
    }
    FromFloats(to, floats.data(), converted, request.columns);
    std::memcpy(target, converted.data(), to_bytes);
    if (not_finite == 0) outcome.too_large += CountInfinite(to, converted, request.columns);
  }
  return outcome;
}

}  // namespace gristmill::engine
