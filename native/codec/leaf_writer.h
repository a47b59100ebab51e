// Encodes one leaf column of an output row group: triples in, a column chunk of compressed pages
// out.
//
// Invariants
//  1. Pages are compressed as soon as they are full: what waits for the end of the row group is
//  compressed bytes
//     and one raw page.
//  2. The bytes are a function of the values, the level and the page size: no time, no address, no
//  thread count.
//  3. A page begins at a row. Byte arrays start dictionary-encoded when that is asked for and fall
//  back to PLAIN
//     for the rest of the chunk as soon as the dictionary does not pay.
#pragma once

#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "codec/leaf_reader.h"

namespace gristmill::codec {

// How values compare for the chunk's minimum and maximum.
enum class Order { kNone = 0, kSigned = 1, kUnsigned = 2, kFloat = 3, kBytes = 4 };

struct LeafWriterSpec {
  std::string column;
  PhysicalType type = PhysicalType::kByteArray;
  int32_t type_length = 0;
  int32_t max_definition = 0;
  int32_t max_repetition = 0;
  int32_t zstd_level = 3;
  bool dictionary = false;
  Order order = Order::kNone;
  size_t page_bytes = 1 << 20;
};

struct Chunk {
  std::vector<uint8_t> bytes;
  int64_t dictionary_bytes = 0;  // length of the dictionary page; 0 without one
  int64_t n_values = 0;
  int64_t n_nulls = 0;
  int64_t uncompressed_bytes = 0;
  int32_t n_dictionary_pages = 0;
  int32_t n_plain_pages = 0;
  std::optional<std::vector<uint8_t>> min, max;
};

// A value of a byte-array column; null without data.
struct ByteView {
  const uint8_t* data = nullptr;
  size_t size = 0;
};

class LeafWriter {
 public:
  explicit LeafWriter(LeafWriterSpec spec);

  // The rows of `rows` whose indices `selection` names (ascending), or all.
  void Append(const LeafRows& rows, const std::optional<std::span<const int32_t>>& selection);

  // A flat byte-array column in Arrow form.
  void AppendArrow(std::span<const int32_t> offsets, Bytes data, Bytes validity,
                   const std::optional<std::span<const int32_t>>& selection);

  // Byte strings wherever they lie.
  void AppendViews(std::span<const ByteView> values);

  // Ends the row group.
  Chunk Finish();

  // Bytes that wait for Finish().
  int64_t buffered_bytes() const { return buffered_; }
  // Uncompressed size of what was appended since the last Finish().
  int64_t raw_bytes() const { return raw_; }
  const LeafWriterSpec& spec() const { return spec_; }

 private:
  void Level(uint8_t definition, uint8_t repetition);
  void Value(const uint8_t* data, size_t size);
  // A row of a flat byte-array column; null without data.
  void AppendBytes(const uint8_t* data, size_t size);
  void CountBuffered();
  bool Intern(const uint8_t* data, size_t size);
  void CloseDictionary();
  void MaybeFlush();
  void FlushPage();
  void EmitPage(PageType type, Encoding encoding, size_t n_values, Bytes raw,
                std::vector<uint8_t>& out);
  void Observe(const uint8_t* data, size_t size);
  bool Less(Bytes left, Bytes right) const;

  LeafWriterSpec spec_;
  size_t width_;
  std::vector<uint8_t> definition_, repetition_, plain_;
  std::vector<uint32_t> indices_;
  size_t n_levels_ = 0;
  bool dictionary_open_;
  std::deque<std::string> entries_;
  std::unordered_map<std::string_view, uint32_t> index_of_;
  size_t dictionary_size_ = 0;
  std::vector<uint8_t> pages_;
  Chunk chunk_;
  std::vector<uint8_t> min_, max_;
  bool has_bounds_ = false;
  bool bounds_ok_ = true;
  int64_t buffered_ = 0;
  int64_t raw_ = 0;
  std::mutex mutex_;
};

}  // namespace gristmill::codec
