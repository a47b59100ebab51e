// The value encodings of Parquet pages (parquet-format Encodings.md), both ways where the writer
// needs them.
//
// Invariants
//  1. Decoders take untrusted bytes: every read is checked; damage throws PageError with the
//  reason.
//  2. Byte-array values are slices into memory that outlives them (the page, its dictionary, its
//  arena).
#pragma once

#include <cstdint>
#include <deque>
#include <stdexcept>
#include <vector>

#include "codec/codecs.h"

namespace gristmill::codec {

// Values of Parquet's physical Type.
enum class PhysicalType {
  kBoolean = 0,
  kInt32,
  kInt64,
  kInt96,
  kFloat,
  kDouble,
  kByteArray,
  kFixedLenByteArray
};

// The page is damaged or uses what is not supported; the reader adds file, row group, column and
// offset.
struct PageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Slice {
  const uint8_t* data = nullptr;
  uint32_t size = 0;
};

// Bytes of one value: 1 for booleans (unpacked), 0 for byte arrays.
size_t WidthOf(PhysicalType type, int32_t type_length);

// Decoded values of a page or dictionary: `slices` for byte arrays, `width`-byte records otherwise.
struct Values {
  size_t width = 0;
  size_t count = 0;
  std::vector<Slice> slices;
  const uint8_t* fixed = nullptr;
  std::vector<uint8_t> owned;              // backs `fixed` when it was computed
  std::deque<std::vector<uint8_t>> arena;  // backs slices that are in no page
};

// Number of bits that hold `max_value`.
int BitWidth(uint32_t max_value);

// RLE / bit-packed hybrid: decodes exactly `n` values; returns the bytes consumed.
size_t DecodeHybrid(Bytes bytes, int bit_width, size_t n, uint32_t* out);
size_t DecodeHybrid(Bytes bytes, int bit_width, size_t n, uint8_t* out);
void EncodeHybrid(const uint32_t* values, size_t n, int bit_width, std::vector<uint8_t>& out);
void EncodeHybrid(const uint8_t* values, size_t n, int bit_width, std::vector<uint8_t>& out);

// Everything but dictionary indices.
void DecodeValues(int encoding, PhysicalType type, size_t width, Bytes bytes, size_t n,
                  Values& values);

// Looks `n` indices up in `dictionary`.
void DecodeDictionary(const Values& dictionary, Bytes bytes, size_t n, Values& values);

}  // namespace gristmill::codec
