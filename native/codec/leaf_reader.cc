// Past 500 lines because pages, levels and rows are stages of one state: each stage's buffers are
// the next one's, and what is consumed goes back to the first.
#include "codec/leaf_reader.h"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

#include "error.h"
#include "text/utf8.h"

namespace gristmill::codec {

namespace {

constexpr size_t kHeaderBytes = 4096;
// A header holds statistics, which may be long; beyond this it is taken for damaged.
constexpr size_t kMaxHeaderBytes = 16 << 20;

// A dictionary and the page bytes its slices point into.
struct DictionaryPage : Values {
  Buffer bytes;
};

constexpr size_t kSpareBuffers = 3;

// Levels that are decoded at once.
constexpr size_t kStretchLevels = 65536;

// Levels of one call: more in a batch of rows is refused, since each takes up to 18 bytes.
constexpr size_t kMaxLevels = size_t{1} << 27;

// The most bytes that a page of this size may unfold to, by what its codec can do at best.
int64_t MostUncompressed(Codec codec, int64_t compressed) {
  int64_t ratio = 0;
  switch (codec) {
    case Codec::kNone:
      return compressed;
    case Codec::kSnappy:
      ratio = 64;
      break;
    case Codec::kLz4:
    case Codec::kLz4Raw:
      ratio = 256;
      break;
    case Codec::kGzip:
      ratio = 1040;
      break;
    default:
      return INT32_MAX;
  }
  return std::min<int64_t>(INT32_MAX, compressed * ratio + 65536);
}

}  // namespace

LeafReader::LeafReader(LeafSpec spec)
    : spec_(std::move(spec)), width_(WidthOf(spec_.type, spec_.type_length)) {}

LeafReader::~LeafReader() {
  if (file_ >= 0) close(file_);
  if (decoded_file_ >= 0) close(decoded_file_);
}

void LeafReader::Corrupt(const std::string& reason) const {
  const size_t at = std::min(segment_, spec_.segments.empty() ? 0 : spec_.segments.size() - 1);
  const int32_t group = spec_.segments.empty() ? 0 : spec_.segments[at].row_group;
  throw CodedError("CORPUS_CORRUPT", {{"file", spec_.path},
                                      {"rowGroup", std::to_string(group)},
                                      {"column", spec_.column},
                                      {"offset", std::to_string(page_offset_)},
                                      {"reason", reason}});
}

int LeafReader::FileOf(const Segment& segment) {
  const bool decoded = static_cast<Codec>(segment.codec) == Codec::kBrotli;
  int& file = decoded ? decoded_file_ : file_;
  const std::string& own = spec_.stored_path.empty() ? spec_.path : spec_.stored_path;
  const std::string& path = decoded ? spec_.decoded_path : own;
  if (file >= 0) return file;
  file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0)
    throw CodedError("CORPUS_READ_FAILED", {{"file", path}, {"reason", std::strerror(errno)}});
  return file;
}

void LeafReader::ReadAt(int64_t offset, MutableBytes out) {
  const int file = FileOf(spec_.segments[segment_]);
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t n =
        pread(file, out.data() + done, out.size() - done, offset + static_cast<int64_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      throw CodedError("CORPUS_READ_FAILED",
                       {{"file", spec_.path}, {"reason", std::strerror(errno)}});
    }
    if (n == 0) Corrupt("the file ends inside the page");
    done += static_cast<size_t>(n);
  }
}

// Decodes the next stretch of levels, if there is one.
bool LeafReader::LoadPage() {
  if (!cursor_ && !OpenPage()) return false;
  try {
    DecodeStretch();
  } catch (const PageError& error) {
    Corrupt(error.what());
  } catch (const std::bad_alloc&) {
    Corrupt("the page needs more memory than there is");
  }
  return true;
}

