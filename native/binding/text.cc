// countCodePoints(data, offsets, into) and validateUtf8(data, offsets, into): one call per batch.
#include "binding/text.h"

#include "binding/convert.h"
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

}  // namespace

void ExportText(Napi::Env env, Napi::Object exports) {
  exports.Set("countCodePoints", Napi::Function::New(env, CountCodePointsJs, "countCodePoints"));
  exports.Set("validateUtf8", Napi::Function::New(env, ValidateUtf8Js, "validateUtf8"));
}

}  // namespace gristmill::binding
