#pragma once

#include <napi.h>

namespace gristmill::binding {
void ExportMemory(Napi::Env env, Napi::Object exports);
}
