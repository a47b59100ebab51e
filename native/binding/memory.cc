// addressOf(view) -> bigint: where a view's bytes lie, so that tests can prove that nothing was
// copied.
#include "binding/memory.h"

#include "binding/convert.h"

namespace gristmill::binding {

namespace {

Napi::Value AddressOf(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&]() -> Napi::Value {
    const auto view = ViewOf<uint8_t>(info[0], "view");
    return Napi::BigInt::New(info.Env(), reinterpret_cast<uint64_t>(view.data()));
  });
}

}  // namespace

void ExportMemory(Napi::Env env, Napi::Object exports) {
  exports.Set("addressOf", Napi::Function::New(env, AddressOf, "addressOf"));
}

}  // namespace gristmill::binding
