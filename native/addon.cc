// The addon's exports, nothing else. Context-aware: it may be loaded in any number of threads.
#include <napi.h>

#include "binding/codec.h"
#include "binding/end_hook.h"
#include "binding/engine.h"
#include "binding/line_scorer.h"
#include "binding/memory.h"
#include "binding/mixture.h"
#include "binding/model.h"
#include "binding/pages.h"
#include "binding/process.h"
#include "binding/sites.h"
#include "binding/text.h"
#include "binding/tokenizer.h"
#include "binding/train.h"

namespace {

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  gristmill::binding::EndHook::Install(env);
  gristmill::binding::ExportMemory(env, exports);
  gristmill::binding::ExportCodec(env, exports);
  gristmill::binding::ExportText(env, exports);
  gristmill::binding::ExportEngine(env, exports);
  gristmill::binding::ExportLineScorer(env, exports);
  gristmill::binding::ExportMixture(env, exports);
  gristmill::binding::ExportModel(env, exports);
  gristmill::binding::ExportPages(env, exports);
  gristmill::binding::ExportProcess(env, exports);
  gristmill::binding::ExportSites(env, exports);
  gristmill::binding::ExportTokenizer(env, exports);
  gristmill::binding::ExportTrain(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(gristmill, Init)
