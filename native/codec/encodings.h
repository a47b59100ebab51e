// The value encodings of Parquet pages (parquet-format Encodings.md), both ways where the writer
// needs them.
//
// Invariants
//  1. Decoders take untrusted bytes: every read is checked; damage throws PageError with the
//  reason.
//  2. Byte-array values are slices into memory that outlives them (the page, its dictionary, its
//  arena).
//  3. Cursors hand out as many values as they are asked for and hold none: a few bytes may stand
//  for two thousand million values, and memory follows what is asked, not what a page declares.
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

// RLE / bit-packed hybrid, and the deprecated bit-packed levels (most significant bit first).
class HybridCursor {
 public:
  HybridCursor() = default;
  HybridCursor(Bytes bytes, int bit_width);
  static HybridCursor BitPacked(Bytes bytes, int bit_width);
  // Writes the next `n` values.
  void Next(size_t n, uint32_t* out) { Fill(n, out); }
  void Next(size_t n, uint8_t* out) { Fill(n, out); }

 private:
  template <typename T>
  void Fill(size_t n, T* out);
  void BeginRun();

  Bytes bytes_;
  int bit_width_ = 0;
  bool most_significant_first_ = false;
  size_t at_ = 0;
  // The run in hand: a repeated value, or packed values from run_ on, of which packed_at_ are read.
  uint64_t left_ = 0;
  bool packed_ = false;
  uint32_t value_ = 0;
  Bytes run_;
  uint64_t packed_at_ = 0;
};

// DELTA_BINARY_PACKED.
class DeltaCursor {
 public:
  DeltaCursor() = default;
  // `n` is the number of values the page declares.
  DeltaCursor(Bytes bytes, size_t n);
  void Next(size_t n, int64_t* out);
  // Where the encoded integers end; what follows them begins there.
  static size_t End(Bytes bytes, size_t n);

 private:
  void BeginBlock();
  uint64_t Zigzag();

  Bytes bytes_;
  size_t at_ = 0;
  size_t left_ = 0;  // values that were not handed out
  bool first_ = true;
  uint64_t value_ = 0;
  uint64_t smallest_ = 0;
  size_t per_mini_ = 0;
  size_t n_mini_ = 0;
  Bytes widths_;
  size_t mini_ = 0;
  size_t mini_at_ = 0;  // values read of the miniblock
};

void EncodeHybrid(const uint32_t* values, size_t n, int bit_width, std::vector<uint8_t>& out);
void EncodeHybrid(const uint8_t* values, size_t n, int bit_width, std::vector<uint8_t>& out);

// `n` PLAIN values at once.
void DecodePlain(PhysicalType type, size_t width, Bytes bytes, size_t n, Values& values);

// The values of one data page in any encoding, handed out in order.
class ValueCursor {
 public:
  ValueCursor() = default;
  // `n` values; `dictionary` is used by dictionary encodings only and must outlive the cursor.
  ValueCursor(int encoding, PhysicalType type, size_t width, Bytes bytes, size_t n,
              const Values* dictionary);
  void Next(size_t n, Values& values);
  // Most values to ask for at once, so that shared prefixes do not unfold without bound.
  size_t most() const { return kind_ == Kind::kDeltaByteArray ? 1024 : 65536; }

 private:
  enum class Kind {
    kPlain,
    kBooleanBits,
    kBooleanRuns,
    kDelta,
    kDeltaLength,
    kDeltaByteArray,
    kSplit,
    kDictionary
  };
  void NextDelta(size_t n, Values& values);
  void NextDeltaLength(size_t n, Values& values);
  void NextDeltaByteArray(size_t n, Values& values);
  void NextDictionary(size_t n, Values& values);

  Kind kind_ = Kind::kPlain;
  PhysicalType type_ = PhysicalType::kByteArray;
  size_t width_ = 0;
  Bytes bytes_;
  size_t n_ = 0;     // values of the page
  size_t done_ = 0;  // values handed out
  size_t at_ = 0;    // bytes consumed of what follows lengths, or of PLAIN values
  HybridCursor indices_;
  DeltaCursor integers_, suffixes_;
  std::vector<uint8_t> previous_;
  const Values* dictionary_ = nullptr;
};

}  // namespace gristmill::codec
