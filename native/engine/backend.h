// ggml backends and llama.cpp's log, once per process.
//
// Backends are shared objects beside the llama library (GGML_BACKEND_DL); they are loaded by
// explicit path, never from the working directory: that of the CPU always, those of GPUs when one
// is asked for. A CUDA backend without a driver is silently absent. Nothing is printed: the log
// sink keeps the last error lines of each thread, so that a failure can be explained; they go to
// standard error when ggml aborts the process.
#pragma once

#include <ggml-backend.h>
#include <ggml-cpu.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace gristmill::engine {

// Loads llama.cpp's backend for the CPU; later calls do nothing. Thread safe.
void LoadBackends();

// Error lines that llama.cpp logged on this thread since the last call, joined by "; "; clears
// them.
std::string TakeLogErrors();

// Said with the error lines when ggml aborts on this thread, e.g. what was asked of the device.
void NoteDeviceUse(std::string text);

// What takes the place of the process's end where a device has no memory left for what a graph
// takes while it is computed; `what()` is the backend's reason. Whatever computed is of no more use
// than to be freed, after a synchronisation.
class DeviceFull : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// While one lives, an abort of ggml on its thread for want of a device's memory is a DeviceFull. It
// passes through ggml's frames, which give back what they hold (CMakeLists.txt has them compiled
// for it). Other aborts end the process as ever: what an error on a device leaves behind is
// unknown.
class DeviceFullScope {
 public:
  DeviceFullScope();
  ~DeviceFullScope();
  DeviceFullScope(const DeviceFullScope&) = delete;
  DeviceFullScope& operator=(const DeviceFullScope&) = delete;
};

struct DeviceFacts {
  std::string name;         // as FindDevice takes it
  std::string description;  // model of the processor or the card
  size_t free_bytes = 0;
  size_t total_bytes = 0;
  bool shares_memory = false;  // with the CPU
};

// Devices that there are, with the backends of GPUs loaded. Bytes are asked for where `with_memory`
// says so: on a GPU that makes a context, which takes some hundred MiB of it.
std::vector<DeviceFacts> ListDevices(bool with_memory);

// Why backends that lie beside the addon are not there, in the loader's words; empty where they
// are.
std::string MissingBackends();

// The device called `cpu` or `cuda:<index>`; throws ENGINE_DEVICE_MISSING.
ggml_backend_dev_t FindDevice(const std::string& name);

bool IsCpu(ggml_backend_dev_t device);

// `1024 of 8192 MiB are free`.
std::string FreeMemory(ggml_backend_dev_t device);

// A pool of compute threads that lives as long as its context (ggml would otherwise start threads
// per graph). Null when the CPU backend does not export the functions.
ggml_threadpool* NewThreadPool(int n_threads);
void FreeThreadPool(ggml_threadpool* pool);

}  // namespace gristmill::engine
