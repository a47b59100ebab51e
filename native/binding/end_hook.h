// What owns a thread is told when its environment ends, before anything under that thread is taken
// down.
//
// An environment ends in two ways, and both are met:
//  1. Its cleanup hooks run: a worker thread, or a main thread that has nothing left to do.
//  2. process.exit() in the main thread: no cleanup hook runs, the static objects of ggml are
//  destroyed while our
//     threads still compute on them (SIGSEGV, seen on most runs of a busy trainer). Node emits
//     'exit' before, and that is when the hooks run here.
#pragma once

#include <napi.h>

#include <memory>
#include <vector>

namespace gristmill::binding {

class EndHook {
 public:
  // `stop(self)` is called at most once, on the JS thread; never after Remove().
  EndHook(Napi::Env env, void (*stop)(void*), void* self);
  ~EndHook() { Remove(); }
  EndHook(const EndHook&) = delete;
  EndHook& operator=(const EndHook&) = delete;

  void Remove();

  // Once per environment, before the first hook.
  static void Install(Napi::Env env);

 private:
  using List = std::vector<EndHook*>;
  static void RunAll(List& list);
  static void OnCleanup(void* hook);

  napi_env env_;
  void (*stop_)(void*);
  void* self_;
  std::shared_ptr<List> list_;  // of the environment; null once removed
};

}  // namespace gristmill::binding
