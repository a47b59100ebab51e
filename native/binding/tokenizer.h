#pragma once

#include <napi.h>

namespace gristmill::binding {
// class Tokenizer; the typed face is src/native/tokenizer.ts.
void ExportTokenizer(Napi::Env env, Napi::Object exports);
}  // namespace gristmill::binding
