// Block codecs of Parquet pages: the exact output length is known to the caller, anything else is
// an error.
//
// Invariants
//  1. No decoder reads outside `src` or writes outside `dst`, whatever the bytes are (fuzzed in
//     test/native/codec).
//  2. A decoder that does not fill `dst` exactly throws CORPUS_CODEC_FAILED; an empty `dst` needs
//  no input,
//     since zero-length pages are written with and without a frame.
#pragma once

#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace gristmill::codec {

using Bytes = std::span<const uint8_t>;
using MutableBytes = std::span<uint8_t>;

// Leaves new elements as they are: page buffers are overwritten whole, and clearing 25 MB pages
// first costs as much as copying them.
template <typename T>
struct UninitializedAllocator : std::allocator<T> {
  template <typename U>
  struct rebind {
    using other = UninitializedAllocator<U>;
  };
  template <typename U, typename... Args>
  void construct(U* at, Args&&... args) {
    if constexpr (sizeof...(Args) == 0)
      ::new (static_cast<void*>(at)) U;
    else
      ::new (static_cast<void*>(at)) U(std::forward<Args>(args)...);
  }
};
using Buffer = std::vector<uint8_t, UninitializedAllocator<uint8_t>>;

// Values of Parquet's CompressionCodec.
enum class Codec {
  kNone = 0,
  kSnappy = 1,
  kGzip = 2,
  kLzo = 3,
  kBrotli = 4,
  kLz4 = 5,
  kZstd = 6,
  kLz4Raw = 7,
  // Not one of Parquet's: the frames of Arrow's compressed bodies.
  kLz4Frame = 100
};

const char* CodecName(Codec codec);

// Fills `dst` with the decoded bytes of `src`.
void Decompress(Codec codec, Bytes src, MutableBytes dst);

void SnappyDecompress(Bytes src, MutableBytes dst);
void Lz4Decompress(Bytes src, MutableBytes dst);
void Lz4FrameDecompress(Bytes src, MutableBytes dst);
// The deprecated codec LZ4, which writers took for three things: Hadoop's blocks, frames, one
// block.
void Lz4AnyDecompress(Bytes src, MutableBytes dst);

// One LZ4 block behind the first `written` bytes of `dst`; its matches reach back to
// `history_start`. Returns where it ends.
size_t Lz4Block(Bytes src, MutableBytes dst, size_t written, size_t history_start);

// Appends one zstd frame of `src` to `out`.
void ZstdCompressAppend(Bytes src, int level, std::vector<uint8_t>& out);

// Throws CORPUS_CODEC_FAILED.
[[noreturn]] void FailCodec(Codec codec, const std::string& reason);

}  // namespace gristmill::codec
