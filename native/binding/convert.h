// JS values to plain C++ structs and coded errors back; shared by every file of binding/.
//
// Lifetime rules
//  1. Typed-array views may lie over SharedArrayBuffers: read them with Data()/ElementLength() and
//  never ask
//     for their ArrayBuffer (Node 20 answers napi_invalid_arg for shared ones).
//  2. A view used off the JS thread is kept alive by a reference that is made and dropped on the JS
//  thread.
#pragma once

#include <napi.h>

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>

#include "error.h"

namespace gristmill::binding {

// A JS Error carrying `code` and `details`; src/native/index.ts turns it into a GristmillError.
inline Napi::Error ToJsError(Napi::Env env, const CodedError& error) {
  Napi::Error js_error = Napi::Error::New(env, error.what());
  Napi::Object details = Napi::Object::New(env);
  for (const auto& [name, value] : error.details()) details.Set(name, value);
  js_error.Value().Set("nativeCode", error.code());
  js_error.Value().Set("details", details);
  return js_error;
}

template <typename T>
struct TypedArrayOf;
template <>
struct TypedArrayOf<uint8_t> {
  using Type = Napi::Uint8Array;
  static constexpr napi_typedarray_type kind = napi_uint8_array;
};
template <>
struct TypedArrayOf<uint16_t> {
  using Type = Napi::Uint16Array;
  static constexpr napi_typedarray_type kind = napi_uint16_array;
};
template <>
struct TypedArrayOf<int16_t> {
  using Type = Napi::Int16Array;
  static constexpr napi_typedarray_type kind = napi_int16_array;
};
template <>
struct TypedArrayOf<int32_t> {
  using Type = Napi::Int32Array;
  static constexpr napi_typedarray_type kind = napi_int32_array;
};
template <>
struct TypedArrayOf<float> {
  using Type = Napi::Float32Array;
  static constexpr napi_typedarray_type kind = napi_float32_array;
};
template <>
struct TypedArrayOf<double> {
  using Type = Napi::Float64Array;
  static constexpr napi_typedarray_type kind = napi_float64_array;
};

// The elements of a typed array; throws OPTION_INVALID when `value` is something else.
template <typename T>
std::span<T> ViewOf(const Napi::Value& value, const char* name) {
  if (!value.IsTypedArray() ||
      value.As<Napi::TypedArray>().TypedArrayType() != TypedArrayOf<T>::kind) {
    throw CodedError("OPTION_INVALID", {{"option", name},
                                        {"expected", "a typed array of the right kind"},
                                        {"received", "another value"}});
  }
  auto view = value.As<typename TypedArrayOf<T>::Type>();
  return {view.Data(), view.ElementLength()};
}

// A new typed array with the elements of `values`, any contiguous range of T.
template <typename T>
typename TypedArrayOf<T>::Type NewArray(Napi::Env env, std::span<const T> values) {
  auto array = TypedArrayOf<T>::Type::New(env, values.size());
  std::copy(values.begin(), values.end(), array.Data());
  return array;
}

// Runs `body` and turns a CodedError into a thrown JS error.
template <typename Body>
auto Guarded(const Napi::Env& env, Body&& body) -> decltype(body()) {
  try {
    return body();
  } catch (const CodedError& error) {
    throw ToJsError(env, error);
  }
}

}  // namespace gristmill::binding
