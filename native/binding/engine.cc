// class Engine: plain structs in, typed arrays out, one promise per call; the work is
// native/engine.
//
// Lifetime rules
//  1. Every pending call holds references to its views; they are dropped on the JS thread when it
//  settles.
//  2. The threadsafe function is referenced only while calls are pending, so that an idle engine
//  does not keep the
//     process alive.
//  3. An EndHook stops and joins the threads when the environment ends without dispose(); what
//     the threads report after that is dropped.
//  4. After dispose() every call throws DISPOSED; the context is freed on its own thread.
#include "binding/engine.h"

#include <map>
#include <memory>
#include <optional>

#include "binding/convert.h"
#include "binding/end_hook.h"
#include "binding/engine_values.h"
#include "engine/engine.h"

namespace gristmill::binding {

namespace {

using engine::Job;

struct Pending {
  std::shared_ptr<Job> job;
  Napi::Promise::Deferred deferred;
  std::vector<Napi::ObjectReference> kept;
  std::function<Napi::Value(Napi::Env)> result;
};

class EngineObject : public Napi::ObjectWrap<EngineObject> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(
        env, "Engine",
        {InstanceMethod("open", &EngineObject::Open), InstanceMethod("info", &EngineObject::Info),
         InstanceMethod("tokenize", &EngineObject::Tokenize),
         InstanceMethod("detokenize", &EngineObject::Detokenize),
         InstanceMethod("planWindows", &EngineObject::PlanWindows),
         InstanceMethod("scoreDocuments", &EngineObject::ScoreDocuments),
         InstanceMethod("generatePrograms", &EngineObject::GeneratePrograms),
         InstanceMethod("generateText", &EngineObject::GenerateText),
         InstanceMethod("renderPrompts", &EngineObject::RenderPrompts),
         InstanceMethod("cancel", &EngineObject::Cancel),
         InstanceMethod("stats", &EngineObject::Stats),
         InstanceMethod("dispose", &EngineObject::Dispose)});
  }

