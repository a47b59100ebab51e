// zstd streams in bounded memory, for .jsonl.zst: the caller owns both buffers and calls again
// until done.
#pragma once

#include <zstd.h>

#include <memory>

#include "codec/codecs.h"

namespace gristmill::codec {

struct StreamStep {
  size_t read = 0;
  size_t written = 0;
  // Decoder: the input ends a frame here. Encoder: everything is flushed.
  bool done = false;
};

class ZstdDecoder {
 public:
  // Frames may ask for windows of at most 2^max_window_log bytes, 10 to 31.
  explicit ZstdDecoder(int max_window_log);
  StreamStep Decode(Bytes src, MutableBytes dst);

 private:
  bool between_frames_ = true;
  std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context_;
};

class ZstdEncoder {
 public:
  explicit ZstdEncoder(int level);
  // With `end` the frame is closed once `done` is reported.
  StreamStep Encode(Bytes src, MutableBytes dst, bool end);

 private:
  std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> context_;
};

}  // namespace gristmill::codec
