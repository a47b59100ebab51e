#include "codec/codecs.h"

#include <zlib.h>
#include <zstd.h>

#include <memory>

#include "error.h"

namespace gristmill::codec {

namespace {

void GzipDecompress(Bytes src, MutableBytes dst) {
  z_stream stream{};
  // 15 + 32: zlib or gzip header, whichever comes.
  if (inflateInit2(&stream, 15 + 32) != Z_OK) FailCodec(Codec::kGzip, "out of memory");
  stream.next_in = const_cast<Bytef*>(src.data());
  stream.avail_in = static_cast<uInt>(src.size());
  stream.next_out = dst.data();
  stream.avail_out = static_cast<uInt>(dst.size());
  int result = Z_OK;
  // Some writers put several members into one page.
  for (;;) {
    result = inflate(&stream, Z_FINISH);
    if (result != Z_STREAM_END || stream.avail_in == 0 || stream.avail_out == 0) break;
    if (inflateReset(&stream) != Z_OK) break;
  }
  const bool filled = stream.avail_out == 0 && result == Z_STREAM_END;
  inflateEnd(&stream);
  if (!filled) FailCodec(Codec::kGzip, "the stream is damaged or has another length than declared");
}

void ZstdDecompress(Bytes src, MutableBytes dst) {
  // A context per thread: creating one costs more than a small page.
  thread_local std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context(ZSTD_createDCtx(),
                                                                            ZSTD_freeDCtx);
  if (!context) FailCodec(Codec::kZstd, "out of memory");
  const size_t n =
      ZSTD_decompressDCtx(context.get(), dst.data(), dst.size(), src.data(), src.size());
  if (ZSTD_isError(n)) FailCodec(Codec::kZstd, ZSTD_getErrorName(n));
  if (n != dst.size()) FailCodec(Codec::kZstd, "shorter than declared");
}

}  // namespace

const char* CodecName(Codec codec) {
  switch (codec) {
    case Codec::kNone:
      return "none";
    case Codec::kSnappy:
      return "snappy";
    case Codec::kGzip:
      return "gzip";
    case Codec::kLzo:
      return "lzo";
    case Codec::kBrotli:
      return "brotli";
    case Codec::kLz4:
      return "lz4";
    case Codec::kZstd:
      return "zstd";
    case Codec::kLz4Raw:
      return "lz4_raw";
    case Codec::kLz4Frame:
      return "lz4_frame";
  }
  return "unknown";
}

void FailCodec(Codec codec, const std::string& reason) {
  throw CodedError("CORPUS_CODEC_FAILED", {{"codec", CodecName(codec)}, {"reason", reason}});
}

void Decompress(Codec codec, Bytes src, MutableBytes dst) {
  if (dst.empty()) return;
  if (src.size() > INT32_MAX || dst.size() > INT32_MAX) FailCodec(codec, "block above 2 GiB");
  switch (codec) {
    case Codec::kNone:
      if (src.size() != dst.size()) FailCodec(codec, "length differs from the declared one");
      std::copy(src.begin(), src.end(), dst.begin());
      return;
    case Codec::kSnappy:
      return SnappyDecompress(src, dst);
    case Codec::kGzip:
      return GzipDecompress(src, dst);
    case Codec::kZstd:
      return ZstdDecompress(src, dst);
    case Codec::kLz4Raw:
      return Lz4Decompress(src, dst);
    case Codec::kLz4Frame:
      return Lz4FrameDecompress(src, dst);
    case Codec::kLz4:
      return Lz4AnyDecompress(src, dst);
    default:
      // Planning refuses such files; brotli pages are decoded before they come here.
      FailCodec(codec, "codec not supported");
  }
}

void ZstdCompressAppend(Bytes src, int level, std::vector<uint8_t>& out) {
  thread_local std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> context(ZSTD_createCCtx(),
                                                                            ZSTD_freeCCtx);
  if (!context) FailCodec(Codec::kZstd, "out of memory");
  const size_t before = out.size();
  out.resize(before + ZSTD_compressBound(src.size()));
  const size_t n = ZSTD_compressCCtx(context.get(), out.data() + before, out.size() - before,
                                     src.data(), src.size(), level);
  if (ZSTD_isError(n)) FailCodec(Codec::kZstd, ZSTD_getErrorName(n));
  out.resize(before + n);
}

}  // namespace gristmill::codec