  explicit EngineObject(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<EngineObject>(info), env_(info.Env()) {
    Guarded(info.Env(), [&] { options_ = ToEngineOptions(info[0]); });
    done_ = DoneFunction::New(info.Env(), "gristmill.engine", 0, 1, this);
    done_.Unref(info.Env());
    // Registered after the threadsafe function, hence run before that one closes.
    end_hook_.emplace(info.Env(), OnEnvironmentEnds, this);
    engine_ = std::make_unique<engine::Engine>(options_, [this](std::shared_ptr<Job> job) {
      auto* report = new std::shared_ptr<Job>(std::move(job));
      if (done_.NonBlockingCall(report) != napi_ok) delete report;
    });
  }

  ~EngineObject() override { Teardown(); }

 private:
  static void Settle(Napi::Env env, Napi::Function, EngineObject* self,
                     std::shared_ptr<Job>* report) {
    const std::unique_ptr<std::shared_ptr<Job>> owned(report);
    // A null environment: the queue is drained while the environment ends, nothing can be settled.
    if (env == nullptr || self->env_ == nullptr) return;
    self->OnDone(env, owned->get());
  }
  using DoneFunction =
      Napi::TypedThreadSafeFunction<EngineObject, std::shared_ptr<Job>, &EngineObject::Settle>;

  static void OnEnvironmentEnds(void* self) { static_cast<EngineObject*>(self)->Teardown(); }

  void Teardown() {
    if (env_ == nullptr) return;
    engine_.reset();  // stops, joins
    pending_.clear();
    if (end_hook_) end_hook_->Remove();
    disposed_ = true;
    env_ = nullptr;
    done_.Abort();
  }

  void OnDone(Napi::Env env, Job* job) {
    const auto found = pending_.find(job);
    if (found == pending_.end()) return;
    Napi::HandleScope scope(env);
    Pending pending = std::move(found->second);
    pending_.erase(found);
    if (pending_.empty()) {
      done_.Unref(env);
      Unref();  // rule 2: the object may be collected when idle
    }
    if (job->error) {
      pending.deferred.Reject(ToJsError(env, *job->error).Value());
      return;
    }
    try {
      pending.deferred.Resolve(pending.result(env));
    } catch (const Napi::Error& error) {
      pending.deferred.Reject(error.Value());
    }
  }

  // Registers a call; its promise settles when the engine is done with `job`.
  Napi::Value Expect(const Napi::CallbackInfo& info, std::shared_ptr<Job> job,
                     std::function<Napi::Value(Napi::Env)> result) {
    Napi::Env env = info.Env();
    if (pending_.empty()) {
      done_.Ref(env);
      Ref();
    }
    Pending pending{job, Napi::Promise::Deferred::New(env), {}, std::move(result)};
    if (info.Length() > 0 && info[0].IsObject()) {
      pending.kept.push_back(Napi::Persistent(info[0].As<Napi::Object>()));
      for (const char* name : {"data", "offsets"}) {
        const Napi::Value view = info[0].As<Napi::Object>().Get(name);
        if (view.IsObject()) pending.kept.push_back(Napi::Persistent(view.As<Napi::Object>()));
      }
    }
    const Napi::Promise promise = pending.deferred.Promise();
    pending_.emplace(job.get(), std::move(pending));
    if (info.Length() > 1 && info[1].IsNumber())
      calls_[info[1].As<Napi::Number>().Int64Value()] = job;
    return promise;
  }

  engine::Engine& Ready() {
    if (disposed_ || !engine_) throw CodedError("DISPOSED", {{"object", "the engine"}});
    if (!opened_) {
      throw CodedError("NATIVE_FAILED",
                       {{"operation", "engine"}, {"reason", "open() did not succeed"}});
    }
    return *engine_;
  }

  Napi::Value Open(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&]() -> Napi::Value {
      if (started_ || disposed_) {
        throw CodedError("NATIVE_FAILED", {{"operation", "engine"}, {"reason", "opened twice"}});
      }
      started_ = true;
      auto job = std::make_shared<engine::OpenJob>();
      const Napi::Value promise = Expect(info, job, [this](Napi::Env env) {
        opened_ = true;
        return env.Undefined();
      });
      engine_->Open(job);
      return promise;
    });
  }

  Napi::Value Info(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&] { return FromEngineInfo(info.Env(), Ready().slots()); });
  }

  Napi::Value Tokenize(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&]() -> Napi::Value {
      const engine::Tokenizer& tokenizer = Ready().slots().tokenizer();
      const auto bytes = ViewOf<uint8_t>(info[0], "text");
      const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      const bool add_special = info[1].ToBoolean();
      engine::Tokens tokens = info[2].ToBoolean() ? tokenizer.Special(text) : tokenizer.Plain(text);
      if (add_special && tokenizer.add_bos() && tokenizer.bos() >= 0) {
        tokens.insert(tokens.begin(), tokenizer.bos());
      }
      return FromVector<int32_t>(info.Env(), tokens);
    });
  }

  Napi::Value Detokenize(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&]() -> Napi::Value {
      const engine::Tokenizer& tokenizer = Ready().slots().tokenizer();
      std::string text;
      for (const int32_t token : ViewOf<int32_t>(info[0], "tokens")) {
        if (token < 0 || token >= tokenizer.n_tokens()) {
          throw CodedError("OPTION_INVALID",
                           {{"option", "tokens"},
                            {"expected", "ids below " + std::to_string(tokenizer.n_tokens())},
                            {"received", std::to_string(token)}});
        }
        text += tokenizer.Piece(token);
      }
      return FromVector<uint8_t>(info.Env(), std::vector<uint8_t>(text.begin(), text.end()));
    });
  }

  Napi::Value PlanWindows(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&]() -> Napi::Value {
      engine::Engine& engine = Ready();
      auto job = std::make_shared<engine::PlanJob>();
      ToPlanJob(info[0].As<Napi::Object>(), *job);
      const Napi::Value promise =
          Expect(info, job, [job](Napi::Env env) { return FromPlanJob(env, *job); });
      engine.Submit(job);
      return promise;
    });
  }

  Napi::Value ScoreDocuments(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&]() -> Napi::Value {
      engine::Engine& engine = Ready();
      auto job = std::make_shared<engine::ScoreJob>();
      ToScoreJob(info[0].As<Napi::Object>(), engine.slots(), *job);
      const Napi::Value promise =
          Expect(info, job, [job](Napi::Env env) { return FromScoreJob(env, *job); });
      engine.Submit(job);
      return promise;
    });
  }

  Napi::Value Generate(const Napi::CallbackInfo& info, bool windowed) {
    return Guarded(info.Env(), [&]() -> Napi::Value {
      engine::Engine& engine = Ready();
      auto job = std::make_shared<engine::GenerateJob>();
      ToGenerateJob(info[0].As<Napi::Object>(), engine.slots(), windowed, *job);
      const Napi::Value promise =
          Expect(info, job, [job](Napi::Env env) { return FromGenerateJob(env, *job); });
      engine.Submit(job);
      return promise;
    });
  }

  Napi::Value GeneratePrograms(const Napi::CallbackInfo& info) { return Generate(info, true); }
  Napi::Value GenerateText(const Napi::CallbackInfo& info) { return Generate(info, false); }

  // The prompts of generatePrograms (with windows) or generateText, as tokens.
  Napi::Value RenderPrompts(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&]() -> Napi::Value {
      engine::Engine& engine = Ready();
      auto job = std::make_shared<engine::PromptJob>();
      const Napi::Object request = info[0].As<Napi::Object>();
      ToGenerateJob(request, engine.slots(), request.Get("windows").IsObject(), *job);
      const Napi::Value promise =
          Expect(info, job, [job](Napi::Env env) { return FromPromptJob(env, *job); });
      engine.Submit(job);
      return promise;
    });
  }

  // cancel(call): the call whose second argument was `call` rejects with ABORTED, unless it is
  // done.
  Napi::Value Cancel(const Napi::CallbackInfo& info) {
    const auto found = calls_.find(info[0].ToNumber().Int64Value());
    if (found != calls_.end()) {
      if (const std::shared_ptr<Job> job = found->second.lock()) job->cancelled = true;
      calls_.erase(found);
    }
    return info.Env().Undefined();
  }

  Napi::Value Stats(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&] { return FromCounters(info.Env(), Ready().counters()); });
  }

  Napi::Value Dispose(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    if (disposed_ || !engine_) {
      const auto deferred = Napi::Promise::Deferred::New(env);
      deferred.Resolve(env.Undefined());
      return deferred.Promise();
    }
    disposed_ = true;
    calls_.clear();
    auto job = std::make_shared<engine::CloseJob>();
    const Napi::Value promise = Expect(info, job, [this](Napi::Env env) {
      Teardown();
      return env.Undefined();
    });
    engine_->Stop(job);
    return promise;
  }

  napi_env env_;
  engine::EngineOptions options_;
  std::optional<EndHook> end_hook_;
  bool started_ = false;
  bool opened_ = false;
  bool disposed_ = false;
  DoneFunction done_;
  std::map<Job*, Pending> pending_;
  std::map<int64_t, std::weak_ptr<Job>> calls_;
  std::unique_ptr<engine::Engine> engine_;
};

