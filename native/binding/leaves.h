// What the classes of leaf columns share: LeafReader (leaves.cc) and LeafWriter (leaf_writer.cc).
#pragma once

#include <napi.h>

#include <cstdint>
#include <memory>
#include <string>

#include "codec/leaf_reader.h"
#include "error.h"

namespace gristmill::binding {

[[noreturn]] inline void Invalid(const std::string& option, const std::string& expected) {
  throw CodedError("OPTION_INVALID",
                   {{"option", option}, {"expected", expected}, {"received", "another value"}});
}

inline int64_t IntegerOf(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  if (!value.IsNumber()) Invalid(name, "a number");
  return value.As<Napi::Number>().Int64Value();
}

inline int64_t IndexOf(const Napi::Value& value, const char* name) {
  if (!value.IsNumber()) Invalid(name, "a number");
  const int64_t index = value.As<Napi::Number>().Int64Value();
  if (index < 0) Invalid(name, "a number that is not negative");
  return index;
}

inline codec::PhysicalType TypeOf(int64_t type) {
  if (type < 0 || type > 7) Invalid("type", "a physical type 0..7");
  return static_cast<codec::PhysicalType>(type);
}

inline int32_t MaxLevelOf(int64_t level) {
  if (level < 0 || level > 255) Invalid("level", "0..255");
  return static_cast<int32_t>(level);
}

// The reader that a JS object wraps. Throws OPTION_INVALID for any other value, DISPOSED.
std::shared_ptr<codec::LeafReader> LeafReaderOf(const Napi::Value& value);

// class LeafWriter
Napi::Function LeafWriterClass(Napi::Env env);

}  // namespace gristmill::binding
