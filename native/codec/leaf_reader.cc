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

}  // namespace

LeafReader::LeafReader(LeafSpec spec)
    : spec_(std::move(spec)), width_(WidthOf(spec_.type, spec_.type_length)) {}

LeafReader::~LeafReader() {
  if (file_ >= 0) close(file_);
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

void LeafReader::OpenFile() {
  if (file_ >= 0) return;
  file_ = open(spec_.path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file_ < 0) {
    throw CodedError("CORPUS_READ_FAILED",
                     {{"file", spec_.path}, {"reason", std::strerror(errno)}});
  }
}

void LeafReader::ReadAt(int64_t offset, MutableBytes out) {
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t n =
        pread(file_, out.data() + done, out.size() - done, offset + static_cast<int64_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      throw CodedError("CORPUS_READ_FAILED",
                       {{"file", spec_.path}, {"reason", std::strerror(errno)}});
    }
    if (n == 0) Corrupt("the file ends inside the page");
    done += static_cast<size_t>(n);
  }
}

// Decodes the next data page, if there is one.
bool LeafReader::LoadPage() {
  OpenFile();
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
    if (header.compressed_bytes < 0 || header.compressed_bytes > left - header_bytes) {
      Corrupt("the page runs over the end of its column chunk");
    }
    // No page of an honest file is larger than its chunk; a damaged length must not become an
    // allocation.
    if (header.uncompressed_bytes < 0 || header.uncompressed_bytes > segment.max_page_bytes) {
      Corrupt("the page declares more bytes than its column chunk");
    }
    Buffer body = TakeBuffer(header.compressed_bytes);
    const size_t in_head = std::min<size_t>(body.size(), head.size() - header_bytes);
    std::memcpy(body.data(), head.data() + header_bytes, in_head);
    ReadAt(page_offset_ + header_bytes + static_cast<int64_t>(in_head),
           MutableBytes(body).subspan(in_head));
    segment_at_ += header_bytes + header.compressed_bytes;
    const size_t before = pages_.size();
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
    if (pages_.size() > before) return true;
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
      codec != Codec::kNone && (type != PageType::kDataV2 || header.is_compressed);
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
    DecodeValues(static_cast<int>(Encoding::kPlain), spec_.type, width_, dictionary->bytes,
                 header.n_values, *dictionary);
    dictionary_ = dictionary;
    return;
  }

  if (header.n_values > segment.n_values - segment_values_) {
    throw PageError("the page holds more values than its column chunk");
  }
  auto page = std::make_shared<Page>();
  page->bytes = std::move(plain);
  page->n_levels = header.n_values;
  Bytes rest = page->bytes;
  const auto levels = [&](int32_t max_level, int32_t v2_bytes, int32_t encoding,
                          std::vector<uint8_t>& out) {
    if (type == PageType::kDataV2) {
      const Bytes bytes = rest.subspan(0, v2_bytes);
      rest = rest.subspan(v2_bytes);
      if (max_level == 0) return;
      out.resize(page->n_levels);
      DecodeHybrid(bytes, BitWidth(max_level), page->n_levels, out.data());
    } else {
      if (max_level == 0) return;
      if (encoding != static_cast<int32_t>(Encoding::kRle))
        throw PageError("bit-packed levels are not supported");
      uint32_t length = 0;
      if (rest.size() < 4) throw PageError("the levels are cut off");
      std::memcpy(&length, rest.data(), 4);
      if (length > rest.size() - 4) throw PageError("the levels run over the end of the page");
      out.resize(page->n_levels);
      DecodeHybrid(rest.subspan(4, length), BitWidth(max_level), page->n_levels, out.data());
      rest = rest.subspan(4 + length);
    }
    for (const uint8_t level : out) {
      if (level > max_level) throw PageError("a level is above its maximum");
    }
  };
  levels(spec_.max_repetition, header.repetition_bytes, header.repetition_encoding,
         page->repetition);
  levels(spec_.max_definition, header.definition_bytes, header.definition_encoding,
         page->definition);
  size_t n_values = page->n_levels;
  if (spec_.max_definition > 0) {
    n_values = std::count(page->definition.begin(), page->definition.end(),
                          static_cast<uint8_t>(spec_.max_definition));
  }
  const bool by_dictionary = header.encoding == static_cast<int>(Encoding::kRleDictionary) ||
                             header.encoding == static_cast<int>(Encoding::kPlainDictionary);
  if (by_dictionary) {
    if (!dictionary_) throw PageError("the page refers to a dictionary that is not there");
    page->dictionary = dictionary_;
    DecodeDictionary(*dictionary_, rest, n_values, page->values);
  } else if (n_values > 0) {
    DecodeValues(header.encoding, spec_.type, width_, rest, n_values, page->values);
  } else {
    page->values.width = width_;
  }
  if (spec_.max_repetition == 0) {
    segment_rows_ += static_cast<int64_t>(page->n_levels);
  } else {
    segment_rows_ += std::count(page->repetition.begin(), page->repetition.end(), uint8_t{0});
    if (segment_values_ == 0 && page->n_levels > 0 && page->repetition[0] != 0) {
      throw PageError("the first row starts in the middle");
    }
  }
  segment_values_ += static_cast<int64_t>(page->n_levels);
  if (page->n_levels > 0) pages_.push_back(std::move(page));
}

void LeafReader::DropConsumed() {
  while (!pages_.empty() && pages_.front()->level_at == pages_.front()->n_levels) {
    // Rows that were taken may still point into the page.
    if (pages_.front().use_count() == 1) GiveBuffer(std::move(pages_.front()->bytes));
    pages_.pop_front();
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

std::shared_ptr<LeafRows> LeafReader::Take(size_t n_rows) {
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
    append(rows->definition, page->definition, first_level, n_levels);
    append(rows->repetition, page->repetition, first_level, n_levels);
    if (n_values > 0 && width_ == 0) {
      const auto& slices = page->values.slices;
      rows->slices.insert(rows->slices.end(), slices.begin() + first_value,
                          slices.begin() + first_value + n_values);
    } else if (n_values > 0) {
      const uint8_t* from = page->values.fixed + first_value * width_;
      rows->fixed.insert(rows->fixed.end(), from, from + n_values * width_);
    }
    rows->n_levels += n_levels;
    if (width_ == 0) rows->pages.push_back(page);
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
    if (Take(static_cast<size_t>(std::min(kSkipRows, first_row - row_)))->n_rows == 0) break;
  }
  last_ = Take(n_rows);
  if (last_->n_rows != n_rows || last_->first_row != first_row) {
    last_.reset();
    Corrupt("the column ends before the text column does");
  }
  return last_;
}

}  // namespace gristmill::codec
