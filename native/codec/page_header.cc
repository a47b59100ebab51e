#include "codec/page_header.h"

namespace gristmill::codec {

namespace {

// Thrown inside this file only: the buffer ends, more bytes may help / nothing helps.
struct NeedMore {};
struct Damaged {};

// Thrift compact protocol, reading side.
class Thrift {
 public:
  explicit Thrift(Bytes bytes) : bytes_(bytes) {}

  uint8_t Byte() {
    if (at_ >= bytes_.size()) throw NeedMore{};
    return bytes_[at_++];
  }

  uint64_t Varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 70; shift += 7) {
      const uint8_t byte = Byte();
      if (shift < 64) value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (!(byte & 0x80)) return value;
    }
    throw Damaged{};
  }

  int64_t Zigzag() {
    const uint64_t value = Varint();
    return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1);
  }

  int32_t Int32() {
    const int64_t value = Zigzag();
    if (value < INT32_MIN || value > INT32_MAX) throw Damaged{};
    return static_cast<int32_t>(value);
  }

  // Calls visit(field id, type) for each field; the visitor reads the value or calls Skip(type).
  template <typename Visit>
  void Struct(Visit&& visit) {
    int64_t id = 0;
    for (;;) {
      const uint8_t head = Byte();
      if (head == 0) return;
      id = head >> 4 ? id + (head >> 4) : Zigzag();
      visit(id, head & 15);
    }
  }

  void Skip(int type, int depth = 0) {
    if (depth > 16) throw Damaged{};
    switch (type) {
      case 1:
      case 2:
        return;  // the field header holds the boolean
      case 3:
        Byte();
        return;
      case 4:
      case 5:
      case 6:
        Varint();
        return;
      case 7:
        Advance(8);
        return;
      case 8:
        Advance(Varint());
        return;
      case 9:
      case 10: {
        const uint8_t head = Byte();
        const uint64_t n = head >> 4 == 15 ? Varint() : head >> 4;
        for (uint64_t k = 0; k < n; k++) {
          if ((head & 15) <= 2)
            Byte();
          else
            Skip(head & 15, depth + 1);
        }
        return;
      }
      case 12:
        Struct([&](int64_t, int inner) { Skip(inner, depth + 1); });
        return;
      default:
        throw Damaged{};
    }
  }

  void Advance(uint64_t n) {
    if (n > INT32_MAX) throw Damaged{};
    if (n > bytes_.size() - at_) throw NeedMore{};
    at_ += n;
  }

  size_t at() const { return at_; }

 private:
  Bytes bytes_;
  size_t at_ = 0;
};

void ReadDataHeader(Thrift& in, PageHeader& header) {
  in.Struct([&](int64_t id, int type) {
    if (type != 5)
      in.Skip(type);
    else if (id == 1)
      header.n_values = in.Int32();
    else if (id == 2)
      header.encoding = in.Int32();
    else if (id == 3)
      header.definition_encoding = in.Int32();
    else if (id == 4)
      header.repetition_encoding = in.Int32();
    else
      in.Skip(type);
  });
}

void ReadDataHeaderV2(Thrift& in, PageHeader& header) {
  in.Struct([&](int64_t id, int type) {
    if (id == 7 && type <= 2)
      header.is_compressed = type == 1;
    else if (type != 5)
      in.Skip(type);
    else if (id == 1)
      header.n_values = in.Int32();
    else if (id == 2)
      header.n_nulls = in.Int32();
    else if (id == 4)
      header.encoding = in.Int32();
    else if (id == 5)
      header.definition_bytes = in.Int32();
    else if (id == 6)
      header.repetition_bytes = in.Int32();
    else
      in.Skip(type);
  });
}

void PutVarint(uint64_t value, std::vector<uint8_t>& out) {
  while (value >= 0x80) {
    out.push_back(static_cast<uint8_t>(value) | 0x80);
    value >>= 7;
  }
  out.push_back(static_cast<uint8_t>(value));
}

// Field `id` after field `id - 1`... the delta is in the high half, i32 is type 5.
void PutInt(int delta, int32_t value, std::vector<uint8_t>& out) {
  out.push_back(static_cast<uint8_t>(delta << 4 | 5));
  const int64_t wide = value;
  PutVarint(static_cast<uint64_t>((wide << 1) ^ (wide >> 63)), out);
}

}  // namespace

int64_t ParsePageHeader(Bytes bytes, PageHeader& header) {
  header = PageHeader{};
  Thrift in(bytes);
  try {
    in.Struct([&](int64_t id, int type) {
      if (id == 5 && type == 12) return ReadDataHeader(in, header);
      if (id == 7 && type == 12) return ReadDataHeader(in, header);
      if (id == 8 && type == 12) return ReadDataHeaderV2(in, header);
      if (type != 5) return in.Skip(type);
      switch (id) {
        case 1:
          header.type = in.Int32();
          return;
        case 2:
          header.uncompressed_bytes = in.Int32();
          return;
        case 3:
          header.compressed_bytes = in.Int32();
          return;
        case 4:
          header.crc = static_cast<uint32_t>(in.Int32());
          header.has_crc = true;
          return;
        default:
          in.Skip(type);
      }
    });
  } catch (NeedMore) {
    return 0;
  } catch (Damaged) {
    return -1;
  }
  return static_cast<int64_t>(in.at());
}

void WritePageHeader(const PageHeader& header, std::vector<uint8_t>& out) {
  PutInt(1, header.type, out);
  PutInt(1, header.uncompressed_bytes, out);
  PutInt(1, header.compressed_bytes, out);
  PutInt(1, static_cast<int32_t>(header.crc), out);
  const bool is_dictionary = header.type == static_cast<int32_t>(PageType::kDictionary);
  out.push_back(static_cast<uint8_t>((is_dictionary ? 3 : 1) << 4 | 12));
  PutInt(1, header.n_values, out);
  PutInt(1, header.encoding, out);
  if (!is_dictionary) {
    PutInt(1, header.definition_encoding, out);
    PutInt(1, header.repetition_encoding, out);
  }
  out.push_back(0);
  out.push_back(0);
}

}  // namespace gristmill::codec
