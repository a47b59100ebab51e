// Parquet's PageHeader in Thrift compact form: the fields a reader needs, and the writer's
// counterpart.
#pragma once

#include <cstdint>
#include <vector>

#include "codec/codecs.h"

namespace gristmill::codec {

enum class PageType { kData = 0, kIndex = 1, kDictionary = 2, kDataV2 = 3 };

enum class Encoding {
  kPlain = 0,
  kPlainDictionary = 2,
  kRle = 3,
  kBitPacked = 4,
  kDeltaBinaryPacked = 5,
  kDeltaLengthByteArray = 6,
  kDeltaByteArray = 7,
  kRleDictionary = 8,
  kByteStreamSplit = 9,
};

struct PageHeader {
  int32_t type = -1;
  int32_t uncompressed_bytes = -1;
  int32_t compressed_bytes = -1;
  bool has_crc = false;
  uint32_t crc = 0;
  int32_t n_values = -1;
  int32_t encoding = -1;
  int32_t definition_encoding = 3;
  int32_t repetition_encoding = 3;
  // version 2 only
  int32_t n_nulls = 0;
  int32_t definition_bytes = 0;
  int32_t repetition_bytes = 0;
  bool is_compressed = true;
};

// Length of the header at the start of `bytes`; 0 when `bytes` ends before the header does; -1 when
// damaged.
int64_t ParsePageHeader(Bytes bytes, PageHeader& header);

// Appends a version-1 data page or dictionary page header, with its CRC.
void WritePageHeader(const PageHeader& header, std::vector<uint8_t>& out);

}  // namespace gristmill::codec
