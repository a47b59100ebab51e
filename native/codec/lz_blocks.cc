// Snappy and LZ4 block decoders (formats: google/snappy format_description.txt, lz4
// lz4_Block_format.md). Every length is checked against both ends before a byte moves.
#include <algorithm>
#include <cstring>

#include "codec/codecs.h"
#include "error.h"

namespace gristmill::codec {

namespace {

// Copies `length` bytes from `distance` back; source and target may overlap, then the pattern
// repeats.
inline void CopyMatch(uint8_t* target, size_t distance, size_t length) {
  const uint8_t* source = target - distance;
  if (distance >= length) {
    std::memcpy(target, source, length);
    return;
  }
  // Doubling: each pass copies what is already there, so that long runs need few calls.
  size_t done = 0;
  while (done < length) {
    const size_t step = std::min(distance + done, length - done);
    std::memcpy(target + done, source, step);
    done += step;
  }
}

}  // namespace

void SnappyDecompress(Bytes src, MutableBytes dst) {
  const auto fail = [](const char* reason) { FailCodec(Codec::kSnappy, reason); };
  size_t read = 0;
  uint64_t declared = 0;
  for (int shift = 0;; shift += 7) {
    if (read >= src.size() || shift > 28) fail("the length header is damaged");
    const uint8_t byte = src[read++];
    declared |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (!(byte & 0x80)) break;
  }
  if (declared != dst.size()) fail("length differs from the declared one");
  size_t written = 0;
  while (read < src.size()) {
    const uint8_t tag = src[read++];
    size_t length, distance;
    switch (tag & 3) {
      case 0: {
        length = (tag >> 2) + 1;
        if (length > 60) {
          const size_t n_bytes = length - 60;
          if (n_bytes > src.size() - read) fail("a literal header is cut off");
          length = 0;
          for (size_t k = 0; k < n_bytes; k++)
            length |= static_cast<size_t>(src[read + k]) << (8 * k);
          length++;
          read += n_bytes;
        }
        if (length > src.size() - read || length > dst.size() - written)
          fail("a literal runs over the end");
        std::memcpy(dst.data() + written, src.data() + read, length);
        read += length;
        written += length;
        continue;
      }
      case 1:
        if (src.size() - read < 1) fail("a copy is cut off");
        length = ((tag >> 2) & 7) + 4;
        distance = (static_cast<size_t>(tag >> 5) << 8) | src[read];
        read += 1;
        break;
      case 2:
        if (src.size() - read < 2) fail("a copy is cut off");
        length = (tag >> 2) + 1;
        distance = src[read] | (static_cast<size_t>(src[read + 1]) << 8);
        read += 2;
        break;
      default:
        if (src.size() - read < 4) fail("a copy is cut off");
        length = (tag >> 2) + 1;
        distance = src[read] | (static_cast<size_t>(src[read + 1]) << 8) |
                   (static_cast<size_t>(src[read + 2]) << 16) |
                   (static_cast<size_t>(src[read + 3]) << 24);
        read += 4;
    }
    if (distance == 0 || distance > written) fail("a copy reaches before the start");
    if (length > dst.size() - written) fail("a copy runs over the end");
    CopyMatch(dst.data() + written, distance, length);
    written += length;
  }
  if (written != dst.size()) fail("shorter than declared");
}

size_t Lz4Block(Bytes src, MutableBytes dst, size_t written, size_t history_start) {
  const auto fail = [](const char* reason) { FailCodec(Codec::kLz4Raw, reason); };
  size_t read = 0;
  const auto extended = [&](size_t length) {
    if (length != 15) return length;
    for (;;) {
      if (read >= src.size()) fail("a length is cut off");
      const uint8_t byte = src[read++];
      length += byte;
      if (byte != 255) return length;
    }
  };
  while (read < src.size()) {
    const uint8_t token = src[read++];
    const size_t n_literals = extended(token >> 4);
    if (n_literals > src.size() - read || n_literals > dst.size() - written) {
      fail("a literal runs over the end");
    }
    std::memcpy(dst.data() + written, src.data() + read, n_literals);
    read += n_literals;
    written += n_literals;
    if (read == src.size()) break;  // the last sequence has no match
    if (src.size() - read < 2) fail("a match is cut off");
    const size_t distance = src[read] | (static_cast<size_t>(src[read + 1]) << 8);
    read += 2;
    const size_t length = extended(token & 15) + 4;
    if (distance == 0 || distance > written - history_start) {
      fail("a match reaches before the start");
    }
    if (length > dst.size() - written) fail("a match runs over the end");
    CopyMatch(dst.data() + written, distance, length);
    written += length;
  }
  return written;
}

void Lz4Decompress(Bytes src, MutableBytes dst) {
  if (Lz4Block(src, dst, 0, 0) != dst.size()) {
    FailCodec(Codec::kLz4Raw, "shorter than declared");
  }
}

namespace {

uint32_t BigEndian(Bytes bytes, size_t at) {
  return static_cast<uint32_t>(bytes[at]) << 24 | static_cast<uint32_t>(bytes[at + 1]) << 16 |
         static_cast<uint32_t>(bytes[at + 2]) << 8 | bytes[at + 3];
}

// Hadoop's framing: a big-endian length of what follows unfolds to, then one or more LZ4 blocks,
// each after its own big-endian length; and again.
bool HadoopDecompress(Bytes src, MutableBytes dst) {
  size_t read = 0, written = 0;
  try {
    while (read < src.size()) {
      if (src.size() - read < 4) return false;
      const size_t end = written + BigEndian(src, read);
      read += 4;
      if (end > dst.size()) return false;
      while (written < end) {
        if (src.size() - read < 4) return false;
        const size_t length = BigEndian(src, read);
        read += 4;
        if (length == 0 || length > src.size() - read) return false;
        written = Lz4Block(src.subspan(read, length), dst.first(end), written, written);
        read += length;
      }
    }
  } catch (const CodedError&) {
    return false;
  }
  return written == dst.size();
}

// Early writers of C++ had frames.
bool IsFrame(Bytes src) {
  return src.size() >= 7 && BigEndian(src, 0) == 0x04224d18;
}

}  // namespace

void Lz4AnyDecompress(Bytes src, MutableBytes dst) {
  if (HadoopDecompress(src, dst)) return;
  if (IsFrame(src)) return Lz4FrameDecompress(src, dst);
  if (Lz4Block(src, dst, 0, 0) != dst.size()) FailCodec(Codec::kLz4, "shorter than declared");
}

}  // namespace gristmill::codec
