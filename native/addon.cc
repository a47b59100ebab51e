// The addon's exports, nothing else. Context-aware: it may be loaded in any number of threads.
#include <napi.h>

#include "binding/memory.h"

namespace {

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  gristmill::binding::ExportMemory(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(gristmill, Init)
