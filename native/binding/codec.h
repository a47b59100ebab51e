#pragma once

#include <napi.h>

namespace gristmill::binding {
void ExportCodec(Napi::Env env, Napi::Object exports);
void ExportLeaves(Napi::Env env, Napi::Object exports);
}  // namespace gristmill::binding