// Opens the next data page that holds levels.
bool LeafReader::OpenPage() {
  for (;;) {
    if (segment_ >= spec_.segments.size()) return false;
    const Segment& segment = spec_.segments[segment_];
    page_offset_ = segment.offset + segment_at_;
    if (segment_values_ >= segment.n_values) {
      if (segment_rows_ != segment.n_rows)
        Corrupt("the column has another number of rows than its row group");
      segment_++;
      segment_at_ = segment_values_ = segment_rows_ = 0;
      dictionary_.reset();
      continue;
    }
    const int64_t left = segment.bytes - segment_at_;
    if (left <= 0) Corrupt("the column chunk ends before its values do");
    std::vector<uint8_t> head;
    PageHeader header;
    int64_t header_bytes = 0;
    for (size_t want = kHeaderBytes;; want *= 8) {
      const size_t size = std::min<uint64_t>(want, static_cast<uint64_t>(left));
      head.resize(size);
      ReadAt(page_offset_, head);
      header_bytes = ParsePageHeader(head, header);
      if (header_bytes < 0) Corrupt("the page header is damaged");
      if (header_bytes > 0) break;
      if (size == static_cast<uint64_t>(left) || want > kMaxHeaderBytes)
        Corrupt("the page header is cut off");
    }
    // Pages of brotli come decoded, under the headers they had (src/corpus/brotli-chunks.ts).
    const auto codec = static_cast<Codec>(segment.codec);
    if (codec == Codec::kBrotli) {
      header.compressed_bytes = header.uncompressed_bytes;
      header.has_crc = false;
      header.is_compressed = false;
    }
    if (header.compressed_bytes < 0 || header.compressed_bytes > left - header_bytes) {
      Corrupt("the page runs over the end of its column chunk");
    }
    // A damaged length must not become an allocation. The chunk's own total is no bound: some
    // writers leave it 0.
    if (header.uncompressed_bytes < 0 ||
        header.uncompressed_bytes > MostUncompressed(codec, header.compressed_bytes)) {
      Corrupt("the page declares more bytes than its codec can hold");
    }
    Buffer body = TakeBuffer(header.compressed_bytes);
    const size_t in_head = std::min<size_t>(body.size(), head.size() - header_bytes);
    std::memcpy(body.data(), head.data() + header_bytes, in_head);
    ReadAt(page_offset_ + header_bytes + static_cast<int64_t>(in_head),
           MutableBytes(body).subspan(in_head));
    segment_at_ += header_bytes + header.compressed_bytes;
    try {
      DecodePage(header, std::move(body));
    } catch (const PageError& error) {
      Corrupt(error.what());
    } catch (const CodedError& error) {
      if (error.code() != "CORPUS_CODEC_FAILED") throw;
      Corrupt(error.details()[0].second + ": " + error.details()[1].second);
    } catch (const std::bad_alloc&) {
      Corrupt("the page needs more memory than there is");
    } catch (const std::length_error&) {
      Corrupt("the page declares an impossible length");
    }
    if (cursor_) return true;
  }
}

Buffer LeafReader::TakeBuffer(size_t size) {
  // The smallest that fits, so that a small page does not take the large one.
  size_t best = spare_.size();
  for (size_t k = 0; k < spare_.size(); k++) {
    if (spare_[k].capacity() < size) continue;
    if (best == spare_.size() || spare_[k].capacity() < spare_[best].capacity()) best = k;
  }
  Buffer buffer;
  if (best < spare_.size()) {
    buffer = std::move(spare_[best]);
    spare_.erase(spare_.begin() + static_cast<std::ptrdiff_t>(best));
  }
  buffer.resize(size);
  return buffer;
}

void LeafReader::GiveBuffer(Buffer buffer) {
  if (buffer.capacity() == 0) return;
  if (spare_.size() == kSpareBuffers) spare_.erase(spare_.begin());
  spare_.push_back(std::move(buffer));
}

