#include "codec/leaf_writer.h"

#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "error.h"

namespace gristmill::codec {

namespace {

constexpr size_t kMaxDictionaryBytes = 1 << 20;
constexpr size_t kMaxDictionaryEntries = 1 << 16;
// After this many values a dictionary must hold at most half as many entries, or it is given up.
constexpr size_t kDictionaryTrial = 4096;
constexpr size_t kMaxPageLevels = 1 << 18;
// Longer bounds would bloat the footer; readers take a missing bound as "unknown".
constexpr size_t kMaxBoundBytes = 64;

}  // namespace

LeafWriter::LeafWriter(LeafWriterSpec spec)
    : spec_(std::move(spec)),
      width_(WidthOf(spec_.type, spec_.type_length)),
      dictionary_open_(spec_.dictionary && spec_.type == PhysicalType::kByteArray) {
  min_.reserve(kMaxBoundBytes);
  max_.reserve(kMaxBoundBytes);
}

bool LeafWriter::Less(Bytes left, Bytes right) const {
  const auto as = [](Bytes bytes, auto value) {
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
  };
  switch (spec_.order) {
    case Order::kSigned:
      return width_ == 4 ? as(left, int32_t{}) < as(right, int32_t{})
                         : as(left, int64_t{}) < as(right, int64_t{});
    case Order::kUnsigned:
      return width_ == 4 ? as(left, uint32_t{}) < as(right, uint32_t{})
                         : as(left, uint64_t{}) < as(right, uint64_t{});
    case Order::kFloat:
      return width_ == 4 ? as(left, float{}) < as(right, float{})
                         : as(left, double{}) < as(right, double{});
    default:
      return std::lexicographical_compare(left.begin(), left.end(), right.begin(), right.end());
  }
}

void LeafWriter::Observe(const uint8_t* data, size_t size) {
  if (spec_.order == Order::kNone || !bounds_ok_) return;
  if (size > kMaxBoundBytes) {
    bounds_ok_ = false;
    return;
  }
  const Bytes value(data, size);
  if (spec_.order == Order::kFloat) {
    double number = 0;
    if (width_ == 4) {
      float narrow;
      std::memcpy(&narrow, data, 4);
      number = narrow;
    } else {
      std::memcpy(&number, data, 8);
    }
    // NaN has no order, and the signs of zero are a trap of the format: no bounds then.
    if (std::isnan(number) || number == 0) {
      bounds_ok_ = number == 0 && !std::signbit(number);
      if (!bounds_ok_) return;
    }
  }
  if (!has_bounds_ || Less(value, min_)) min_.assign(value.begin(), value.end());
  if (!has_bounds_ || Less(max_, value)) max_.assign(value.begin(), value.end());
  has_bounds_ = true;
}

void LeafWriter::Level(uint8_t definition, uint8_t repetition) {
  if (spec_.max_definition > 0) definition_.push_back(definition);
  if (spec_.max_repetition > 0) repetition_.push_back(repetition);
  n_levels_++;
  if (definition < spec_.max_definition) chunk_.n_nulls++;
}

bool LeafWriter::Intern(const uint8_t* data, size_t size) {
  const std::string_view key(reinterpret_cast<const char*>(data), size);
  const auto found = index_of_.find(key);
  if (found != index_of_.end()) {
    indices_.push_back(found->second);
    return true;
  }
  const size_t n_seen = static_cast<size_t>(chunk_.n_values) + indices_.size();
  if (dictionary_size_ + size + 4 > kMaxDictionaryBytes ||
      entries_.size() >= kMaxDictionaryEntries ||
      (n_seen >= kDictionaryTrial && entries_.size() > n_seen / 2)) {
    return false;
  }
  entries_.emplace_back(key);
  const auto index = static_cast<uint32_t>(entries_.size() - 1);
  index_of_.emplace(entries_.back(), index);
  dictionary_size_ += size + 4;
  indices_.push_back(index);
  return true;
}

void LeafWriter::Value(const uint8_t* data, size_t size) {
  Observe(data, size);
  raw_ += static_cast<int64_t>(size) + (width_ == 0 ? 4 : 0);
  if (spec_.type == PhysicalType::kBoolean) {
    // Packed when the page is flushed.
    plain_.push_back(data[0] & 1);
    return;
  }
  if (width_ > 0) {
    plain_.insert(plain_.end(), data, data + width_);
    return;
  }
  if (dictionary_open_ && Intern(data, size)) return;
  if (size > static_cast<size_t>(INT32_MAX) - (1 << 16)) {
    throw CodedError("CORPUS_WRITE_FAILED",
                     {{"file", spec_.column},
                      {"reason", "a value of " + std::to_string(size) + " bytes exceeds a page"}});
  }
  const auto length = static_cast<uint32_t>(size);
  const size_t at = plain_.size();
  plain_.resize(at + 4 + size);
  std::memcpy(plain_.data() + at, &length, 4);
  if (size > 0) std::memcpy(plain_.data() + at + 4, data, size);
}

// Ends dictionary encoding for the chunk at a row boundary.
void LeafWriter::CloseDictionary() {
  FlushPage();
  dictionary_open_ = false;
}

void LeafWriter::MaybeFlush() {
  if (plain_.size() >= spec_.page_bytes || n_levels_ >= kMaxPageLevels) FlushPage();
}

void LeafWriter::EmitPage(PageType type, Encoding encoding, size_t n_values, Bytes raw,
                          std::vector<uint8_t>& out) {
  std::vector<uint8_t> body;
  ZstdCompressAppend(raw, spec_.zstd_level, body);
  PageHeader header;
  header.type = static_cast<int32_t>(type);
  header.uncompressed_bytes = static_cast<int32_t>(raw.size());
  header.compressed_bytes = static_cast<int32_t>(body.size());
  header.crc = static_cast<uint32_t>(crc32(0, body.data(), static_cast<uInt>(body.size())));
  header.n_values = static_cast<int32_t>(n_values);
  header.encoding = static_cast<int32_t>(encoding);
  const size_t before = out.size();
  WritePageHeader(header, out);
  chunk_.uncompressed_bytes += static_cast<int64_t>(out.size() - before + raw.size());
  out.insert(out.end(), body.begin(), body.end());
}

void LeafWriter::FlushPage() {
  if (n_levels_ == 0) return;
  std::vector<uint8_t> raw;
  raw.reserve(plain_.size() + 64);
  const auto put_levels = [&](const std::vector<uint8_t>& levels, int32_t max_level) {
    if (max_level == 0) return;
    const size_t at = raw.size();
    raw.resize(at + 4);
    EncodeHybrid(levels.data(), levels.size(), BitWidth(max_level), raw);
    const auto length = static_cast<uint32_t>(raw.size() - at - 4);
    std::memcpy(raw.data() + at, &length, 4);
  };
  put_levels(repetition_, spec_.max_repetition);
  put_levels(definition_, spec_.max_definition);
  const bool by_dictionary = dictionary_open_;
  if (by_dictionary) {
    const int width =
        std::max(1, BitWidth(entries_.empty() ? 0 : static_cast<uint32_t>(entries_.size() - 1)));
    raw.push_back(static_cast<uint8_t>(width));
    EncodeHybrid(indices_.data(), indices_.size(), width, raw);
    chunk_.n_dictionary_pages++;
  } else {
    if (spec_.type == PhysicalType::kBoolean) {
      const size_t at = raw.size();
      raw.resize(at + (plain_.size() + 7) / 8, 0);
      for (size_t k = 0; k < plain_.size(); k++)
        raw[at + (k >> 3)] |= static_cast<uint8_t>(plain_[k] << (k & 7));
    } else {
      raw.insert(raw.end(), plain_.begin(), plain_.end());
    }
    chunk_.n_plain_pages++;
  }
  if (raw.size() > INT32_MAX) {
    throw CodedError("CORPUS_WRITE_FAILED",
                     {{"file", spec_.column}, {"reason", "one row exceeds a page"}});
  }
  EmitPage(PageType::kData, by_dictionary ? Encoding::kRleDictionary : Encoding::kPlain, n_levels_,
           raw, pages_);
  chunk_.n_values += static_cast<int64_t>(n_levels_);
  n_levels_ = 0;
  definition_.clear();
  repetition_.clear();
  plain_.clear();
  indices_.clear();
}

void LeafWriter::Append(const LeafRows& rows,
                        const std::optional<std::span<const int32_t>>& selection) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (rows.width != width_) {
    throw CodedError("OPTION_INVALID", {{"option", "column " + spec_.column},
                                        {"expected", "values of the writer's type"},
                                        {"received", "another width"}});
  }
  size_t level = 0, value = 0, next = 0;
  for (size_t row = 0; row < rows.n_rows; row++) {
    bool wanted = true;
    if (selection) {
      wanted = next < selection->size() && static_cast<size_t>((*selection)[next]) == row;
      if (wanted) next++;
    }
    const size_t first_level = level, first_value = value;
    do {
      if (rows.definition.empty() || rows.definition[level] == spec_.max_definition) value++;
      level++;
    } while (level < rows.n_levels && !rows.repetition.empty() && rows.repetition[level] != 0);
    if (!wanted) continue;
    // The dictionary may only be closed between rows, so a row it cannot take is tried against it
    // first.
    if (dictionary_open_) {
      const size_t kept_indices = indices_.size();
      bool fits = true;
      for (size_t k = first_value; k < value && fits; k++)
        fits = Intern(rows.slices[k].data, rows.slices[k].size);
      indices_.resize(kept_indices);
      if (!fits) CloseDictionary();
    }
    for (size_t k = first_level; k < level; k++) {
      // Without levels every value is there: a required column may be written into an optional one.
      Level(
          rows.definition.empty() ? static_cast<uint8_t>(spec_.max_definition) : rows.definition[k],
          rows.repetition.empty() ? 0 : rows.repetition[k]);
    }
    for (size_t k = first_value; k < value; k++) {
      if (width_ == 0)
        Value(rows.slices[k].data, rows.slices[k].size);
      else
        Value(rows.fixed.data() + k * width_, width_);
    }
    MaybeFlush();
  }
  if (selection && next != selection->size()) {
    throw CodedError("OPTION_INVALID",
                     {{"option", "rows"},
                      {"expected", "ascending row indices below " + std::to_string(rows.n_rows)},
                      {"received", "another selection"}});
  }
  buffered_ = static_cast<int64_t>(pages_.size() + plain_.size() + dictionary_size_ +
                                   indices_.size() * 4 + n_levels_);
}

