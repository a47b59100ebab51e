// addressOf(view) -> bigint: where a view's bytes lie, so that tests can prove that nothing was
// copied.
// traceBytes(path): from now on readers and writers of documents tell the file where (trace.h).
// traceView(stage, view): the same, from JavaScript.
// countProgress(descriptor, offset): from now on progress (progress.h) is counted in that file.
#include "binding/memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <string>

#include "binding/convert.h"
#include "progress.h"
#include "trace.h"

namespace gristmill::binding {

namespace {

Napi::Value AddressOf(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&]() -> Napi::Value {
    const auto view = ViewOf<uint8_t>(info[0], "view");
    return Napi::BigInt::New(info.Env(), reinterpret_cast<uint64_t>(view.data()));
  });
}

CodedError Failed(const char* operation) {
  return CodedError("NATIVE_FAILED", {{"operation", operation}, {"reason", std::strerror(errno)}});
}

void TraceTo(const Napi::CallbackInfo& info) {
  Guarded(info.Env(), [&] {
    const std::string path = info[0].ToString().Utf8Value();
    const int descriptor = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (descriptor < 0) throw Failed("tracing");
    const int before = trace_descriptor.exchange(descriptor);
    if (before >= 0) close(before);
  });
}

void TraceView(const Napi::CallbackInfo& info) {
  Guarded(info.Env(), [&] {
    const auto view = ViewOf<uint8_t>(info[1], "view");
    TraceBytes(info[0].ToString().Utf8Value().c_str(), view.data(), view.size());
  });
}

// The page stays mapped: a worker has one such file, for as long as it lives.
void CountProgressIn(const Napi::CallbackInfo& info) {
  Guarded(info.Env(), [&] {
    const int descriptor = info[0].ToNumber().Int32Value();
    const uint32_t offset = info[1].ToNumber().Uint32Value();
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    if (offset % alignof(std::atomic<uint64_t>) != 0 || offset + sizeof(uint64_t) > page) {
      throw CodedError("OPTION_INVALID", {{"option", "offset"},
                                          {"expected", "a multiple of 8 in the first page"},
                                          {"received", std::to_string(offset)}});
    }
    void* mapped = mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (mapped == MAP_FAILED) throw Failed("mapping the position");
    static_assert(std::atomic<uint64_t>::is_always_lock_free);
    progress_counter =
        reinterpret_cast<std::atomic<uint64_t>*>(static_cast<char*>(mapped) + offset);
  });
}

}  // namespace

void ExportMemory(Napi::Env env, Napi::Object exports) {
  exports.Set("addressOf", Napi::Function::New(env, AddressOf, "addressOf"));
  exports.Set("traceBytes", Napi::Function::New(env, TraceTo, "traceBytes"));
  exports.Set("traceView", Napi::Function::New(env, TraceView, "traceView"));
  exports.Set("countProgress", Napi::Function::New(env, CountProgressIn, "countProgress"));
}

}  // namespace gristmill::binding