void LeafReader::DecodePage(const PageHeader& header, Buffer body) {
  const Segment& segment = spec_.segments[segment_];
  const auto type = static_cast<PageType>(header.type);
  if (type == PageType::kIndex) return;
  if (type != PageType::kData && type != PageType::kDataV2 && type != PageType::kDictionary) return;
  if (header.has_crc &&
      static_cast<uint32_t>(crc32(0, body.data(), static_cast<uInt>(body.size()))) != header.crc) {
    throw PageError("the page's checksum does not match");
  }
  if (header.n_values < 0) throw PageError("the page header has no number of values");
  const auto codec = static_cast<Codec>(segment.codec);

  // Levels of a version-2 page come first and are never compressed.
  size_t level_bytes = 0;
  if (type == PageType::kDataV2) {
    if (header.definition_bytes < 0 || header.repetition_bytes < 0)
      throw PageError("a level length is damaged");
    level_bytes =
        static_cast<size_t>(header.definition_bytes) + static_cast<size_t>(header.repetition_bytes);
    if (level_bytes > body.size() || level_bytes > static_cast<size_t>(header.uncompressed_bytes)) {
      throw PageError("the levels run over the end of the page");
    }
  }
  Buffer plain;
  const bool compressed =
      codec != Codec::kNone && codec != Codec::kBrotli &&
      (type != PageType::kDataV2 || header.is_compressed || spec_.always_compressed);
  if (compressed) {
    plain = TakeBuffer(header.uncompressed_bytes);
    std::memcpy(plain.data(), body.data(), level_bytes);
    Decompress(codec, Bytes(body).subspan(level_bytes), MutableBytes(plain).subspan(level_bytes));
    GiveBuffer(std::move(body));
  } else {
    plain = std::move(body);
  }

  if (type == PageType::kDictionary) {
    auto dictionary = std::make_shared<DictionaryPage>();
    dictionary->bytes = std::move(plain);
    DecodePlain(spec_.type, width_, dictionary->bytes, header.n_values, *dictionary);
    dictionary_ = dictionary;
    return;
  }

  if (header.n_values > segment.n_values - segment_values_) {
    throw PageError("the page holds more values than its column chunk");
  }
  auto cursor = std::make_unique<PageCursor>();
  cursor->body = std::make_shared<PageBody>();
  cursor->body->bytes = std::move(plain);
  cursor->levels_left = header.n_values;
  const auto n_levels = static_cast<size_t>(header.n_values);
  Bytes rest = cursor->body->bytes;
  const auto levels = [&](int32_t max_level, int32_t v2_bytes, int32_t encoding) {
    const int width = BitWidth(max_level);
    if (type == PageType::kDataV2) {
      const Bytes bytes = rest.subspan(0, v2_bytes);
      rest = rest.subspan(v2_bytes);
      return HybridCursor(bytes, width);
    }
    if (max_level == 0) return HybridCursor();
    if (encoding == static_cast<int32_t>(Encoding::kBitPacked)) {
      const size_t length = (n_levels * width + 7) / 8;
      if (length > rest.size()) throw PageError("the levels run over the end of the page");
      const Bytes bytes = rest.subspan(0, length);
      rest = rest.subspan(length);
      return HybridCursor::BitPacked(bytes, width);
    }
    if (encoding != static_cast<int32_t>(Encoding::kRle))
      throw PageError("levels of encoding " + std::to_string(encoding) + " are not supported");
    uint32_t length = 0;
    if (rest.size() < 4) throw PageError("the levels are cut off");
    std::memcpy(&length, rest.data(), 4);
    if (length > rest.size() - 4) throw PageError("the levels run over the end of the page");
    const Bytes bytes = rest.subspan(4, length);
    rest = rest.subspan(4 + length);
    return HybridCursor(bytes, width);
  };
  cursor->repetition =
      levels(spec_.max_repetition, header.repetition_bytes, header.repetition_encoding);
  cursor->definition =
      levels(spec_.max_definition, header.definition_bytes, header.definition_encoding);
  // Delta blocks declare how many values they hold, so the present ones are counted beforehand.
  size_t n_values = n_levels;
  if (spec_.max_definition > 0) {
    HybridCursor counter = cursor->definition;
    std::vector<uint8_t> stretch(std::min(n_levels, kStretchLevels));
    n_values = 0;
    for (size_t done = 0; done < n_levels; done += stretch.size()) {
      stretch.resize(std::min(stretch.size(), n_levels - done));
      counter.Next(stretch.size(), stretch.data());
      n_values +=
          std::count(stretch.begin(), stretch.end(), static_cast<uint8_t>(spec_.max_definition));
    }
  }
  cursor->dictionary = dictionary_;
  cursor->values =
      ValueCursor(header.encoding, spec_.type, width_, rest, n_values, dictionary_.get());
  segment_values_ += header.n_values;
  if (n_levels > 0) cursor_ = std::move(cursor);
}

