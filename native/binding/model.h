#pragma once

#include <napi.h>

namespace gristmill::binding {
// inspectModel(path), writeRandomModel(spec), convertRows(request), vocabularyDifference(model,
// tokenizer).
void ExportModel(Napi::Env env, Napi::Object exports);
}  // namespace gristmill::binding
