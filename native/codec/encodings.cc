#include "codec/encodings.h"

#include <algorithm>
#include <cstring>

#include "codec/page_header.h"

namespace gristmill::codec {

namespace {

uint64_t ReadVarint(Bytes bytes, size_t& at) {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    if (at >= bytes.size()) throw PageError("a varint is cut off");
    const uint8_t byte = bytes[at++];
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (!(byte & 0x80)) return value;
  }
  throw PageError("a varint is too long");
}

void WriteVarint(uint64_t value, std::vector<uint8_t>& out) {
  while (value >= 0x80) {
    out.push_back(static_cast<uint8_t>(value) | 0x80);
    value >>= 7;
  }
  out.push_back(static_cast<uint8_t>(value));
}

// `width` bits (0..64) at bit `bit`; the caller has checked that they lie inside `bytes`.
uint64_t BitsAt(Bytes bytes, uint64_t bit, int width) {
  if (width == 0) return 0;
  const size_t first = bit >> 3;
  const int shift = static_cast<int>(bit & 7);
  unsigned __int128 word = 0;
  const size_t n_bytes = std::min<size_t>((shift + width + 7) / 8, bytes.size() - first);
  std::memcpy(&word, bytes.data() + first, n_bytes);
  const uint64_t value = static_cast<uint64_t>(word >> shift);
  return width == 64 ? value : value & ((uint64_t{1} << width) - 1);
}

// The same, the most significant bit of a byte first.
uint64_t BitsAtReversed(Bytes bytes, uint64_t bit, int width) {
  uint64_t value = 0;
  for (int k = 0; k < width; k++, bit++)
    value = value << 1 | ((bytes[bit >> 3] >> (7 - (bit & 7))) & 1);
  return value;
}

template <typename T>
void EncodeHybridAs(const T* values, size_t n, int bit_width, std::vector<uint8_t>& out) {
  const auto run_at = [&](size_t at) {
    size_t end = at + 1;
    while (end < n && values[end] == values[at]) end++;
    return end - at;
  };
  size_t at = 0;
  while (at < n) {
    const size_t run = run_at(at);
    if (run >= 8) {
      WriteVarint(static_cast<uint64_t>(run) << 1, out);
      for (int k = 0; k < (bit_width + 7) / 8; k++) {
        out.push_back(static_cast<uint8_t>(static_cast<uint32_t>(values[at]) >> (8 * k)));
      }
      at += run;
      continue;
    }
    // Whole groups of eight up to the next long run; only the very last group may be padded.
    const size_t start = at;
    do {
      at = std::min(at + 8, n);
    } while (at < n && run_at(at) < 8);
    const size_t n_groups = (at - start + 7) / 8;
    WriteVarint(static_cast<uint64_t>(n_groups) << 1 | 1, out);
    const size_t base = out.size();
    out.resize(base + n_groups * bit_width, 0);
    for (size_t k = start; k < at; k++) {
      const uint64_t bit = (k - start) * static_cast<uint64_t>(bit_width);
      uint64_t word = static_cast<uint64_t>(values[k]) << (bit & 7);
      for (size_t byte = base + (bit >> 3); word; byte++, word >>= 8)
        out[byte] |= static_cast<uint8_t>(word);
    }
  }
}

// Bytes consumed.
size_t PlainByteArrays(Bytes bytes, size_t n, Values& values) {
  values.slices.reserve(std::min(n, bytes.size() / 4 + 1));
  size_t at = 0;
  for (size_t k = 0; k < n; k++) {
    if (bytes.size() - at < 4) throw PageError("a value's length is cut off");
    uint32_t size;
    std::memcpy(&size, bytes.data() + at, 4);
    at += 4;
    if (size > bytes.size() - at) throw PageError("a value runs over the end of the page");
    values.slices.push_back({bytes.data() + at, size});
    at += size;
  }
  return at;
}

// A length from a block of integers.
uint32_t LengthOf(int64_t length) {
  if (length < 0 || length > INT32_MAX) throw PageError("a value has a damaged length");
  return static_cast<uint32_t>(length);
}

}  // namespace

