#include "engine/backend.h"

#include <dlfcn.h>
#include <llama.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <filesystem>
#include <mutex>
#include <vector>

#include "error.h"

namespace gristmill::engine {

namespace {

namespace fs = std::filesystem;

constexpr size_t kKeptLines = 8;

struct LogTail {
  std::deque<std::string> lines;
  bool continues = false;
};
thread_local LogTail log_tail;

void LogSink(ggml_log_level level, const char* text, void*) {
  if (text == nullptr) return;
  LogTail& tail = log_tail;
  if (level == GGML_LOG_LEVEL_CONT) {
    if (tail.continues && !tail.lines.empty()) tail.lines.back() += text;
    return;
  }
  tail.continues = level == GGML_LOG_LEVEL_ERROR;
  if (!tail.continues) return;
  tail.lines.emplace_back(text);
  if (tail.lines.size() > kKeptLines) tail.lines.pop_front();
}

fs::path FolderOf(const void* symbol) {
  Dl_info found{};
  if (dladdr(symbol, &found) == 0 || found.dli_fname == nullptr) return {};
  std::error_code ignored;
  const fs::path resolved = fs::canonical(found.dli_fname, ignored);
  return (ignored ? fs::path(found.dli_fname) : resolved).parent_path();
}

bool IsBackendFile(const fs::path& file, const std::string& kind) {
  const std::string name = file.filename().string();
  const std::string stem = "libggml-" + kind;
  if (name.compare(0, stem.size(), stem) != 0) return false;
  const std::string extension = file.extension().string();
  if (extension != ".so" && extension != ".dylib") return false;
  return name[stem.size()] == '.' || name[stem.size()] == '-';
}

// Why backends that lie here were not loaded, in the loader's words; written once, by LoadBackends.
std::string& LoadFailures() {
  static std::string failures;
  return failures;
}

void NoteFailure(const fs::path& file, const std::string& reason) {
  std::string& failures = LoadFailures();
  if (!failures.empty()) failures += "; ";
  failures += file.filename().string() + ": " + reason;
}

// What the thread's context holds on its device, for whoever reads why the process ended.
thread_local std::string device_use;

// Scopes on this thread in which a full device is an exception.
thread_local int device_full_scopes = 0;

// Whether the last error of a device in `logged` is that it has no memory left, in the words of
// CUDA and of cuBLAS.
bool IsFull(const std::string& logged) {
  const size_t begin = logged.rfind("CUDA error: ");
  if (begin == std::string::npos) return false;
  const std::string said = logged.substr(begin, logged.find("; ", begin) - begin);
  for (const char* words : {"out of memory", "resource allocation failed", "ALLOC_FAILED"}) {
    if (said.find(words) != std::string::npos) return true;
  }
  return false;
}

// ggml calls this and then abort(). Without it ggml forks a debugger that prints every stack, and
// says nothing where there is none. The reason of a CUDA error is in the log; the parent of a
// worker keeps what is written here as the worker's last words.
void SayWhyItAborts(const char* message) {
  const std::string logged = TakeLogErrors();
  if (device_full_scopes > 0 && IsFull(logged)) throw DeviceFull(logged);
  std::string said = "llama.cpp ended the process: ";
  // The place in the source last: what keeps the line may cut it.
  if (!logged.empty()) said += logged + "; ";
  if (!device_use.empty()) said += device_use + "; ";
  said += message;
  said += "\n";
  for (size_t written = 0; written < said.size();) {
    const ssize_t more = write(STDERR_FILENO, said.data() + written, said.size() - written);
    if (more <= 0) break;
    written += static_cast<size_t>(more);
  }
}

// What the backend says of itself on this machine: 0 = cannot run here; 1 when it does not say.
int ScoreOf(const fs::path& file) {
  void* handle = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* reason = dlerror();
    NoteFailure(file, reason == nullptr ? "cannot be loaded" : reason);
    return 0;
  }
  auto score = reinterpret_cast<int (*)()>(dlsym(handle, "ggml_backend_score"));
  const int result = score != nullptr ? score() : 1;
  dlclose(handle);
  return result;
}

void LoadBest(const std::vector<fs::path>& folders, const std::string& kind) {
  fs::path best;
  int best_score = 0;
  for (const fs::path& folder : folders) {
    std::vector<fs::path> files;
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(folder, ignored)) {
      if (IsBackendFile(entry.path(), kind)) files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    for (const fs::path& file : files) {
      const int score = ScoreOf(file);
      if (score > best_score) {
        best_score = score;
        best = file;
      }
    }
    if (best_score > 0) break;
  }
  if (best_score > 0 && ggml_backend_load(best.c_str()) == nullptr) {
    const std::string reason = TakeLogErrors();
    NoteFailure(best, reason.empty() ? "ggml does not take it" : reason);
  }
}

void* CpuFunction(const char* name) {
  ggml_backend_dev_t cpu = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
  if (cpu == nullptr) return nullptr;
  return ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(cpu), name);
}

}  // namespace