void LeafReader::DecodeStretch() {
  PageCursor& cursor = *cursor_;
  auto page = std::make_shared<Page>();
  page->body = cursor.body;
  page->dictionary = cursor.dictionary;
  page->n_levels = std::min({cursor.levels_left, kStretchLevels, cursor.values.most()});
  const auto levels = [&](int32_t max_level, HybridCursor& from, std::vector<uint8_t>& out) {
    if (max_level == 0) return;
    out.resize(page->n_levels);
    from.Next(page->n_levels, out.data());
    for (const uint8_t level : out) {
      if (level > max_level) throw PageError("a level is above its maximum");
    }
  };
  levels(spec_.max_repetition, cursor.repetition, page->repetition);
  levels(spec_.max_definition, cursor.definition, page->definition);
  size_t n_values = page->n_levels;
  if (spec_.max_definition > 0) {
    n_values = std::count(page->definition.begin(), page->definition.end(),
                          static_cast<uint8_t>(spec_.max_definition));
  }
  cursor.values.Next(n_values, page->values);
  if (spec_.max_repetition == 0) {
    segment_rows_ += static_cast<int64_t>(page->n_levels);
  } else {
    if (segment_rows_ == 0 && page->repetition[0] != 0)
      throw PageError("the first row starts in the middle");
    segment_rows_ += std::count(page->repetition.begin(), page->repetition.end(), uint8_t{0});
  }
  cursor.levels_left -= page->n_levels;
  if (cursor.levels_left == 0) cursor_.reset();
  pages_.push_back(std::move(page));
}

void LeafReader::DropConsumed() {
  while (!pages_.empty() && pages_.front()->level_at == pages_.front()->n_levels) {
    // Rows that were taken, and stretches to come, may still point into the page.
    const std::shared_ptr<Page> page = std::move(pages_.front());
    pages_.pop_front();
    if (page.use_count() == 1 && page->body.use_count() == 1)
      GiveBuffer(std::move(page->body->bytes));
  }
}

Prepared LeafReader::Prepare(size_t max_rows, uint64_t max_bytes) {
  std::lock_guard<std::mutex> lock(mutex_);
  Prepared prepared;
  DropConsumed();
  for (size_t index = 0; prepared.n_rows < max_rows; index++) {
    if (index == pages_.size() && !LoadPage()) break;
    const Page& page = *pages_[index];
    size_t value = page.value_at;
    bool full = false;
    for (size_t level = page.level_at; level < page.n_levels && prepared.n_rows < max_rows;
         level++) {
      const bool is_null =
          !page.definition.empty() && page.definition[level] < spec_.max_definition;
      const uint64_t size = is_null ? 0 : page.values.slices[value].size;
      if (prepared.n_rows > 0 && prepared.data_bytes + size > max_bytes) {
        full = true;
        break;
      }
      if (!is_null) value++;
      prepared.data_bytes += size;
      prepared.n_nulls += is_null ? 1 : 0;
      prepared.n_rows++;
    }
    if (full) break;
  }
  prepared_ = prepared;
  return prepared;
}

void LeafReader::Fill(std::span<int32_t> offsets, MutableBytes data, MutableBytes validity,
                      MutableBytes status) {
  std::lock_guard<std::mutex> lock(mutex_);
  const size_t n_rows = prepared_.n_rows;
  if (offsets.size() != n_rows + 1 || data.size() < prepared_.data_bytes ||
      (!validity.empty() && validity.size() < (n_rows + 7) / 8) ||
      (validity.empty() && prepared_.n_nulls > 0) || (!status.empty() && status.size() < n_rows)) {
    throw CodedError("OPTION_INVALID", {{"option", "fill"},
                                        {"expected", "buffers of the prepared sizes"},
                                        {"received", std::to_string(offsets.size()) + " offsets, " +
                                                         std::to_string(data.size()) + " bytes"}});
  }
  std::fill(validity.begin(), validity.end(), uint8_t{0});
  size_t row = 0, end = 0;
  offsets[0] = 0;
  while (row < n_rows) {
    Page& page = *pages_.front();
    while (page.level_at < page.n_levels && row < n_rows) {
      const bool is_null =
          !page.definition.empty() && page.definition[page.level_at] < spec_.max_definition;
      page.level_at++;
      uint8_t state = is_null ? 1 : 0;
      if (!is_null) {
        const Slice& value = page.values.slices[page.value_at++];
        if (value.size > 0) std::memcpy(data.data() + end, value.data, value.size);
        if (!status.empty() && !text::IsValidUtf8({data.data() + end, value.size})) state = 2;
        end += value.size;
        if (!validity.empty()) validity[row >> 3] |= static_cast<uint8_t>(1 << (row & 7));
      }
      if (!status.empty()) status[row] = state;
      offsets[++row] = static_cast<int32_t>(end);
    }
    DropConsumed();
  }
  row_ += static_cast<int64_t>(n_rows);
  prepared_ = Prepared{};
}

