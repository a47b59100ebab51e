// class Trainer: whole batches in, one promise per call; the work is native/train.
//
// Lifetime rules
//  1. Batches are copied on the JS thread (a few bytes per token): the owned thread sees no JS
//  memory.
//  2. The trainer is made, used and freed on its own thread; a task is the only way to it.
//  3. The threadsafe function and the object are referenced only while tasks are pending.
//  4. dispose() lets the running task stop at its next step; tasks behind it reject with DISPOSED.
//  5. An EndHook stops and joins the thread when the environment ends without dispose().
//
// Past 500 lines because queue, conversions and class are one lifetime: the rules above hold across
// all of them.
#include "binding/train.h"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "binding/convert.h"
#include "binding/end_hook.h"
#include "binding/promise_worker.h"
#include "train/trainer.h"

namespace gristmill::binding {

namespace {

using train::MicroBatch;
using train::Which;

struct Task {
  std::function<void(const Task&)> work;
  std::function<Napi::Value(Napi::Env)> result;
  std::optional<CodedError> error;
  std::atomic<bool> cancelled = false;
};

struct Pending {
  std::shared_ptr<Task> task;
  Napi::Promise::Deferred deferred;
};

[[noreturn]] void Invalid(const std::string& option, const std::string& expected,
                          const std::string& received) {
  throw CodedError("OPTION_INVALID",
                   {{"option", option}, {"expected", expected}, {"received", received}});
}

double NumberOf(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  if (!value.IsNumber()) Invalid(name, "a number", value.ToString());
  return value.As<Napi::Number>().DoubleValue();
}

int32_t CountOf(const Napi::Object& object, const char* name, int32_t low, int32_t high) {
  const double value = NumberOf(object, name);
  if (!(value >= low && value <= high) || value != static_cast<double>(static_cast<int32_t>(value)))
    Invalid(name, "a whole number in " + std::to_string(low) + ".." + std::to_string(high),
            object.Get(name).ToString());
  return static_cast<int32_t>(value);
}

float RealOf(const Napi::Object& object, const char* name, double low, double high) {
  const double value = NumberOf(object, name);
  if (!(value >= low && value <= high))
    Invalid(name, std::to_string(low) + ".." + std::to_string(high), object.Get(name).ToString());
  return static_cast<float>(value);
}

train::Shape ToShape(const Napi::Object& object) {
  constexpr int32_t kAny = 1 << 30;  // CheckShape() knows the bounds
  train::Shape shape;
  shape.n_vocab = CountOf(object, "nVocab", 0, kAny);
  shape.n_embd = CountOf(object, "nEmbd", 0, kAny);
  shape.n_layer = CountOf(object, "nLayer", 0, kAny);
  shape.n_head = CountOf(object, "nHead", 0, kAny);
  shape.n_head_kv = CountOf(object, "nHeadKv", 0, kAny);
  shape.n_head_dim = CountOf(object, "nHeadDim", 0, kAny);
  shape.n_ff = CountOf(object, "nFf", 0, kAny);
  shape.rope_theta = RealOf(object, "ropeTheta", 0, 1e12);
  shape.rms_epsilon = RealOf(object, "rmsEpsilon", 0, 1);
  shape.tied = object.Get("tied").ToBoolean();
  shape.n_classes = CountOf(object, "nClasses", 0, kAny);
  return shape;
}

Napi::Object FromShape(Napi::Env env, const train::Shape& shape) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("nVocab", shape.n_vocab);
  object.Set("nEmbd", shape.n_embd);
  object.Set("nLayer", shape.n_layer);
  object.Set("nHead", shape.n_head);
  object.Set("nHeadKv", shape.n_head_kv);
  object.Set("nHeadDim", shape.n_head_dim);
  object.Set("nFf", shape.n_ff);
  object.Set("ropeTheta", shape.rope_theta);
  object.Set("rmsEpsilon", shape.rms_epsilon);
  object.Set("tied", shape.tied);
  object.Set("nClasses", shape.n_classes);
  return object;
}

train::TrainerOptions ToOptions(const Napi::Object& object) {
  train::TrainerOptions options;
  options.shape = ToShape(object.Get("shape").ToObject());
  options.n_ctx = CountOf(object, "nCtx", 1, 1 << 17);
  options.n_seq = CountOf(object, "nSeq", 1, 1 << 14);
  if (int64_t{options.n_ctx} * options.n_seq > 1 << 22) {
    Invalid("nSeq", "nCtx x nSeq up to 4194304", std::to_string(options.n_seq));
  }
  options.max_targets = CountOf(object, "maxTargets", 1, 1 << 22);
  options.n_threads = CountOf(object, "nThreads", 1, 512);
  options.device = object.Get("device").ToString();
  const std::string graph = object.Get("graph").ToString();
  if (graph != "kernels" && graph != "ggml") Invalid("graph", "kernels or ggml", graph);
  options.stock_operators = graph == "ggml";
  const std::string precision = object.Get("precision").ToString();
  if (precision != "float32" && precision != "bf16") {
    Invalid("precision", "float32 or bf16", precision);
  }
  options.bf16 = precision == "bf16";
  options.causal = object.Get("causal").ToBoolean();
  options.seed = static_cast<uint64_t>(NumberOf(object, "seed"));
  options.deviation = RealOf(object, "initDeviation", 0, 10);
  options.beta1 = RealOf(object, "beta1", 0, 0.99999);
  options.beta2 = RealOf(object, "beta2", 0, 0.9999999);
  options.epsilon = RealOf(object, "adamEpsilon", 1e-30, 1);
  options.weight_decay = RealOf(object, "weightDecay", 0, 100);
  options.clip_norm = RealOf(object, "clipNorm", 0, 1e30);
  options.smoothing = RealOf(object, "labelSmoothing", 0, 0.999);
  return options;
}

template <typename T>
std::vector<T> CopyOf(const Napi::Object& object, const char* name, bool optional) {
  const Napi::Value value = object.Get(name);
  if (optional && (value.IsUndefined() || value.IsNull())) return {};
  const std::span<T> view = ViewOf<T>(value, name);
  return {view.begin(), view.end()};
}

MicroBatch ToBatch(const Napi::Object& object) {
  MicroBatch batch;
  batch.bag_starts = CopyOf<int32_t>(object, "bagStarts", true);
  batch.tokens = CopyOf<int32_t>(object, "tokens", !batch.bag_starts.empty());
  batch.bag_ids = CopyOf<int32_t>(object, "bagIds", batch.bag_starts.empty());
  batch.bag_weights = CopyOf<float>(object, "bagWeights", batch.bag_starts.empty());
  batch.segments = CopyOf<int32_t>(object, "segments", true);
  batch.positions = CopyOf<int32_t>(object, "positions", false);
  batch.labels = CopyOf<int32_t>(object, "labels", false);
  batch.weights = CopyOf<float>(object, "weights", true);
  return batch;
}

train::StepRequest ToStep(const Napi::Object& object) {
  train::StepRequest request;
  const Napi::Array batches = object.Get("batches").As<Napi::Array>();
  for (uint32_t index = 0; index < batches.Length(); ++index) {
    request.batches.push_back(ToBatch(batches.Get(index).ToObject()));
  }
  request.rate = NumberOf(object, "lr");
  return request;
}

Napi::Value FromFloats(Napi::Env env, const std::vector<float>& values) {
  auto array = Napi::Float32Array::New(env, values.size());
  std::copy(values.begin(), values.end(), array.Data());
  return array;
}

Which ToWhich(const std::string& name) {
  if (name == "weight") return Which::kWeight;
  if (name == "gradient") return Which::kGradient;
  if (name == "firstMoment") return Which::kFirstMoment;
  if (name == "secondMoment") return Which::kSecondMoment;
  Invalid("array", "weight, gradient, firstMoment or secondMoment", name);
}

class TrainerObject : public Napi::ObjectWrap<TrainerObject> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "Trainer",
                       {InstanceMethod("open", &TrainerObject::Open),
                        InstanceMethod("steps", &TrainerObject::Steps),
                        InstanceMethod("gradients", &TrainerObject::Gradients),
                        InstanceMethod("forward", &TrainerObject::Forward),
                        InstanceMethod("readTensor", &TrainerObject::ReadTensor),
                        InstanceMethod("writeTensor", &TrainerObject::WriteTensor),
                        InstanceMethod("saveCheckpoint", &TrainerObject::SaveCheckpoint),
                        InstanceMethod("loadCheckpoint", &TrainerObject::LoadCheckpoint),
                        InstanceMethod("resetOptimizer", &TrainerObject::ResetOptimizer),
                        InstanceMethod("exportGguf", &TrainerObject::ExportGguf),
                        InstanceMethod("importGguf", &TrainerObject::ImportGguf),
                        InstanceMethod("cancel", &TrainerObject::Cancel),
                        InstanceMethod("dispose", &TrainerObject::Dispose)});
  }

  explicit TrainerObject(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<TrainerObject>(info), env_(info.Env()) {
    Guarded(info.Env(), [&] { options_ = ToOptions(info[0].ToObject()); });
    done_ = DoneFunction::New(info.Env(), "gristmill.trainer", 0, 1, this);
    done_.Unref(info.Env());
    // Registered after the threadsafe function, hence run before that one closes.
    end_hook_.emplace(info.Env(), OnEnvironmentEnds, this);
    thread_ = std::thread([this] { Loop(); });
  }

  ~TrainerObject() override { Teardown(); }

 private:
  static void Settle(Napi::Env env, Napi::Function, TrainerObject* self,
                     std::shared_ptr<Task>* report) {
    const std::unique_ptr<std::shared_ptr<Task>> owned(report);
    if (env == nullptr || self->env_ == nullptr) return;
    self->OnDone(env, owned->get());
  }
  using DoneFunction =
      Napi::TypedThreadSafeFunction<TrainerObject, std::shared_ptr<Task>, &TrainerObject::Settle>;

  static void OnEnvironmentEnds(void* self) { static_cast<TrainerObject*>(self)->Teardown(); }

  // ---- owned thread ----

  void Loop() {
    for (;;) {
      std::shared_ptr<Task> task;
      bool refused = false;
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
        if (stopping_ && queue_.empty()) break;
        task = std::move(queue_.front());
        queue_.pop_front();
        refused = stopping_ && task != last_;
      }
      try {
        if (refused) throw CodedError("DISPOSED", {{"object", "the trainer"}});
        task->work(*task);
      } catch (const CodedError& error) {
        task->error = error;
      } catch (const std::bad_alloc&) {
        task->error = CodedError("TRAIN_OUT_OF_MEMORY", {{"what", "host memory"}});
      } catch (const std::exception& error) {
        task->error =
            CodedError("NATIVE_FAILED", {{"operation", "training"}, {"reason", error.what()}});
      }
      auto* report = new std::shared_ptr<Task>(std::move(task));
      if (done_.NonBlockingCall(report) != napi_ok) delete report;
    }
    trainer_.reset();
  }

  train::Trainer& Opened() {
    if (!trainer_) {
      throw CodedError("NATIVE_FAILED",
                       {{"operation", "trainer"}, {"reason", "open() did not succeed"}});
    }
    return *trainer_;
  }

  // ---- JS thread ----

  void Teardown() {
    if (env_ == nullptr) return;
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      cancel_all_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
    pending_.clear();
    if (end_hook_) end_hook_->Remove();
    disposed_ = true;
    env_ = nullptr;
    done_.Abort();
  }

  void OnDone(Napi::Env env, Task* task) {
    const auto found = pending_.find(task);
    if (found == pending_.end()) return;
    Napi::HandleScope scope(env);
    Pending pending = std::move(found->second);
    pending_.erase(found);
    std::erase_if(calls_, [&](const auto& call) { return call.second.lock().get() == task; });
    if (pending_.empty()) {
      done_.Unref(env);
      Unref();
    }
    if (task->error) {
      pending.deferred.Reject(ToJsError(env, *task->error).Value());
      return;
    }
    try {
      pending.deferred.Resolve(pending.task->result(env));
    } catch (const Napi::Error& error) {
      pending.deferred.Reject(error.Value());
    }
  }

  Napi::Value Expect(Napi::Env env, std::shared_ptr<Task> task, bool last = false) {
    if (pending_.empty()) {
      done_.Ref(env);
      Ref();
    }
    Pending pending{task, Napi::Promise::Deferred::New(env)};
    const Napi::Promise promise = pending.deferred.Promise();
    pending_.emplace(task.get(), std::move(pending));
    {
      const std::lock_guard lock(mutex_);
      if (last) {
        stopping_ = true;
        cancel_all_ = true;
        last_ = task;
      }
      queue_.push_back(std::move(task));
    }
    wake_.notify_all();
    return promise;
  }

  // `prepare(result)` reads the arguments and returns the work; Result is made on the owned thread.
  template <typename Result, typename Work, typename Convert>
  Napi::Value Start(const Napi::CallbackInfo& info, Work work, Convert convert, int64_t call = -1) {
    if (disposed_) throw CodedError("DISPOSED", {{"object", "the trainer"}});
    auto task = std::make_shared<Task>();
    auto result = std::make_shared<Result>();
    task->work = [result, work = std::move(work)](const Task& self) mutable {
      *result = work(self);
    };
    task->result = [result, convert](Napi::Env env) -> Napi::Value {
      return convert(env, *result);
    };
    if (call >= 0) calls_[call] = task;
    return Expect(info.Env(), std::move(task));
  }

  // For work without a result.
  template <typename Work>
  Napi::Value StartVoid(const Napi::CallbackInfo& info, Work work) {
    return Start<bool>(
        info,
        [work = std::move(work)](const Task&) mutable {
          work();
          return true;
        },
        [](Napi::Env env, bool) -> Napi::Value { return env.Undefined(); });
  }

  Napi::Value Open(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&] {
      return Start<bool>(
          info,
          [this](const Task&) {
            trainer_ = std::make_unique<train::Trainer>(options_);
            return true;
          },
          [this](Napi::Env env, bool) -> Napi::Value {
            Napi::Object object = Napi::Object::New(env);
            object.Set("nParams", static_cast<double>(trainer_->n_params()));
            object.Set("bufferBytes", static_cast<double>(trainer_->buffer_bytes()));
            object.Set("graph", trainer_->stock_operators() ? "ggml" : "kernels");
            object.Set("kernels", train::BestKernels().name);
            Napi::Array tensors = Napi::Array::New(env);
            for (const train::TensorSpec& tensor : trainer_->tensors()) {
              Napi::Object entry = Napi::Object::New(env);
              entry.Set("name", tensor.name);
              entry.Set("rows", static_cast<double>(tensor.rows));
              entry.Set("columns", static_cast<double>(tensor.columns));
              tensors.Set(tensors.Length(), entry);
            }
            object.Set("tensors", tensors);
            return object;
          });
    });
  }

  // steps(requests, call) -> {losses, gradNorms, seconds, step}
  Napi::Value Steps(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&] {
      auto requests = std::make_shared<std::vector<train::StepRequest>>();
      const Napi::Array list = info[0].As<Napi::Array>();
      for (uint32_t index = 0; index < list.Length(); ++index) {
        requests->push_back(ToStep(list.Get(index).ToObject()));
      }
      struct Result {
        std::vector<train::StepResult> steps;
        int64_t step = 0;
      };
      return Start<Result>(
          info,
          [this, requests](const Task& self) {
            Result result;
            for (const train::StepRequest& request : *requests) {
              if (self.cancelled || cancel_all_) {
                throw CodedError("ABORTED", {{"what", "the training call"}});
              }
              result.steps.push_back(Opened().Step(request));
            }
            result.step = Opened().step();
            return result;
          },
          [](Napi::Env env, const Result& result) -> Napi::Value {
            Napi::Object object = Napi::Object::New(env);
            const size_t count = result.steps.size();
            auto losses = Napi::Float64Array::New(env, count);
            auto norms = Napi::Float64Array::New(env, count);
            auto seconds = Napi::Float64Array::New(env, count);
            for (size_t index = 0; index < count; ++index) {
              losses[index] = result.steps[index].loss;
              norms[index] = result.steps[index].grad_norm;
              seconds[index] = result.steps[index].seconds;
            }
            object.Set("losses", losses);
            object.Set("gradNorms", norms);
            object.Set("seconds", seconds);
            object.Set("step", static_cast<double>(result.step));
            return object;
          },
          info[1].ToNumber().Int64Value());
    });
  }

  // gradients(request) -> loss
  Napi::Value Gradients(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&] {
      auto request = std::make_shared<train::StepRequest>(ToStep(info[0].ToObject()));
      return Start<double>(
          info, [this, request](const Task&) { return Opened().Gradients(*request); },
          [](Napi::Env env, double loss) -> Napi::Value { return Napi::Number::New(env, loss); });
    });
  }

  // forward(batch, withLogits) -> {loss, losses, logits}
  Napi::Value Forward(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&] {
      auto batch = std::make_shared<MicroBatch>(ToBatch(info[0].ToObject()));
      const bool with_logits = info[1].ToBoolean();
      return Start<train::ForwardResult>(
          info,
          [this, batch, with_logits](const Task&) { return Opened().Forward(*batch, with_logits); },
          [](Napi::Env env, const train::ForwardResult& result) -> Napi::Value {
            Napi::Object object = Napi::Object::New(env);
            object.Set("loss", result.loss);
            object.Set("losses", FromFloats(env, result.losses));
            object.Set("logits", FromFloats(env, result.logits));
            return object;
          });
    });
  }

  Napi::Value ReadTensor(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&] {
      const std::string name = info[0].ToString();
      const Which which = ToWhich(info[1].ToString());
      return Start<std::vector<float>>(
          info, [this, name, which](const Task&) { return Opened().ReadTensor(name, which); },
          [](Napi::Env env, const std::vector<float>& values) { return FromFloats(env, values); });
    });
  }

  Napi::Value WriteTensor(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&] {
      const std::string name = info[0].ToString();
      const std::span<float> view = ViewOf<float>(info[1], "values");
      return StartVoid(info, [this, name, values = std::vector<float>(view.begin(), view.end())] {
        Opened().WriteTensor(name, values);
      });
    });
  }

  Napi::Value SaveCheckpoint(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&] {
      const std::string path = info[0].ToString();
      const std::string state = info[1].ToString();
      return StartVoid(info, [this, path, state] { Opened().SaveCheckpoint(path, state); });
    });
  }

  // loadCheckpoint(path) -> {step, state}
  Napi::Value LoadCheckpoint(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&] {
      const std::string path = info[0].ToString();
      struct Result {
        std::string state;
        int64_t step = 0;
      };
      return Start<Result>(
          info,
          [this, path](const Task&) {
            Result result;
            result.state = Opened().LoadCheckpoint(path);
            result.step = Opened().step();
            return result;
          },
          [](Napi::Env env, const Result& result) -> Napi::Value {
            Napi::Object object = Napi::Object::New(env);
            object.Set("state", result.state);
            object.Set("step", static_cast<double>(result.step));
            return object;
          });
    });
  }

  // resetOptimizer(): moments and step as at the start
  Napi::Value ResetOptimizer(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(),
                   [&] { return StartVoid(info, [this] { Opened().ResetOptimiser(); }); });
  }

  // exportGguf({path, type, name, nCtx, tokenizerPath} or {…, kind, encoder})
  Napi::Value ExportGguf(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&] {
      const Napi::Object object = info[0].ToObject();
      const std::string type = object.Get("type").ToString();
      if (type != "f32" && type != "bf16" && type != "q8_0") {
        Invalid("type", "f32, bf16 or q8_0", type);
      }
      train::ExportRequest request;
      request.path = object.Get("path").ToString();
      request.type = type == "f32"    ? GGML_TYPE_F32
                     : type == "bf16" ? GGML_TYPE_BF16
                                      : GGML_TYPE_Q8_0;
      request.name = object.Get("name").ToString();
      request.n_context = CountOf(object, "nCtx", 1, 1 << 20);
      if (object.Get("kind").IsString()) {
        request.kind = object.Get("kind").ToString();
        if (request.kind != "line-score" && request.kind != "document-score") {
          Invalid("kind", "line-score or document-score", request.kind);
        }
        request.encoder = CopyOf<uint8_t>(object, "encoder", false);
      } else {
        request.tokenizer_path = object.Get("tokenizerPath").ToString();
      }
      return StartVoid(info,
                       [this, request = std::move(request)] { Opened().ExportGguf(request); });
    });
  }

  Napi::Value ImportGguf(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&] {
      const std::string path = info[0].ToString();
      return StartVoid(info, [this, path] { Opened().ImportGguf(path); });
    });
  }

  Napi::Value Cancel(const Napi::CallbackInfo& info) {
    const auto found = calls_.find(info[0].ToNumber().Int64Value());
    if (found != calls_.end()) {
      if (const std::shared_ptr<Task> task = found->second.lock()) task->cancelled = true;
      calls_.erase(found);
    }
    return info.Env().Undefined();
  }

  Napi::Value Dispose(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    if (disposed_) {
      const auto deferred = Napi::Promise::Deferred::New(env);
      deferred.Resolve(env.Undefined());
      return deferred.Promise();
    }
    disposed_ = true;
    calls_.clear();
    auto task = std::make_shared<Task>();
    task->work = [this](const Task&) { trainer_.reset(); };
    task->result = [this](Napi::Env env) -> Napi::Value {
      Teardown();
      return env.Undefined();
    };
    return Expect(env, std::move(task), true);
  }

  napi_env env_;
  std::optional<EndHook> end_hook_;
  train::TrainerOptions options_;
  bool disposed_ = false;
  DoneFunction done_;
  std::map<Task*, Pending> pending_;
  std::map<int64_t, std::weak_ptr<Task>> calls_;

  std::mutex mutex_;  // guards queue_ and last_
  std::condition_variable wake_;
  std::deque<std::shared_ptr<Task>> queue_;
  std::shared_ptr<Task> last_;
  std::atomic<bool> stopping_ = false;
  std::atomic<bool> cancel_all_ = false;
  std::unique_ptr<train::Trainer> trainer_;  // owned thread only, but for reading in Open()
  std::thread thread_;
};

class ShapeWorker : public PromiseWorker {
 public:
  ShapeWorker(Napi::Env env, std::string path) : PromiseWorker(env), path_(std::move(path)) {}

 private:
  void Work() override {
    engine::LoadBackends();
    shape_ = train::ShapeOfGguf(path_);
  }
  Napi::Value Result(Napi::Env env) override { return FromShape(env, shape_); }

  std::string path_;
  train::Shape shape_;
};

}  // namespace

void ExportTrain(Napi::Env env, Napi::Object exports) {
  exports.Set("Trainer", TrainerObject::Define(env));
  exports.Set("trainShapeOf", Napi::Function::New(env, [](const Napi::CallbackInfo& info) {
                return (new ShapeWorker(info.Env(), info[0].ToString()))->Start();
              }));
}

}  // namespace gristmill::binding
