// Streams one leaf column of a Parquet file, page by page, whatever its type and nesting.
//
// A leaf is (repetition level, definition level, value) triples: passing the triples on unchanged
// carries any nested type byte for byte, with no need to assemble rows. A reader covers several row
// groups ("segments") as if they were one, and holds decoded pages only for the rows it is asked
// for.
//
// Rules
//  1. Rows are consumed in order; Rows() of the same rows again is answered from the last slice.
//  2. One call at a time (a mutex makes a second one wait): calls run on pool threads.
//  3. Damage throws CORPUS_CORRUPT with the file, row group, column and byte offset.
//
// leaf_reader.cc is past 500 lines because opening pages and reading from them share one cursor:
// what a call leaves of a page, the next one takes up.
#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "codec/encodings.h"
#include "codec/page_header.h"

namespace gristmill::codec {

// One column chunk.
struct Segment {
  int64_t offset = 0;
  int64_t bytes = 0;
  int64_t n_values = 0;
  int64_t n_rows = 0;
  int32_t codec = 0;
  int32_t row_group = 0;
};

struct LeafSpec {
  std::string path;
  std::string stored_path;   // where its bytes lie, if not under path
  std::string decoded_path;  // where segments of brotli lie with their pages decoded
  std::string column;
  PhysicalType type = PhysicalType::kByteArray;
  int32_t type_length = 0;
  int32_t max_definition = 0;
  int32_t max_repetition = 0;
  // The writer compressed version-2 pages and said that it had not.
  bool always_compressed = false;
  std::vector<Segment> segments;
};

// The decoded bytes of a page.
struct PageBody {
  Buffer bytes;
};

// A stretch of a page's levels with their values, and the cursor of what was consumed of it.
struct Page {
  std::shared_ptr<PageBody> body;
  std::vector<uint8_t> definition;  // empty when max_definition is 0
  std::vector<uint8_t> repetition;  // empty when max_repetition is 0
  Values values;
  std::shared_ptr<const Values> dictionary;  // keeps slices of it alive
  size_t n_levels = 0;
  size_t level_at = 0;
  size_t value_at = 0;
};

// Rows taken out of the pages: levels, values, and what keeps the slices alive.
struct LeafRows {
  int64_t first_row = 0;
  size_t n_rows = 0;
  size_t width = 0;
  std::vector<uint8_t> definition;
  std::vector<uint8_t> repetition;
  std::vector<Slice> slices;
  std::vector<uint8_t> fixed;
  size_t n_levels = 0;
  std::vector<std::shared_ptr<Page>> pages;
};

// The data page in hand, decoded stretch by stretch: what a page declares costs nothing until it is
// asked for.
struct PageCursor {
  std::shared_ptr<PageBody> body;
  std::shared_ptr<const Values> dictionary;
  HybridCursor repetition, definition;
  ValueCursor values;
  size_t levels_left = 0;
};

struct Prepared {
  size_t n_rows = 0;
  size_t data_bytes = 0;
  size_t n_nulls = 0;
};

class LeafReader {
 public:
  explicit LeafReader(LeafSpec spec);
  ~LeafReader();
  LeafReader(const LeafReader&) = delete;
  LeafReader& operator=(const LeafReader&) = delete;

  // Flat byte arrays: how many of the next rows fit. At most `max_rows` rows and `max_bytes` of
  // data, at least one row unless the column ends.
  Prepared Prepare(size_t max_rows, uint64_t max_bytes);

  // Writes the rows of the last Prepare() as an Arrow column and consumes them. `status` (optional)
  // gets 0 ok, 1 null, 2 not UTF-8. `offsets` has n_rows + 1 elements, `validity` (optional) a bit
  // per row.
  void Fill(std::span<int32_t> offsets, MutableBytes data, MutableBytes validity,
            MutableBytes status);

  // Rows [first_row, first_row + n_rows); rows before them that were not asked for are skipped.
  std::shared_ptr<const LeafRows> Rows(int64_t first_row, size_t n_rows);

  const LeafSpec& spec() const { return spec_; }

 private:
  bool LoadPage();
  bool OpenPage();
  void DecodeStretch();
  int FileOf(const Segment& segment);
  void ReadAt(int64_t offset, MutableBytes out);
  void DecodePage(const PageHeader& header, Buffer body);
  Buffer TakeBuffer(size_t size);
  void GiveBuffer(Buffer buffer);
  std::shared_ptr<LeafRows> Take(size_t n_rows, bool keep);
  void DropConsumed();
  [[noreturn]] void Corrupt(const std::string& reason) const;

  LeafSpec spec_;
  size_t width_;
  int file_ = -1;
  int decoded_file_ = -1;
  size_t segment_ = 0;
  int64_t segment_at_ = 0;      // bytes consumed of the segment
  int64_t segment_values_ = 0;  // levels in the pages that were opened of the segment
  int64_t segment_rows_ = 0;    // rows begun in the segment
  int64_t page_offset_ = 0;     // of the page in hand, for messages
  std::shared_ptr<const Values> dictionary_;
  std::unique_ptr<PageCursor> cursor_;
  // Buffers of finished pages: fresh memory would be mapped and touched anew for every page.
  std::vector<Buffer> spare_;
  std::deque<std::shared_ptr<Page>> pages_;
  int64_t row_ = 0;
  Prepared prepared_;
  std::shared_ptr<LeafRows> last_;
  std::mutex mutex_;
};

}  // namespace gristmill::codec
