// LZ4 frames (format: lz4_Frame_format.md): what compressed Arrow bodies hold. Checksums are
// checked where a frame has them; several frames and skippable ones may follow one another.
#include <algorithm>
#include <cstring>

#include "codec/codecs.h"

namespace gristmill::codec {

namespace {

constexpr uint32_t kMagic = 0x184D2204;
constexpr uint32_t kSkippable = 0x184D2A50;  // the last four bits are free
constexpr uint32_t kRawBlock = 0x80000000;

[[noreturn]] void Fail(const char* reason) {
  FailCodec(Codec::kLz4Frame, reason);
}

uint32_t Rotate(uint32_t value, int bits) {
  return (value << bits) | (value >> (32 - bits));
}

uint32_t Word(const uint8_t* at) {
  uint32_t value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// xxHash, 32 bits, seed 0 (xxhash_spec.md).
uint32_t XxHash32(Bytes bytes) {
  constexpr uint32_t p1 = 0x9E3779B1, p2 = 0x85EBCA77, p3 = 0xC2B2AE3D, p4 = 0x27D4EB2F,
                     p5 = 0x165667B1;
  const uint8_t* at = bytes.data();
  size_t left = bytes.size();
  uint32_t hash = p5;
  if (left >= 16) {
    uint32_t lanes[4] = {p1 + p2, p2, 0, 0 - p1};
    for (; left >= 16; left -= 16) {
      for (uint32_t& lane : lanes) {
        lane = Rotate(lane + Word(at) * p2, 13) * p1;
        at += 4;
      }
    }
    hash = Rotate(lanes[0], 1) + Rotate(lanes[1], 7) + Rotate(lanes[2], 12) + Rotate(lanes[3], 18);
  }
  hash += static_cast<uint32_t>(bytes.size());
  for (; left >= 4; left -= 4, at += 4) hash = Rotate(hash + Word(at) * p3, 17) * p4;
  for (; left > 0; left--, at++) hash = Rotate(hash + *at * p5, 11) * p1;
  hash = (hash ^ (hash >> 15)) * p2;
  hash = (hash ^ (hash >> 13)) * p3;
  return hash ^ (hash >> 16);
}

// Takes from the front of what is left.
struct Cursor {
  Bytes bytes;

  Bytes Take(size_t n) {
    if (n > bytes.size()) Fail("it is cut off");
    const Bytes taken = bytes.first(n);
    bytes = bytes.subspan(n);
    return taken;
  }
  uint32_t TakeWord() { return Word(Take(4).data()); }
};

struct FrameHeader {
  bool independent = false;
  bool block_checksums = false;
  bool content_checksum = false;
  size_t max_block = 0;
};

FrameHeader TakeHeader(Cursor& cursor) {
  const Bytes start = cursor.bytes;
  const Bytes descriptor = cursor.Take(2);
  const uint8_t flags = descriptor[0], block = descriptor[1];
  if (flags >> 6 != 1 || (flags & 2) || (block & 0x8f) || block >> 4 < 4) {
    Fail("its header is damaged");
  }
  FrameHeader header;
  header.independent = flags & 0x20;
  header.block_checksums = flags & 0x10;
  header.content_checksum = flags & 4;
  header.max_block = size_t{1} << (8 + 2 * (block >> 4));
  if (flags & 8) cursor.Take(8);  // the content's size: the caller knows it
  if (flags & 1) Fail("it needs a dictionary");
  const Bytes hashed = start.first(start.size() - cursor.bytes.size());
  if (cursor.Take(1)[0] != static_cast<uint8_t>(XxHash32(hashed) >> 8)) {
    Fail("the checksum of its header differs");
  }
  return header;
}

// Decodes the blocks of one frame behind `written` bytes of `dst`; returns where it ends.
size_t TakeFrame(Cursor& cursor, MutableBytes dst, size_t written) {
  const FrameHeader header = TakeHeader(cursor);
  const size_t frame_start = written;
  for (;;) {
    const uint32_t size = cursor.TakeWord();
    if (size == 0) break;
    const Bytes block = cursor.Take(size & ~kRawBlock);
    if (header.block_checksums && cursor.TakeWord() != XxHash32(block)) {
      Fail("the checksum of a block differs");
    }
    const size_t room = std::min(dst.size(), written + header.max_block);
    if (size & kRawBlock) {
      if (block.size() > room - written) Fail("a block runs over the end");
      std::memcpy(dst.data() + written, block.data(), block.size());
      written += block.size();
    } else {
      written =
          Lz4Block(block, dst.first(room), written, header.independent ? written : frame_start);
    }
  }
  if (header.content_checksum &&
      cursor.TakeWord() != XxHash32(dst.subspan(frame_start, written - frame_start))) {
    Fail("the checksum of its content differs");
  }
  return written;
}

}  // namespace

void Lz4FrameDecompress(Bytes src, MutableBytes dst) {
  Cursor cursor{src};
  size_t written = 0;
  while (!cursor.bytes.empty()) {
    const uint32_t magic = cursor.TakeWord();
    if ((magic & ~0xfu) == kSkippable) {
      cursor.Take(cursor.TakeWord());
      continue;
    }
    if (magic != kMagic) Fail("it does not begin as a frame");
    written = TakeFrame(cursor, dst, written);
  }
  if (written != dst.size()) Fail("shorter than declared");
}

}  // namespace gristmill::codec
