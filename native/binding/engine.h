#pragma once

#include <napi.h>

namespace gristmill::binding {
// class Engine: one llama.cpp model and its context (src/native/index.ts, NativeEngineHandle).
void ExportEngine(Napi::Env env, Napi::Object exports);
}  // namespace gristmill::binding