void LeafWriter::AppendArrow(std::span<const int32_t> offsets, Bytes data, Bytes validity,
                             const std::optional<std::span<const int32_t>>& selection) {
  std::lock_guard<std::mutex> lock(mutex_);
  const auto fail = [&](const std::string& received) {
    throw CodedError("OPTION_INVALID", {{"option", "column " + spec_.column},
                                        {"expected", "an Arrow byte-string column of this schema"},
                                        {"received", received}});
  };
  if (offsets.empty() || width_ != 0 || spec_.max_repetition != 0) fail("another layout");
  const size_t n_rows = offsets.size() - 1;
  if (!validity.empty() && validity.size() < (n_rows + 7) / 8) fail("a short validity bitmap");
  const size_t n = selection ? selection->size() : n_rows;
  for (size_t k = 0; k < n; k++) {
    const int64_t row = selection ? (*selection)[k] : static_cast<int64_t>(k);
    if (row < 0 || static_cast<size_t>(row) >= n_rows) fail("row " + std::to_string(row));
    const bool is_null = !validity.empty() && !((validity[row >> 3] >> (row & 7)) & 1);
    if (is_null && spec_.max_definition == 0) fail("a null in a required column");
    const int64_t begin = offsets[row], end = offsets[row + 1];
    if (!is_null && (begin < 0 || end < begin || static_cast<size_t>(end) > data.size()))
      fail("offsets outside the data");
    // A column of empty values may have no data at all.
    const uint8_t* value =
        data.empty() ? reinterpret_cast<const uint8_t*>("") : data.data() + begin;
    AppendBytes(is_null ? nullptr : value, static_cast<size_t>(end - begin));
  }
  CountBuffered();
}

