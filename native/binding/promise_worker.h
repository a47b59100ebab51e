// Base of every asynchronous native call: plain work on a pool thread, one promise, coded errors.
//
// Lifetime rules
//  1. Inputs are plain structs or views held by `Keep`; Execute() touches no JS value.
//  2. References made by Keep() are dropped on the JS thread, with the worker.
//  3. The promise is settled exactly once, in OnOK/OnError, which never throw (also when the thread
//  is ending).
#pragma once

#include <napi.h>

#include <memory>
#include <optional>
#include <vector>

#include "binding/convert.h"

namespace gristmill::binding {

class PromiseWorker : public Napi::AsyncWorker {
 public:
  explicit PromiseWorker(Napi::Env env)
      : Napi::AsyncWorker(env), deferred_(Napi::Promise::Deferred::New(env)) {}

  // Queues the work; the worker deletes itself when it is done.
  Napi::Promise Start() {
    Napi::Promise promise = deferred_.Promise();
    Queue();
    return promise;
  }

  // Keeps a JS value (usually a typed array whose memory Work() uses) alive until the promise
  // settles.
  void Keep(const Napi::Value& value) {
    if (value.IsObject()) kept_.push_back(Napi::Persistent(value.As<Napi::Object>()));
  }

 protected:
  // Off the JS thread; may throw CodedError.
  virtual void Work() = 0;
  // On the JS thread, after Work() returned.
  virtual Napi::Value Result(Napi::Env env) = 0;

 private:
  void Execute() final {
    try {
      Work();
    } catch (const CodedError& error) {
      coded_ = error;
      SetError(error.what());
    } catch (const std::exception& error) {
      coded_ =
          CodedError("NATIVE_FAILED", {{"operation", "native call"}, {"reason", error.what()}});
      SetError(error.what());
    }
  }

  void OnOK() final {
    Settle([this] {
      try {
        deferred_.Resolve(Result(Env()));
      } catch (const Napi::Error& error) {
        deferred_.Reject(error.Value());
      } catch (const CodedError& error) {
        deferred_.Reject(ToJsError(Env(), error).Value());
      }
    });
  }

  void OnError(const Napi::Error& error) final {
    Settle([&] { deferred_.Reject(coded_ ? ToJsError(Env(), *coded_).Value() : error.Value()); });
  }

  // In a worker thread that is being terminated every call into JS fails: nobody waits for the
  // promise any more, and an exception that left here would end the process.
  template <typename Body>
  void Settle(Body&& body) noexcept {
    try {
      Napi::HandleScope scope(Env());
      body();
    } catch (const Napi::Error&) {
    }
  }

  Napi::Promise::Deferred deferred_;
  std::vector<Napi::ObjectReference> kept_;
  std::optional<CodedError> coded_;
};

}  // namespace gristmill::binding
