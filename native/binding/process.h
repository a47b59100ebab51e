#pragma once

#include <napi.h>

namespace gristmill::binding {
void ExportProcess(Napi::Env env, Napi::Object exports);
}