void LeafWriter::AppendViews(std::span<const ByteView> values) {
  std::lock_guard<std::mutex> lock(mutex_);
  const auto fail = [&](const std::string& received) {
    throw CodedError("OPTION_INVALID", {{"option", "column " + spec_.column},
                                        {"expected", "byte strings of this schema"},
                                        {"received", received}});
  };
  if (width_ != 0 || spec_.max_repetition != 0) fail("another layout");
  for (const ByteView& value : values) {
    if (value.data == nullptr && spec_.max_definition == 0) fail("a null in a required column");
    AppendBytes(value.data, value.size);
  }
  CountBuffered();
}

void LeafWriter::AppendBytes(const uint8_t* data, size_t size) {
  if (data == nullptr) {
    Level(static_cast<uint8_t>(spec_.max_definition - 1), 0);
  } else {
    if (dictionary_open_) {
      const size_t kept_indices = indices_.size();
      const bool fits = Intern(data, size);
      indices_.resize(kept_indices);
      if (!fits) CloseDictionary();
    }
    Level(static_cast<uint8_t>(spec_.max_definition), 0);
    Value(data, size);
  }
  MaybeFlush();
}

void LeafWriter::CountBuffered() {
  buffered_ = static_cast<int64_t>(pages_.size() + plain_.size() + dictionary_size_ +
                                   indices_.size() * 4 + n_levels_);
}

Chunk LeafWriter::Finish() {
  std::lock_guard<std::mutex> lock(mutex_);
  FlushPage();
  Chunk chunk;
  if (chunk_.n_dictionary_pages > 0) {
    std::vector<uint8_t> raw;
    raw.reserve(dictionary_size_);
    for (const std::string& entry : entries_) {
      const auto length = static_cast<uint32_t>(entry.size());
      const auto* bytes = reinterpret_cast<const uint8_t*>(&length);
      raw.insert(raw.end(), bytes, bytes + 4);
      raw.insert(raw.end(), entry.begin(), entry.end());
    }
    EmitPage(PageType::kDictionary, Encoding::kPlain, entries_.size(), raw, chunk.bytes);
    chunk_.dictionary_bytes = static_cast<int64_t>(chunk.bytes.size());
  }
  chunk.bytes.insert(chunk.bytes.end(), pages_.begin(), pages_.end());
  chunk_.bytes = std::move(chunk.bytes);
  if (bounds_ok_ && has_bounds_) {
    chunk_.min = min_;
    chunk_.max = max_;
  }
  chunk = std::move(chunk_);
  chunk_ = Chunk{};
  pages_.clear();
  entries_.clear();
  index_of_.clear();
  dictionary_size_ = 0;
  dictionary_open_ = spec_.dictionary && spec_.type == PhysicalType::kByteArray;
  has_bounds_ = false;
  bounds_ok_ = true;
  buffered_ = raw_ = 0;
  return chunk;
}

}  // namespace gristmill::codec
