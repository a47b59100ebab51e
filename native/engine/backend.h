// ggml backends and llama.cpp's log, once per process.
//
// Backends are shared objects beside the llama library (GGML_BACKEND_DL); they are loaded by
// explicit path, never from the working directory. A CUDA backend without a driver is silently
// absent. Nothing is ever printed: the log sink keeps the last error lines of each thread, so that
// a failure can be explained.
#pragma once

#include <ggml-backend.h>
#include <ggml-cpu.h>

#include <string>

namespace gristmill::engine {

// Loads llama.cpp's backends; later calls do nothing. Thread safe.
void LoadBackends();

// Error lines that llama.cpp logged on this thread since the last call, joined by "; "; clears
// them.
std::string TakeLogErrors();

// The device called `cpu` or `cuda:<index>`; throws ENGINE_DEVICE_MISSING.
ggml_backend_dev_t FindDevice(const std::string& name);

// A pool of compute threads that lives as long as its context (ggml would otherwise start threads
// per graph). Null when the CPU backend does not export the functions.
ggml_threadpool* NewThreadPool(int n_threads);
void FreeThreadPool(ggml_threadpool* pool);

}  // namespace gristmill::engine