namespace {

// Beside the addon when installed; beside the llama library in a build tree.
std::vector<fs::path> BackendFolders() {
  return {FolderOf(reinterpret_cast<const void*>(&LoadBackends)),
          FolderOf(reinterpret_cast<const void*>(&llama_backend_init))};
}

// Only where a GPU is asked for: a driver that ends the process while it is loaded takes no run on
// the CPU along, and such a run makes no context on a GPU.
void LoadGpuBackends() {
  LoadBackends();
  static std::once_flag once;
  std::call_once(once, [] {
    LoadBest(BackendFolders(), "cuda");
    LoadBest(BackendFolders(), "metal");
    TakeLogErrors();
  });
}

// `cpu`, or the device's place among those that compute apart from the CPU: cards of their own and
// GPUs that share its memory (DGX Spark, Jetson). Empty for what is neither.
std::string LabelOf(ggml_backend_dev_t device, int& n_gpus) {
  switch (ggml_backend_dev_type(device)) {
    case GGML_BACKEND_DEVICE_TYPE_CPU:
      return "cpu";
    case GGML_BACKEND_DEVICE_TYPE_GPU:
    case GGML_BACKEND_DEVICE_TYPE_IGPU:
      return "cuda:" + std::to_string(n_gpus++);
    default:
      return "";
  }
}

}  // namespace

void LoadBackends() {
  static std::once_flag once;
  std::call_once(once, [] {
    // libgomp reads this when it is loaded, with the CPU backend. Its threads then sleep at a
    // barrier after about a microsecond: spinning ones cost up to 95 % of the throughput as soon as
    // others use the cores too (bench/LOG.md).
    if (std::getenv("OMP_WAIT_POLICY") == nullptr) setenv("GOMP_SPINCOUNT", "1000", 0);
    llama_log_set(LogSink, nullptr);
    ggml_set_abort_callback(SayWhyItAborts);
    // Nor does it fork one over an exception that nobody catches.
    setenv("GGML_NO_BACKTRACE", "1", 0);
    LoadBest(BackendFolders(), "cpu");
    llama_backend_init();
    TakeLogErrors();
  });
}

DeviceFullScope::DeviceFullScope() {
  device_full_scopes += 1;
}

DeviceFullScope::~DeviceFullScope() {
  device_full_scopes -= 1;
}

void NoteDeviceUse(std::string text) {
  device_use = std::move(text);
}

std::string TakeLogErrors() {
  std::string joined;
  for (std::string& line : log_tail.lines) {
    while (!line.empty() && (line.back() == '\n' || line.back() == ' ')) line.pop_back();
    if (!joined.empty()) joined += "; ";
    joined += line;
  }
  log_tail.lines.clear();
  log_tail.continues = false;
  return joined;
}

std::vector<DeviceFacts> ListDevices(bool with_memory) {
  LoadGpuBackends();
  std::vector<DeviceFacts> devices;
  int n_gpus = 0;
  for (size_t index = 0; index < ggml_backend_dev_count(); ++index) {
    ggml_backend_dev_t device = ggml_backend_dev_get(index);
    DeviceFacts facts;
    facts.name = LabelOf(device, n_gpus);
    if (facts.name.empty()) continue;
    facts.description = ggml_backend_dev_description(device);
    facts.shares_memory = ggml_backend_dev_type(device) != GGML_BACKEND_DEVICE_TYPE_GPU;
    if (with_memory) ggml_backend_dev_memory(device, &facts.free_bytes, &facts.total_bytes);
    devices.push_back(std::move(facts));
  }
  return devices;
}

std::string MissingBackends() {
  LoadGpuBackends();
  return LoadFailures();
}

ggml_backend_dev_t FindDevice(const std::string& name) {
  if (name == "cpu") {
    LoadBackends();
  } else {
    LoadGpuBackends();
  }
  std::string available;
  int n_gpus = 0;
  for (size_t index = 0; index < ggml_backend_dev_count(); ++index) {
    ggml_backend_dev_t device = ggml_backend_dev_get(index);
    const std::string label = LabelOf(device, n_gpus);
    if (label.empty()) continue;
    if (label == name) return device;
    available += (available.empty() ? "" : ", ") + label;
  }
  if (available.empty()) available = "none";
  // A machine without a driver has a CUDA backend that cannot be loaded: said only where a device
  // is missed.
  if (!LoadFailures().empty()) available += " (" + LoadFailures() + ")";
  throw CodedError("ENGINE_DEVICE_MISSING", {{"device", name}, {"available", available}});
}

bool IsCpu(ggml_backend_dev_t device) {
  return ggml_backend_dev_type(device) == GGML_BACKEND_DEVICE_TYPE_CPU;
}

std::string FreeMemory(ggml_backend_dev_t device) {
  size_t free_bytes = 0;
  size_t total_bytes = 0;
  ggml_backend_dev_memory(device, &free_bytes, &total_bytes);
  return std::to_string(free_bytes >> 20) + " of " + std::to_string(total_bytes >> 20) +
         " MiB are free";
}

ggml_threadpool* NewThreadPool(int n_threads) {
  auto create = reinterpret_cast<ggml_threadpool* (*)(ggml_threadpool_params*)>(
      CpuFunction("ggml_threadpool_new"));
  if (create == nullptr || n_threads < 2) return nullptr;
  ggml_threadpool_params params = ggml_threadpool_params_default(n_threads);
  return create(&params);
}

void FreeThreadPool(ggml_threadpool* pool) {
  if (pool == nullptr) return;
  auto free_pool =
      reinterpret_cast<void (*)(ggml_threadpool*)>(CpuFunction("ggml_threadpool_free"));
  if (free_pool != nullptr) free_pool(pool);
}

}  // namespace gristmill::engine
