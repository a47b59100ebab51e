#pragma once

#include <napi.h>

namespace gristmill::binding {
void ExportText(Napi::Env env, Napi::Object exports);
}