size_t WidthOf(PhysicalType type, int32_t type_length) {
  switch (type) {
    case PhysicalType::kBoolean:
      return 1;
    case PhysicalType::kInt32:
    case PhysicalType::kFloat:
      return 4;
    case PhysicalType::kInt64:
    case PhysicalType::kDouble:
      return 8;
    case PhysicalType::kInt96:
      return 12;
    case PhysicalType::kByteArray:
      return 0;
    case PhysicalType::kFixedLenByteArray:
      return type_length > 0 ? type_length : 1;
  }
  return 0;
}

int BitWidth(uint32_t max_value) {
  int width = 0;
  while (max_value) {
    width++;
    max_value >>= 1;
  }
  return width;
}

HybridCursor::HybridCursor(Bytes bytes, int bit_width) : bytes_(bytes), bit_width_(bit_width) {
  if (bit_width < 0 || bit_width > 32) throw PageError("a bit width is above 32");
}

HybridCursor HybridCursor::BitPacked(Bytes bytes, int bit_width) {
  HybridCursor cursor(bytes, bit_width);
  cursor.most_significant_first_ = true;
  cursor.packed_ = true;
  cursor.left_ = UINT64_MAX;
  cursor.run_ = bytes;
  return cursor;
}

void HybridCursor::BeginRun() {
  if (packed_) at_ += std::min<uint64_t>((packed_at_ * bit_width_ + 7) / 8, run_.size());
  const uint64_t head = ReadVarint(bytes_, at_);
  packed_ = head & 1;
  packed_at_ = 0;
  if (packed_) {
    const uint64_t n_groups = head >> 1;
    if (n_groups == 0 || n_groups > UINT32_MAX)
      throw PageError("a bit-packed run has a damaged length");
    left_ = n_groups * 8;
    run_ = bytes_.subspan(at_);
    return;
  }
  left_ = head >> 1;
  const size_t value_bytes = (bit_width_ + 7) / 8;
  if (left_ == 0 || value_bytes > bytes_.size() - at_) throw PageError("a run is damaged");
  value_ = 0;
  for (size_t k = 0; k < value_bytes; k++)
    value_ |= static_cast<uint32_t>(bytes_[at_ + k]) << (8 * k);
  at_ += value_bytes;
}

template <typename T>
void HybridCursor::Fill(size_t n, T* out) {
  for (size_t done = 0; done < n;) {
    if (left_ == 0) BeginRun();
    const size_t take = static_cast<size_t>(std::min<uint64_t>(left_, n - done));
    if (packed_) {
      // The last run may be cut after the values that are needed: some writers leave the padding
      // out.
      if (((packed_at_ + take) * bit_width_ + 7) / 8 > run_.size())
        throw PageError("a bit-packed run is cut off");
      for (size_t k = 0; k < take; k++) {
        const uint64_t bit = (packed_at_ + k) * static_cast<uint64_t>(bit_width_);
        out[done + k] =
            static_cast<T>(most_significant_first_ ? BitsAtReversed(run_, bit, bit_width_)
                                                   : BitsAt(run_, bit, bit_width_));
      }
      packed_at_ += take;
    } else {
      std::fill_n(out + done, take, static_cast<T>(value_));
    }
    left_ -= take;
    done += take;
  }
}

DeltaCursor::DeltaCursor(Bytes bytes, size_t n) : bytes_(bytes), left_(n) {
  const uint64_t block = ReadVarint(bytes_, at_);
  const uint64_t n_mini = ReadVarint(bytes_, at_);
  const uint64_t total = ReadVarint(bytes_, at_);
  if (n_mini == 0 || n_mini > 4096 || block == 0 || block > (1u << 24) || block % n_mini != 0 ||
      (block / n_mini) % 8 != 0) {
    throw PageError("a delta block has a damaged layout");
  }
  if (total != n) throw PageError("a delta block holds another number of values than the page");
  n_mini_ = n_mini;
  per_mini_ = block / n_mini;
  mini_ = n_mini_;
  value_ = Zigzag();
}