// The next rows; those that are not kept are only counted.
std::shared_ptr<LeafRows> LeafReader::Take(size_t n_rows, bool keep) {
  auto rows = std::make_shared<LeafRows>();
  rows->first_row = row_;
  rows->width = width_;
  DropConsumed();
  // A row ends where the next one begins, which may be in the next page.
  for (;;) {
    if (pages_.empty()) {
      if (!LoadPage()) break;
    }
    std::shared_ptr<Page> page = pages_.front();
    const size_t first_level = page->level_at, first_value = page->value_at;
    bool done = false;
    while (page->level_at < page->n_levels) {
      const bool begins = page->repetition.empty() || page->repetition[page->level_at] == 0;
      if (begins) {
        if (rows->n_rows == n_rows) {
          done = true;
          break;
        }
        rows->n_rows++;
      }
      if (page->definition.empty() || page->definition[page->level_at] == spec_.max_definition)
        page->value_at++;
      page->level_at++;
    }
    const size_t n_levels = page->level_at - first_level, n_values = page->value_at - first_value;
    const auto append = [](std::vector<uint8_t>& to, const std::vector<uint8_t>& from, size_t at,
                           size_t n) {
      if (!from.empty()) to.insert(to.end(), from.begin() + at, from.begin() + at + n);
    };
    if (keep) {
      append(rows->definition, page->definition, first_level, n_levels);
      append(rows->repetition, page->repetition, first_level, n_levels);
    }
    if (!keep) {
      // Passed over.
    } else if (n_values > 0 && width_ == 0) {
      const auto& slices = page->values.slices;
      rows->slices.insert(rows->slices.end(), slices.begin() + first_value,
                          slices.begin() + first_value + n_values);
    } else if (n_values > 0) {
      const uint8_t* from = page->values.fixed + first_value * width_;
      rows->fixed.insert(rows->fixed.end(), from, from + n_values * width_);
    }
    rows->n_levels += n_levels;
    if (keep && rows->n_levels > kMaxLevels) {
      throw CodedError("CORPUS_UNSUPPORTED",
                       {{"file", spec_.path},
                        {"reason", "column " + spec_.column + " holds more than " +
                                       std::to_string(kMaxLevels) + " values in " +
                                       std::to_string(rows->n_rows) + " rows; lower batchRows"}});
    }
    if (keep && width_ == 0) rows->pages.push_back(page);
    DropConsumed();
    // Flat columns are complete at the last row; nested ones must see that no continuation follows.
    if (done || (spec_.max_repetition == 0 && rows->n_rows == n_rows)) break;
  }
  row_ += static_cast<int64_t>(rows->n_rows);
  return rows;
}

std::shared_ptr<const LeafRows> LeafReader::Rows(int64_t first_row, size_t n_rows) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (last_ && last_->first_row == first_row && last_->n_rows == n_rows) return last_;
  if (first_row < row_) {
    throw CodedError("OPTION_INVALID", {{"option", "firstRow"},
                                        {"expected", "at least " + std::to_string(row_)},
                                        {"received", std::to_string(first_row)}});
  }
  last_.reset();
  constexpr int64_t kSkipRows = 65536;
  while (row_ < first_row) {
    if (Take(static_cast<size_t>(std::min(kSkipRows, first_row - row_)), false)->n_rows == 0) break;
  }
  last_ = Take(n_rows, true);
  if (last_->n_rows != n_rows || last_->first_row != first_row) {
    last_.reset();
    Corrupt("the column ends before the text column does");
  }
  return last_;
}

}  // namespace gristmill::codec
