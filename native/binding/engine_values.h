// Requests and results of the engine: JS objects to the structs of engine/jobs.h and back.
#pragma once

#include <napi.h>

#include <cstring>
#include <vector>

#include "binding/convert.h"
#include "engine/jobs.h"

namespace gristmill::binding {

template <typename T>
Napi::Value FromVector(Napi::Env env, const std::vector<T>& values) {
  auto array = TypedArrayOf<T>::Type::New(env, values.size());
  if (!values.empty()) std::memcpy(array.Data(), values.data(), values.size() * sizeof(T));
  return array;
}

engine::EngineOptions ToEngineOptions(const Napi::Value& value);
engine::Frame ToFrame(const Napi::Object& frame);
void ToPlanJob(const Napi::Object& request, engine::PlanJob& job);
void ToScoreJob(const Napi::Object& request, const engine::SlotContext& slots,
                engine::ScoreJob& job);
void ToGenerateJob(const Napi::Object& request, const engine::SlotContext& slots, bool windowed,
                   engine::GenerateJob& job);

Napi::Value FromEngineInfo(Napi::Env env, const engine::SlotContext& slots);
Napi::Value FromPlanJob(Napi::Env env, const engine::PlanJob& job);
Napi::Value FromScoreJob(Napi::Env env, const engine::ScoreJob& job);
Napi::Value FromGenerateJob(Napi::Env env, const engine::GenerateJob& job);
Napi::Value FromPromptJob(Napi::Env env, const engine::PromptJob& job);
Napi::Value FromCounters(Napi::Env env, const engine::Counters& counters);

}  // namespace gristmill::binding
