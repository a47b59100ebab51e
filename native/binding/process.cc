// What a run needs of its processes and Node does not give.
//
//   dieWithParent(pid)     this process is killed when the one that started it ends, whatever it
//                          computes; at once when that has ended already
//   setPendingMark(mark)   what files in the making are called besides the number of this process
//   exitNow(code)          ends this process without joining a thread: one that is stuck in a call
//                          of the kernel (open() of a FIFO) would keep exit() waiting for ever
//   new OwnedChild(pid)    kills and reaps a child when this environment ends before release()
//   new Heartbeat(path, firstSecond, periodMs)
//                          sets the file's time of change to firstSecond, + 1, + 2, ... from a
//                          thread of its own, so that a busy event loop is no silence
//
// Lifetime: the thread of a Heartbeat works on a descriptor of its own; stop(), the end of the
// environment and the destructor each end it, and each may come first.
#include "binding/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "binding/convert.h"
#include "binding/end_hook.h"
#include "output_file.h"

namespace gristmill::binding {

namespace {

double NumberOf(const Napi::Value& value, const char* name, double least, double most) {
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : least - 1;
  if (number >= least && number <= most) return number;
  throw CodedError("OPTION_INVALID", {{"option", name},
                                      {"expected", "a number in its range"},
                                      {"received", value.ToString().Utf8Value()}});
}

void MarkPending(const Napi::CallbackInfo& info) {
  Guarded(info.Env(), [&] {
    const std::string mark = info[0].IsString() ? info[0].As<Napi::String>().Utf8Value() : "";
    if (mark.size() != 8 || mark.find_first_not_of("0123456789abcdef") != std::string::npos) {
      throw CodedError("OPTION_INVALID", {{"option", "mark"},
                                          {"expected", "eight hexadecimal digits"},
                                          {"received", info[0].ToString().Utf8Value()}});
    }
    SetPendingMark(mark);
  });
}

void DieWithParent(const Napi::CallbackInfo& info) {
  Guarded(info.Env(), [&] {
    const auto parent = static_cast<pid_t>(NumberOf(info[0], "pid", 0, 1 << 30));
#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, SIGKILL);
#else
    std::thread([parent] {
      while (getppid() == parent) std::this_thread::sleep_for(std::chrono::milliseconds(250));
      _exit(1);
    }).detach();
#endif
    // It may have ended before this call.
    if (getppid() != parent) _exit(1);
  });
}

void ExitNow(const Napi::CallbackInfo& info) {
  Guarded(info.Env(), [&] { _exit(static_cast<int>(NumberOf(info[0], "code", 0, 255))); });
}

class OwnedChild : public Napi::ObjectWrap<OwnedChild> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "OwnedChild", {InstanceMethod<&OwnedChild::Release>("release")});
  }

  explicit OwnedChild(const Napi::CallbackInfo& info) : Napi::ObjectWrap<OwnedChild>(info) {
    Guarded(info.Env(), [&] {
      pid_ = static_cast<pid_t>(NumberOf(info[0], "pid", 2, 1 << 30));
      hook_ = std::make_unique<EndHook>(info.Env(), &OwnedChild::End, this);
    });
  }

 private:
  void Release(const Napi::CallbackInfo&) { hook_.reset(); }

  // At the end of the environment, so before release().
  static void End(void* child) {
    const pid_t pid = static_cast<OwnedChild*>(child)->pid_;
    // Only a child of ours that nobody has waited for yet has this number for certain.
    siginfo_t state{};
    if (waitid(P_PID, static_cast<id_t>(pid), &state, WEXITED | WNOHANG | WNOWAIT) != 0) return;
    kill(pid, SIGKILL);
    while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
  }

  pid_t pid_ = 0;
  std::unique_ptr<EndHook> hook_;
};

class Heartbeat : public Napi::ObjectWrap<Heartbeat> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "Heartbeat", {InstanceMethod<&Heartbeat::Stop>("stop")});
  }

  explicit Heartbeat(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Heartbeat>(info) {
    Guarded(info.Env(), [&] {
      const std::string path = info[0].ToString().Utf8Value();
      const auto first = static_cast<time_t>(NumberOf(info[1], "firstSecond", 0, 1e12));
      const auto period =
          std::chrono::milliseconds(static_cast<int64_t>(NumberOf(info[2], "periodMs", 1, 3.6e6)));
      const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
      if (file < 0) {
        throw CodedError("RUN_OUTPUT_FAILED", {{"path", path}, {"reason", std::strerror(errno)}});
      }
      beat_ = std::make_shared<Beat>();
      thread_ = std::thread(Run, beat_, file, first, period);
      hook_ = std::make_unique<EndHook>(info.Env(), &Heartbeat::End, this);
    });
  }

  ~Heartbeat() override { End(this); }

 private:
  struct Beat {
    std::mutex mutex;
    std::condition_variable wake;
    bool stopped = false;
  };

  static void Run(std::shared_ptr<Beat> beat, int file, time_t second,
                  std::chrono::milliseconds period) {
    std::unique_lock lock(beat->mutex);
    while (!beat->wake.wait_for(lock, period, [&] { return beat->stopped; })) {
      const timespec times[2] = {{0, UTIME_OMIT}, {++second, 0}};
      lock.unlock();
      // A beat that fails is one that is missed; whoever holds the lease learns of its loss from
      // its content.
      (void)futimens(file, times);
      lock.lock();
    }
    close(file);
  }

  void Stop(const Napi::CallbackInfo&) {
    End(this);
    hook_.reset();
  }

  static void End(void* self) {
    auto* heartbeat = static_cast<Heartbeat*>(self);
    if (!heartbeat->thread_.joinable()) return;
    {
      const std::lock_guard lock(heartbeat->beat_->mutex);
      heartbeat->beat_->stopped = true;
    }
    heartbeat->beat_->wake.notify_all();
    heartbeat->thread_.join();
  }

  std::shared_ptr<Beat> beat_;
  std::thread thread_;
  std::unique_ptr<EndHook> hook_;
};

}  // namespace

void ExportProcess(Napi::Env env, Napi::Object exports) {
  exports.Set("dieWithParent", Napi::Function::New(env, DieWithParent, "dieWithParent"));
  exports.Set("setPendingMark", Napi::Function::New(env, MarkPending, "setPendingMark"));
  exports.Set("exitNow", Napi::Function::New(env, ExitNow, "exitNow"));
  exports.Set("OwnedChild", OwnedChild::Define(env));
  exports.Set("Heartbeat", Heartbeat::Define(env));
}

}  // namespace gristmill::binding
