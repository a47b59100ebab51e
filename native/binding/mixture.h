#pragma once

#include <napi.h>

namespace gristmill::binding {
void ExportMixture(Napi::Env env, Napi::Object exports);
}
