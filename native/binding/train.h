#pragma once

#include <napi.h>

namespace gristmill::binding {
// class Trainer and trainShapeOf(path); the typed face is src/native/train.ts.
void ExportTrain(Napi::Env env, Napi::Object exports);
}  // namespace gristmill::binding
