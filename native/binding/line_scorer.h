#pragma once

#include <napi.h>

namespace gristmill::binding {
// class LineScorer; the typed face is src/native/lines.ts.
void ExportLineScorer(Napi::Env env, Napi::Object exports);
}  // namespace gristmill::binding