uint64_t DeltaCursor::Zigzag() {
  const uint64_t value = ReadVarint(bytes_, at_);
  return (value >> 1) ^ (~(value & 1) + 1);
}

void DeltaCursor::BeginBlock() {
  smallest_ = Zigzag();
  if (n_mini_ > bytes_.size() - at_) throw PageError("a delta block is cut off");
  widths_ = bytes_.subspan(at_, n_mini_);
  at_ += n_mini_;
  mini_ = 0;
  mini_at_ = 0;
}

void DeltaCursor::Next(size_t n, int64_t* out) {
  size_t done = 0;
  if (n > 0 && first_) {
    first_ = false;
    out[done++] = static_cast<int64_t>(value_);
    left_--;
  }
  while (done < n) {
    if (mini_ == n_mini_) BeginBlock();
    const int width = widths_[mini_];
    if (width > 64) throw PageError("a bit width is above 64");
    const size_t take = std::min({per_mini_ - mini_at_, n - done, left_});
    if (take == 0) throw PageError("a delta block ends before its values do");
    const Bytes packed = bytes_.subspan(at_);
    if (((mini_at_ + take) * static_cast<uint64_t>(width) + 7) / 8 > packed.size())
      throw PageError("a delta block is cut off");
    for (size_t k = 0; k < take; k++) {
      value_ += smallest_ + BitsAt(packed, (mini_at_ + k) * static_cast<uint64_t>(width), width);
      out[done + k] = static_cast<int64_t>(value_);
    }
    done += take;
    left_ -= take;
    mini_at_ += take;
    if (mini_at_ == per_mini_) {
      const uint64_t mini_bytes = per_mini_ * static_cast<uint64_t>(width) / 8;
      at_ += std::min<uint64_t>(mini_bytes, packed.size());
      mini_++;
      mini_at_ = 0;
    }
  }
}

size_t DeltaCursor::End(Bytes bytes, size_t n) {
  DeltaCursor cursor(bytes, n);
  size_t left = n > 0 ? n - 1 : 0;
  while (left > 0) {
    if (cursor.mini_ == cursor.n_mini_) cursor.BeginBlock();
    const int width = cursor.widths_[cursor.mini_];
    if (width > 64) throw PageError("a bit width is above 64");
    const size_t take = std::min(cursor.per_mini_, left);
    const uint64_t rest = bytes.size() - cursor.at_;
    if ((take * static_cast<uint64_t>(width) + 7) / 8 > rest)
      throw PageError("a delta block is cut off");
    cursor.at_ += std::min<uint64_t>(cursor.per_mini_ * static_cast<uint64_t>(width) / 8, rest);
    cursor.mini_++;
    left -= take;
  }
  return cursor.at_;
}

void EncodeHybrid(const uint32_t* values, size_t n, int bit_width, std::vector<uint8_t>& out) {
  EncodeHybridAs(values, n, bit_width, out);
}
void EncodeHybrid(const uint8_t* values, size_t n, int bit_width, std::vector<uint8_t>& out) {
  EncodeHybridAs(values, n, bit_width, out);
}

void DecodePlain(PhysicalType type, size_t width, Bytes bytes, size_t n, Values& values) {
  ValueCursor(static_cast<int>(Encoding::kPlain), type, width, bytes, n, nullptr).Next(n, values);
}

