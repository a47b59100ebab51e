// countCodePoints(data, offsets, into) and validateUtf8(data, offsets, into): one call per batch;
// jsonTexts({bytes, …}) -> {consumed, offsets, site}: off the JS thread, overwriting the bytes.
#include "binding/text.h"

#include "binding/convert.h"
#include "binding/promise_worker.h"
#include "text/json_texts.h"
#include "text/rows.h"
#include "text/utf8.h"

namespace gristmill::binding {

namespace {

// Calls `visit(row, bytes)` for every row after checking that the offsets stay inside the data.
template <typename Visit>
void ForEachRow(const Napi::CallbackInfo& info, Visit&& visit) {
  const auto data = ViewOf<uint8_t>(info[0], "data");
  const auto offsets = ViewOf<int32_t>(info[1], "offsets");
  for (size_t row = 0; row + 1 < offsets.size(); row++) {
    visit(row, text::RowOf(data, offsets, row));
  }
}

void RequireLength(size_t received, size_t expected) {
  if (received >= expected) return;
  throw CodedError("OPTION_INVALID", {{"option", "into"},
                                      {"expected", std::to_string(expected) + " elements"},
                                      {"received", std::to_string(received)}});
}

void CountCodePointsJs(const Napi::CallbackInfo& info) {
  Guarded(info.Env(), [&] {
    const auto into = ViewOf<int32_t>(info[2], "into");
    RequireLength(into.size() + 1, ViewOf<int32_t>(info[1], "offsets").size());
    ForEachRow(info, [&](size_t row, std::span<const uint8_t> bytes) {
      into[row] = static_cast<int32_t>(text::CountCodePoints(bytes));
    });
  });
}

void ValidateUtf8Js(const Napi::CallbackInfo& info) {
  Guarded(info.Env(), [&] {
    const auto into = ViewOf<uint8_t>(info[2], "into");
    RequireLength(into.size() + 1, ViewOf<int32_t>(info[1], "offsets").size());
    ForEachRow(info, [&](size_t row, std::span<const uint8_t> bytes) {
      into[row] = text::IsValidUtf8(bytes) ? 1 : 0;
    });
  });
}

// Takes the text and the site of JSON lines; the bytes belong to it until it is done.
class JsonTextsWorker : public PromiseWorker {
 public:
  JsonTextsWorker(const Napi::Object& from) : PromiseWorker(from.Env()) {
    const auto number = [&](const char* name) {
      const double value = from.Get(name).ToNumber().DoubleValue();
      if (!(value >= 0)) {
        throw CodedError("OPTION_INVALID", {{"option", name},
                                            {"expected", "a number of at least 0"},
                                            {"received", std::to_string(value)}});
      }
      constexpr auto kMost = static_cast<double>(INT64_MAX / 2);
      return static_cast<size_t>(std::min(value, kMost));
    };
    request_.bytes = ViewOf<uint8_t>(from.Get("bytes"), "bytes");
    request_.begin = number("begin");
    request_.limit = number("limit");
    request_.max_line_bytes = number("maxLineBytes");
    request_.n_threads = static_cast<int>(std::min<size_t>(512, number("nThreads")));
    request_.is_end = from.Get("isEnd").ToBoolean();
    request_.text_name = from.Get("textColumn").ToString().Utf8Value();
    const Napi::Value site = from.Get("siteColumn");
    if (site.IsString()) request_.site_name = site.ToString().Utf8Value();
    Keep(from.Get("bytes"));
  }

 private:
  void Work() override { taken_ = text::TakeJsonTexts(request_); }

  Napi::Value Result(Napi::Env env) override {
    const auto array = [&]<typename T>(const std::vector<T>& values) {
      return NewArray<T>(env, std::span<const T>(values));
    };
    Napi::Object result = Napi::Object::New(env);
    result.Set("consumed", static_cast<double>(taken_.consumed));
    result.Set("offsets", array(taken_.offsets));
    Napi::Object site = Napi::Object::New(env);
    site.Set("data", array(taken_.site.data));
    site.Set("offsets", array(taken_.site.offsets));
    if (taken_.site.validity.empty()) {
      site.Set("validity", env.Null());
    } else {
      site.Set("validity", array(taken_.site.validity));
    }
    result.Set("site", site);
    return result;
  }

  text::JsonTextsRequest request_;
  text::JsonTexts taken_;
};

Napi::Value JsonTextsJs(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&]() -> Napi::Value {
    if (!info[0].IsObject()) {
      throw CodedError(
          "OPTION_INVALID",
          {{"option", "request"}, {"expected", "an object"}, {"received", "another value"}});
    }
    auto worker = std::make_unique<JsonTextsWorker>(info[0].As<Napi::Object>());
    return worker.release()->Start();
  });
}

}  // namespace

void ExportText(Napi::Env env, Napi::Object exports) {
  exports.Set("countCodePoints", Napi::Function::New(env, CountCodePointsJs, "countCodePoints"));
  exports.Set("validateUtf8", Napi::Function::New(env, ValidateUtf8Js, "validateUtf8"));
  exports.Set("jsonTexts", Napi::Function::New(env, JsonTextsJs, "jsonTexts"));
}

}  // namespace gristmill::binding
