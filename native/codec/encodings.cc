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

template <typename T>
size_t DecodeHybridAs(Bytes bytes, int bit_width, size_t n, T* out) {
  if (bit_width < 0 || bit_width > 32) throw PageError("a bit width is above 32");
  size_t at = 0, done = 0;
  while (done < n) {
    const uint64_t head = ReadVarint(bytes, at);
    if (head & 1) {
      const uint64_t n_groups = head >> 1;
      if (n_groups == 0 || n_groups > UINT32_MAX)
        throw PageError("a bit-packed run has a damaged length");
      const size_t take = std::min<uint64_t>(n_groups * 8, n - done);
      const uint64_t run_bytes = n_groups * static_cast<uint64_t>(bit_width);
      // The last run may be cut after the values that are needed: some writers leave the padding
      // out.
      if ((static_cast<uint64_t>(take) * bit_width + 7) / 8 > bytes.size() - at) {
        throw PageError("a bit-packed run is cut off");
      }
      for (size_t k = 0; k < take; k++) {
        out[done + k] = static_cast<T>(
            BitsAt(bytes.subspan(at), k * static_cast<uint64_t>(bit_width), bit_width));
      }
      done += take;
      at += std::min<uint64_t>(run_bytes, bytes.size() - at);
    } else {
      const uint64_t length = head >> 1;
      const size_t value_bytes = (bit_width + 7) / 8;
      if (length == 0 || value_bytes > bytes.size() - at) throw PageError("a run is damaged");
      uint32_t value = 0;
      for (size_t k = 0; k < value_bytes; k++)
        value |= static_cast<uint32_t>(bytes[at + k]) << (8 * k);
      at += value_bytes;
      const size_t take = std::min<uint64_t>(length, n - done);
      std::fill_n(out + done, take, static_cast<T>(value));
      done += take;
    }
  }
  return at;
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

// DELTA_BINARY_PACKED: `n` integers into `out`; returns the bytes consumed.
size_t DecodeDelta(Bytes bytes, size_t n, std::vector<int64_t>& out) {
  size_t at = 0;
  const auto zigzag = [&]() {
    const uint64_t value = ReadVarint(bytes, at);
    return (value >> 1) ^ (~(value & 1) + 1);
  };
  const uint64_t block = ReadVarint(bytes, at);
  const uint64_t n_mini = ReadVarint(bytes, at);
  const uint64_t total = ReadVarint(bytes, at);
  if (n_mini == 0 || n_mini > 4096 || block == 0 || block > (1u << 24) || block % n_mini != 0 ||
      (block / n_mini) % 8 != 0) {
    throw PageError("a delta block has a damaged layout");
  }
  if (total != n) throw PageError("a delta block holds another number of values than the page");
  uint64_t value = zigzag();
  out.clear();
  out.reserve(std::min<size_t>(n, 1 << 20));
  if (n > 0) out.push_back(static_cast<int64_t>(value));
  const size_t per_mini = block / n_mini;
  while (out.size() < n) {
    const uint64_t smallest = zigzag();
    if (n_mini > bytes.size() - at) throw PageError("a delta block is cut off");
    const Bytes widths = bytes.subspan(at, n_mini);
    at += n_mini;
    for (size_t mini = 0; mini < n_mini && out.size() < n; mini++) {
      const int width = widths[mini];
      if (width > 64) throw PageError("a bit width is above 64");
      const size_t take = std::min(per_mini, n - out.size());
      const uint64_t mini_bytes = per_mini * static_cast<uint64_t>(width) / 8;
      if ((take * static_cast<uint64_t>(width) + 7) / 8 > bytes.size() - at) {
        throw PageError("a delta block is cut off");
      }
      for (size_t k = 0; k < take; k++) {
        value += smallest + BitsAt(bytes.subspan(at), k * static_cast<uint64_t>(width), width);
        out.push_back(static_cast<int64_t>(value));
      }
      at += std::min<uint64_t>(mini_bytes, bytes.size() - at);
    }
  }
  return at;
}

void PlainByteArrays(Bytes bytes, size_t n, Values& values) {
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
}

// Lengths that are checked against what is left.
size_t LengthBlock(Bytes bytes, size_t n, std::vector<int64_t>& lengths) {
  const size_t used = DecodeDelta(bytes, n, lengths);
  for (const int64_t length : lengths) {
    if (length < 0 || length > INT32_MAX) throw PageError("a value has a damaged length");
  }
  return used;
}

void DeltaLengthByteArrays(Bytes bytes, size_t n, Values& values) {
  std::vector<int64_t> lengths;
  size_t at = LengthBlock(bytes, n, lengths);
  values.slices.reserve(n);
  for (const int64_t length : lengths) {
    if (static_cast<uint64_t>(length) > bytes.size() - at)
      throw PageError("a value runs over the end of the page");
    values.slices.push_back({bytes.data() + at, static_cast<uint32_t>(length)});
    at += length;
  }
}

// Each value is a prefix of the one before plus a suffix.
void DeltaByteArrays(Bytes bytes, size_t n, Values& values) {
  std::vector<int64_t> prefixes, suffixes;
  size_t at = LengthBlock(bytes, n, prefixes);
  at += LengthBlock(bytes.subspan(at), n, suffixes);
  // A page of shared prefixes can unfold to far more than its own size; this bounds what one page
  // may ask for.
  constexpr uint64_t kMaxUnfolded = uint64_t{1} << 31;
  uint64_t unfolded = 0;
  Slice previous;
  values.slices.reserve(n);
  for (size_t k = 0; k < n; k++) {
    const uint64_t prefix = prefixes[k], suffix = suffixes[k];
    if (prefix > previous.size || suffix > bytes.size() - at)
      throw PageError("a value runs over the end of the page");
    Slice slice{bytes.data() + at, static_cast<uint32_t>(suffix)};
    if (prefix > 0) {
      unfolded += prefix + suffix;
      if (unfolded > kMaxUnfolded) throw PageError("the page unfolds to more than 2 GiB");
      auto& joined = values.arena.emplace_back(prefix + suffix);
      std::memcpy(joined.data(), previous.data, prefix);
      if (suffix > 0) std::memcpy(joined.data() + prefix, bytes.data() + at, suffix);
      slice = {joined.data(), static_cast<uint32_t>(prefix + suffix)};
    }
    at += suffix;
    values.slices.push_back(slice);
    previous = slice;
  }
}

void DeltaIntegers(PhysicalType type, Bytes bytes, size_t n, Values& values) {
  std::vector<int64_t> integers;
  DecodeDelta(bytes, n, integers);
  values.owned.resize(n * values.width);
  for (size_t k = 0; k < n; k++)
    std::memcpy(values.owned.data() + k * values.width, &integers[k], values.width);
  values.fixed = values.owned.data();
}

void Booleans(int encoding, Bytes bytes, size_t n, Values& values) {
  values.owned.resize(n);
  values.fixed = values.owned.data();
  if (encoding == static_cast<int>(Encoding::kRle)) {
    uint32_t length = 0;
    if (bytes.size() < 4) throw PageError("the values are cut off");
    std::memcpy(&length, bytes.data(), 4);
    if (length > bytes.size() - 4) throw PageError("the values are cut off");
    DecodeHybrid(bytes.subspan(4, length), 1, n, values.owned.data());
    return;
  }
  if ((n + 7) / 8 > bytes.size()) throw PageError("the values are cut off");
  for (size_t k = 0; k < n; k++) values.owned[k] = (bytes[k >> 3] >> (k & 7)) & 1;
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

size_t DecodeHybrid(Bytes bytes, int bit_width, size_t n, uint32_t* out) {
  return DecodeHybridAs(bytes, bit_width, n, out);
}
size_t DecodeHybrid(Bytes bytes, int bit_width, size_t n, uint8_t* out) {
  return DecodeHybridAs(bytes, bit_width, n, out);
}
void EncodeHybrid(const uint32_t* values, size_t n, int bit_width, std::vector<uint8_t>& out) {
  EncodeHybridAs(values, n, bit_width, out);
}
void EncodeHybrid(const uint8_t* values, size_t n, int bit_width, std::vector<uint8_t>& out) {
  EncodeHybridAs(values, n, bit_width, out);
}

void DecodeValues(int encoding, PhysicalType type, size_t width, Bytes bytes, size_t n,
                  Values& values) {
  values.width = width;
  values.count = n;
  const bool is_bytes = type == PhysicalType::kByteArray;
  switch (static_cast<Encoding>(encoding)) {
    case Encoding::kPlain:
      if (is_bytes) return PlainByteArrays(bytes, n, values);
      if (type == PhysicalType::kBoolean) return Booleans(encoding, bytes, n, values);
      if (n > bytes.size() / width) throw PageError("the values are cut off");
      values.fixed = bytes.data();
      return;
    case Encoding::kRle:
      if (type == PhysicalType::kBoolean) return Booleans(encoding, bytes, n, values);
      break;
    case Encoding::kDeltaBinaryPacked:
      if (type == PhysicalType::kInt32 || type == PhysicalType::kInt64)
        return DeltaIntegers(type, bytes, n, values);
      break;
    case Encoding::kDeltaLengthByteArray:
      if (is_bytes) return DeltaLengthByteArrays(bytes, n, values);
      break;
    case Encoding::kDeltaByteArray: {
      if (!is_bytes && type != PhysicalType::kFixedLenByteArray) break;
      DeltaByteArrays(bytes, n, values);
      if (is_bytes) return;
      values.owned.resize(n * width);
      for (size_t k = 0; k < n; k++) {
        if (values.slices[k].size != width)
          throw PageError("a fixed-length value has another length");
        std::memcpy(values.owned.data() + k * width, values.slices[k].data, width);
      }
      values.slices.clear();
      values.fixed = values.owned.data();
      return;
    }
    case Encoding::kByteStreamSplit:
      if (is_bytes || type == PhysicalType::kBoolean) break;
      if (n > bytes.size() / width) throw PageError("the values are cut off");
      values.owned.resize(n * width);
      for (size_t byte = 0; byte < width; byte++) {
        for (size_t k = 0; k < n; k++) values.owned[k * width + byte] = bytes[byte * n + k];
      }
      values.fixed = values.owned.data();
      return;
    default:
      break;
  }
  throw PageError("encoding " + std::to_string(encoding) + " is not supported for this type");
}

void DecodeDictionary(const Values& dictionary, Bytes bytes, size_t n, Values& values) {
  values.width = dictionary.width;
  values.count = n;
  if (n == 0) return;
  if (bytes.empty()) throw PageError("the dictionary indices are cut off");
  std::vector<uint32_t> indices(n);
  DecodeHybrid(bytes.subspan(1), bytes[0], n, indices.data());
  for (const uint32_t index : indices) {
    if (index >= dictionary.count) throw PageError("an index is outside the dictionary");
  }
  if (dictionary.width == 0) {
    values.slices.resize(n);
    for (size_t k = 0; k < n; k++) values.slices[k] = dictionary.slices[indices[k]];
    return;
  }
  const size_t width = dictionary.width;
  values.owned.resize(n * width);
  for (size_t k = 0; k < n; k++) {
    std::memcpy(values.owned.data() + k * width, dictionary.fixed + indices[k] * width, width);
  }
  values.fixed = values.owned.data();
}

}  // namespace gristmill::codec
