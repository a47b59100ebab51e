#include "binding/end_hook.h"

#include <algorithm>

namespace gristmill::binding {

EndHook::EndHook(Napi::Env env, void (*stop)(void*), void* self)
    : env_(env), stop_(stop), self_(self), list_(*env.GetInstanceData<std::shared_ptr<List>>()) {
  list_->push_back(this);
  napi_add_env_cleanup_hook(env_, OnCleanup, this);
}

void EndHook::Remove() {
  if (!list_) return;
  std::erase(*list_, this);
  list_.reset();
  napi_remove_env_cleanup_hook(env_, OnCleanup, this);
}

void EndHook::OnCleanup(void* hook) {
  auto* self = static_cast<EndHook*>(hook);
  self->stop_(self->self_);
}

// A hook removes itself while it runs.
void EndHook::RunAll(List& list) {
  while (!list.empty()) {
    EndHook* last = list.back();
    last->stop_(last->self_);
    last->Remove();
  }
}

void EndHook::Install(Napi::Env env) {
  auto* list = new std::shared_ptr<List>(std::make_shared<List>());
  env.SetInstanceData(list);
  const Napi::Object process = env.Global().Get("process").As<Napi::Object>();
  const auto on_exit = [hooks = *list](const Napi::CallbackInfo&) { RunAll(*hooks); };
  process.Get("on").As<Napi::Function>().Call(
      process,
      {Napi::String::New(env, "exit"), Napi::Function::New(env, on_exit, "gristmillStop")});
}

}  // namespace gristmill::binding