ValueCursor::ValueCursor(int encoding, PhysicalType type, size_t width, Bytes bytes, size_t n,
                         const Values* dictionary)
    : type_(type), width_(width), bytes_(bytes), n_(n) {
  const bool is_bytes = type == PhysicalType::kByteArray;
  const bool is_fixed = type == PhysicalType::kFixedLenByteArray;
  const bool is_boolean = type == PhysicalType::kBoolean;
  if (n == 0) return;
  switch (static_cast<Encoding>(encoding)) {
    case Encoding::kPlain:
      if (is_boolean) {
        kind_ = Kind::kBooleanBits;
        if (n / 8 + (n % 8 > 0) > bytes.size()) throw PageError("the values are cut off");
      } else if (!is_bytes && n > bytes.size() / width) {
        throw PageError("the values are cut off");
      }
      return;
    case Encoding::kRle: {
      if (!is_boolean) break;
      kind_ = Kind::kBooleanRuns;
      uint32_t length = 0;
      if (bytes.size() < 4) throw PageError("the values are cut off");
      std::memcpy(&length, bytes.data(), 4);
      if (length > bytes.size() - 4) throw PageError("the values are cut off");
      indices_ = HybridCursor(bytes.subspan(4, length), 1);
      return;
    }
    case Encoding::kDeltaBinaryPacked:
      if (type != PhysicalType::kInt32 && type != PhysicalType::kInt64) break;
      kind_ = Kind::kDelta;
      integers_ = DeltaCursor(bytes, n);
      return;
    case Encoding::kDeltaLengthByteArray:
      if (!is_bytes) break;
      kind_ = Kind::kDeltaLength;
      integers_ = DeltaCursor(bytes, n);
      at_ = DeltaCursor::End(bytes, n);
      return;
    case Encoding::kDeltaByteArray: {
      if (!is_bytes && !is_fixed) break;
      kind_ = Kind::kDeltaByteArray;
      integers_ = DeltaCursor(bytes, n);
      const size_t begin = DeltaCursor::End(bytes, n);
      suffixes_ = DeltaCursor(bytes.subspan(begin), n);
      at_ = begin + DeltaCursor::End(bytes.subspan(begin), n);
      return;
    }
    case Encoding::kByteStreamSplit:
      if (is_bytes || is_boolean) break;
      kind_ = Kind::kSplit;
      if (n > bytes.size() / width) throw PageError("the values are cut off");
      return;
    case Encoding::kPlainDictionary:
    case Encoding::kRleDictionary:
      kind_ = Kind::kDictionary;
      if (!dictionary) throw PageError("the page refers to a dictionary that is not there");
      dictionary_ = dictionary;
      if (bytes.empty()) throw PageError("the dictionary indices are cut off");
      indices_ = HybridCursor(bytes.subspan(1), bytes[0]);
      return;
    default:
      break;
  }
  throw PageError("encoding " + std::to_string(encoding) + " is not supported for this type");
}

void ValueCursor::Next(size_t n, Values& values) {
  values.width = width_;
  values.count = n;
  if (n == 0) return;
  if (n > n_ - done_) throw PageError("the page ends before its values do");
  switch (kind_) {
    case Kind::kPlain:
      if (type_ == PhysicalType::kByteArray) {
        at_ += PlainByteArrays(bytes_.subspan(at_), n, values);
      } else {
        values.fixed = bytes_.data() + done_ * width_;
      }
      break;
    case Kind::kBooleanBits:
    case Kind::kBooleanRuns:
      values.owned.resize(n);
      values.fixed = values.owned.data();
      if (kind_ == Kind::kBooleanRuns) {
        indices_.Next(n, values.owned.data());
      } else {
        for (size_t k = 0; k < n; k++)
          values.owned[k] = (bytes_[(done_ + k) >> 3] >> ((done_ + k) & 7)) & 1;
      }
      break;
    case Kind::kDelta:
      NextDelta(n, values);
      break;
    case Kind::kDeltaLength:
      NextDeltaLength(n, values);
      break;
    case Kind::kDeltaByteArray:
      NextDeltaByteArray(n, values);
      break;
    case Kind::kSplit:
      values.owned.resize(n * width_);
      for (size_t byte = 0; byte < width_; byte++) {
        for (size_t k = 0; k < n; k++)
          values.owned[k * width_ + byte] = bytes_[byte * n_ + done_ + k];
      }
      values.fixed = values.owned.data();
      break;
    case Kind::kDictionary:
      NextDictionary(n, values);
      break;
  }
  done_ += n;
}

