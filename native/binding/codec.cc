// Block and stream codecs for JS: decompress, zstdCompress, zstdCompressBound, ZstdDecoder,
// ZstdEncoder.
#include "binding/codec.h"

#include <zstd.h>

#include "binding/convert.h"
#include "codec/codecs.h"
#include "codec/zstd_stream.h"

namespace gristmill::binding {

namespace {

using codec::Codec;

Codec CodecOf(const Napi::Value& value) {
  const std::string name = value.IsString() ? value.As<Napi::String>().Utf8Value() : "";
  for (const Codec known : {Codec::kNone, Codec::kSnappy, Codec::kGzip, Codec::kZstd, Codec::kLz4,
                            Codec::kLz4Raw, Codec::kLz4Frame}) {
    if (name == codec::CodecName(known)) return known;
  }
  throw CodedError("OPTION_INVALID",
                   {{"option", "codec"},
                    {"expected", "zstd, snappy, gzip, lz4, lz4_raw, lz4_frame or none"},
                    {"received", name}});
}

Napi::Value Decompress(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&]() -> Napi::Value {
    const Codec codec = CodecOf(info[0]);
    const auto src = ViewOf<uint8_t>(info[1], "src");
    const auto dst = ViewOf<uint8_t>(info[2], "dst");
    codec::Decompress(codec, src, dst);
    return Napi::Number::New(info.Env(), static_cast<double>(dst.size()));
  });
}

int LevelOf(const Napi::Value& value) {
  const int level = value.IsNumber() ? value.As<Napi::Number>().Int32Value() : 0;
  if (level < 1 || level > 19) {
    throw CodedError(
        "OPTION_INVALID",
        {{"option", "zstdLevel"}, {"expected", "1..19"}, {"received", std::to_string(level)}});
  }
  return level;
}

int WindowLogOf(const Napi::Value& value) {
  if (value.IsUndefined()) return 27;
  const int log = value.IsNumber() ? value.As<Napi::Number>().Int32Value() : 0;
  if (log < 10 || log > 31) {
    throw CodedError(
        "OPTION_INVALID",
        {{"option", "zstdWindowLog"}, {"expected", "10..31"}, {"received", std::to_string(log)}});
  }
  return log;
}

Napi::Value ZstdCompress(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&]() -> Napi::Value {
    const auto src = ViewOf<uint8_t>(info[0], "src");
    const int level = LevelOf(info[1]);
    std::vector<uint8_t> out;
    codec::ZstdCompressAppend(src, level, out);
    if (info[2].IsUndefined()) {
      return Napi::Buffer<uint8_t>::Copy(info.Env(), out.data(), out.size());
    }
    const auto dst = ViewOf<uint8_t>(info[2], "dst");
    if (dst.size() < out.size()) {
      throw CodedError("OPTION_INVALID",
                       {{"option", "dst"},
                        {"expected", "at least " + std::to_string(out.size()) + " bytes"},
                        {"received", std::to_string(dst.size())}});
    }
    std::copy(out.begin(), out.end(), dst.begin());
    return Napi::Number::New(info.Env(), static_cast<double>(out.size()));
  });
}

Napi::Value ZstdCompressBound(const Napi::CallbackInfo& info) {
  const double size = info[0].IsNumber() ? info[0].As<Napi::Number>().DoubleValue() : 0;
  return Napi::Number::New(info.Env(),
                           static_cast<double>(ZSTD_compressBound(static_cast<size_t>(size))));
}

Napi::Value StepOf(Napi::Env env, const codec::StreamStep& step) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("read", static_cast<double>(step.read));
  result.Set("written", static_cast<double>(step.written));
  result.Set("done", step.done);
  return result;
}

class DecoderObject : public Napi::ObjectWrap<DecoderObject> {
 public:
  explicit DecoderObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<DecoderObject>(info) {
    Guarded(info.Env(),
            [&] { decoder_ = std::make_unique<codec::ZstdDecoder>(WindowLogOf(info[0])); });
  }
  static Napi::Function Class(Napi::Env env) {
    return DefineClass(env, "ZstdDecoder", {InstanceMethod("decode", &DecoderObject::Decode)});
  }

 private:
  Napi::Value Decode(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&] {
      return StepOf(info.Env(), decoder_->Decode(ViewOf<uint8_t>(info[0], "src"),
                                                 ViewOf<uint8_t>(info[1], "dst")));
    });
  }
  std::unique_ptr<codec::ZstdDecoder> decoder_;
};

class EncoderObject : public Napi::ObjectWrap<EncoderObject> {
 public:
  explicit EncoderObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<EncoderObject>(info) {
    Guarded(info.Env(), [&] { encoder_ = std::make_unique<codec::ZstdEncoder>(LevelOf(info[0])); });
  }
  static Napi::Function Class(Napi::Env env) {
    return DefineClass(env, "ZstdEncoder", {InstanceMethod("encode", &EncoderObject::Encode)});
  }

 private:
  Napi::Value Encode(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&] {
      return StepOf(info.Env(),
                    encoder_->Encode(ViewOf<uint8_t>(info[0], "src"),
                                     ViewOf<uint8_t>(info[1], "dst"), info[2].ToBoolean().Value()));
    });
  }
  std::unique_ptr<codec::ZstdEncoder> encoder_;
};

}  // namespace

void ExportCodec(Napi::Env env, Napi::Object exports) {
  exports.Set("decompress", Napi::Function::New(env, Decompress, "decompress"));
  exports.Set("zstdCompress", Napi::Function::New(env, ZstdCompress, "zstdCompress"));
  exports.Set("zstdCompressBound",
              Napi::Function::New(env, ZstdCompressBound, "zstdCompressBound"));
  exports.Set("ZstdDecoder", DecoderObject::Class(env));
  exports.Set("ZstdEncoder", EncoderObject::Class(env));
  ExportLeaves(env, exports);
}

}  // namespace gristmill::binding
