#include "codec/zstd_stream.h"

namespace gristmill::codec {

ZstdDecoder::ZstdDecoder(int max_window_log) : context_(ZSTD_createDCtx(), ZSTD_freeDCtx) {
  if (!context_) FailCodec(Codec::kZstd, "out of memory");
  ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, max_window_log);
}

StreamStep ZstdDecoder::Decode(Bytes src, MutableBytes dst) {
  // zstd would already expect the next frame's header and no longer say that the last one is
  // complete.
  if (src.empty() && between_frames_) return {0, 0, true};
  ZSTD_inBuffer in{src.data(), src.size(), 0};
  ZSTD_outBuffer out{dst.data(), dst.size(), 0};
  const size_t hint = ZSTD_decompressStream(context_.get(), &out, &in);
  if (ZSTD_isError(hint)) FailCodec(Codec::kZstd, ZSTD_getErrorName(hint));
  between_frames_ = hint == 0;
  return {in.pos, out.pos, between_frames_};
}

ZstdEncoder::ZstdEncoder(int level) : context_(ZSTD_createCCtx(), ZSTD_freeCCtx) {
  if (!context_) FailCodec(Codec::kZstd, "out of memory");
  ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_compressionLevel, level);
  ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_checksumFlag, 1);
}

StreamStep ZstdEncoder::Encode(Bytes src, MutableBytes dst, bool end) {
  ZSTD_inBuffer in{src.data(), src.size(), 0};
  ZSTD_outBuffer out{dst.data(), dst.size(), 0};
  const size_t left =
      ZSTD_compressStream2(context_.get(), &out, &in, end ? ZSTD_e_end : ZSTD_e_continue);
  if (ZSTD_isError(left)) FailCodec(Codec::kZstd, ZSTD_getErrorName(left));
  return {in.pos, out.pos, in.pos == in.size && (end ? left == 0 : out.pos < out.size)};
}

}  // namespace gristmill::codec
