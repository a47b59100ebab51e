// class LineScorer: open() -> info, score(request) -> Float32Array, dispose().
//
// Lifetime rules
//  1. The model is shared by the object and by the workers that use it: dispose() lets go of it,
//     the last worker frees it.
//  2. Requests are copied on the JS thread; a worker sees no JS memory.
//  3. Calls wait for each other inside LineScorer::Score, in no promised order: each promise is its
//     own.
#include "binding/line_scorer.h"

#include <memory>

#include "binding/convert.h"
#include "binding/promise_worker.h"
#include "engine/line_scorer.h"

namespace gristmill::binding {

namespace {

using engine::LineScorer;
using Shared = std::shared_ptr<LineScorer>;

template <typename T>
std::vector<T> Copy(const Napi::Object& object, const char* name) {
  const std::span<T> view = ViewOf<T>(object.Get(name), name);
  return {view.begin(), view.end()};
}

class ScoreWorker : public PromiseWorker {
 public:
  ScoreWorker(Napi::Env env, Shared scorer, engine::BagWindows windows)
      : PromiseWorker(env), scorer_(std::move(scorer)), windows_(std::move(windows)) {}

 private:
  void Work() override { scores_ = scorer_->Score(windows_); }
  Napi::Value Result(Napi::Env env) override {
    auto scores = Napi::Float32Array::New(env, scores_.size());
    std::copy(scores_.begin(), scores_.end(), scores.Data());
    return scores;
  }

  Shared scorer_;
  engine::BagWindows windows_;
  std::vector<float> scores_;
};

class LineScorerObject : public Napi::ObjectWrap<LineScorerObject> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "LineScorer",
                       {InstanceMethod("open", &LineScorerObject::Open),
                        InstanceMethod("score", &LineScorerObject::Score),
                        InstanceMethod("dispose", &LineScorerObject::Dispose)});
  }

  explicit LineScorerObject(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<LineScorerObject>(info) {
    const Napi::Object options = info[0].ToObject();
    options_.model_path = options.Get("modelPath").ToString();
    options_.device = options.Get("device").ToString();
    options_.n_threads = options.Get("nThreads").ToNumber().Int32Value();
  }

 private:
  class OpenWorker : public PromiseWorker {
   public:
    OpenWorker(Napi::Env env, LineScorerObject* owner)
        : PromiseWorker(env), owner_(owner), options_(owner->options_) {
      Keep(owner->Value());
    }

   private:
    void Work() override { scorer_ = std::make_shared<LineScorer>(options_); }
    Napi::Value Result(Napi::Env env) override {
      Napi::Object object = Napi::Object::New(env);
      object.Set("kind", scorer_->kind());
      object.Set("device", scorer_->device_name());
      object.Set("nEmbd", scorer_->n_embd());
      object.Set("nRows", scorer_->n_rows());
      object.Set("nCtx", scorer_->n_ctx());
      const std::vector<uint8_t>& bytes = scorer_->encoder();
      auto encoder = Napi::Uint8Array::New(env, bytes.size());
      std::copy(bytes.begin(), bytes.end(), encoder.Data());
      object.Set("encoder", encoder);
      if (!owner_->disposed_) owner_->scorer_ = std::move(scorer_);
      return object;
    }

    LineScorerObject* owner_;
    engine::LineScorerOptions options_;
    Shared scorer_;
  };

  Napi::Value Open(const Napi::CallbackInfo& info) {
    return (new OpenWorker(info.Env(), this))->Start();
  }

  Napi::Value Score(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&]() -> Napi::Value {
      if (!scorer_) throw CodedError("DISPOSED", {{"object", "the line scorer"}});
      const Napi::Object request = info[0].ToObject();
      engine::BagWindows windows;
      windows.window_starts = Copy<int32_t>(request, "windowStarts");
      windows.bag_starts = Copy<int32_t>(request, "bagStarts");
      windows.ids = Copy<int32_t>(request, "bagIds");
      windows.weights = Copy<float>(request, "bagWeights");
      return (new ScoreWorker(info.Env(), scorer_, std::move(windows)))->Start();
    });
  }

  Napi::Value Dispose(const Napi::CallbackInfo& info) {
    disposed_ = true;
    scorer_.reset();
    return info.Env().Undefined();
  }

  engine::LineScorerOptions options_;
  Shared scorer_;  // JS thread only
  bool disposed_ = false;
};

}  // namespace

void ExportLineScorer(Napi::Env env, Napi::Object exports) {
  exports.Set("LineScorer", LineScorerObject::Define(env));
}

}  // namespace gristmill::binding