void ValueCursor::NextDelta(size_t n, Values& values) {
  std::vector<int64_t> integers(n);
  integers_.Next(n, integers.data());
  values.owned.resize(n * width_);
  for (size_t k = 0; k < n; k++)
    std::memcpy(values.owned.data() + k * width_, &integers[k], width_);
  values.fixed = values.owned.data();
}

void ValueCursor::NextDeltaLength(size_t n, Values& values) {
  std::vector<int64_t> lengths(n);
  integers_.Next(n, lengths.data());
  values.slices.reserve(n);
  for (const int64_t length : lengths) {
    const uint32_t size = LengthOf(length);
    if (size > bytes_.size() - at_) throw PageError("a value runs over the end of the page");
    values.slices.push_back({bytes_.data() + at_, size});
    at_ += size;
  }
}

// Each value is a prefix of the one before plus a suffix.
void ValueCursor::NextDeltaByteArray(size_t n, Values& values) {
  std::vector<int64_t> prefixes(n), suffixes(n);
  integers_.Next(n, prefixes.data());
  suffixes_.Next(n, suffixes.data());
  // Shared prefixes can unfold to far more than the page; this bounds what a call may ask for.
  constexpr uint64_t kMaxUnfolded = uint64_t{1} << 30;
  uint64_t unfolded = 0;
  Slice previous{previous_.data(), static_cast<uint32_t>(previous_.size())};
  values.slices.reserve(n);
  for (size_t k = 0; k < n; k++) {
    const uint64_t prefix = LengthOf(prefixes[k]), suffix = LengthOf(suffixes[k]);
    if (prefix > previous.size || suffix > bytes_.size() - at_)
      throw PageError("a value runs over the end of the page");
    Slice slice{bytes_.data() + at_, static_cast<uint32_t>(suffix)};
    if (prefix > 0) {
      unfolded += prefix + suffix;
      if (unfolded > kMaxUnfolded || prefix + suffix > INT32_MAX)
        throw PageError("the page unfolds to more than 1 GiB");
      auto& joined = values.arena.emplace_back(prefix + suffix);
      std::memcpy(joined.data(), previous.data, prefix);
      if (suffix > 0) std::memcpy(joined.data() + prefix, bytes_.data() + at_, suffix);
      slice = {joined.data(), static_cast<uint32_t>(prefix + suffix)};
    }
    at_ += suffix;
    values.slices.push_back(slice);
    previous = slice;
  }
  if (previous.size > 0)
    previous_ = std::vector<uint8_t>(previous.data, previous.data + previous.size);
  else
    previous_.clear();
  if (type_ == PhysicalType::kByteArray) return;
  values.owned.resize(n * width_);
  for (size_t k = 0; k < n; k++) {
    if (values.slices[k].size != width_) throw PageError("a fixed-length value has another length");
    std::memcpy(values.owned.data() + k * width_, values.slices[k].data, width_);
  }
  values.slices.clear();
  values.fixed = values.owned.data();
}

void ValueCursor::NextDictionary(size_t n, Values& values) {
  const Values& dictionary = *dictionary_;
  std::vector<uint32_t> indices(n);
  indices_.Next(n, indices.data());
  for (const uint32_t index : indices) {
    if (index >= dictionary.count) throw PageError("an index is outside the dictionary");
  }
  if (width_ == 0) {
    values.slices.resize(n);
    for (size_t k = 0; k < n; k++) values.slices[k] = dictionary.slices[indices[k]];
    return;
  }
  values.owned.resize(n * width_);
  for (size_t k = 0; k < n; k++) {
    std::memcpy(values.owned.data() + k * width_, dictionary.fixed + indices[k] * width_, width_);
  }
  values.fixed = values.owned.data();
}

}  // namespace gristmill::codec