// listDevices(withMemory): what FindDevice finds, and why there is not more. Loads the backends of
// GPUs, a tenth of a second once.
Napi::Value ListDevices(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  return Guarded(env, [&]() -> Napi::Value {
    const std::vector<engine::DeviceFacts> found = engine::ListDevices(info[0].ToBoolean());
    Napi::Array devices = Napi::Array::New(env, found.size());
    for (uint32_t index = 0; index < found.size(); ++index) {
      const engine::DeviceFacts& facts = found[index];
      Napi::Object device = Napi::Object::New(env);
      device.Set("name", facts.name);
      device.Set("description", facts.description);
      device.Set("freeBytes", static_cast<double>(facts.free_bytes));
      device.Set("totalBytes", static_cast<double>(facts.total_bytes));
      device.Set("sharesMemory", facts.shares_memory);
      devices.Set(index, device);
    }
    Napi::Object result = Napi::Object::New(env);
    result.Set("devices", devices);
    result.Set("missing", engine::MissingBackends());
    return result;
  });
}

}  // namespace

void ExportEngine(Napi::Env env, Napi::Object exports) {
  exports.Set("listDevices", Napi::Function::New(env, ListDevices, "listDevices"));
  exports.Set("Engine", EngineObject::Define(env));
}

}  // namespace gristmill::binding
