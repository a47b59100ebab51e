// One model, one context, two owned threads: jobs are prepared (tokenised) on the text thread and
// computed on the context's thread, both in order, so that the next batch is tokenised while this
// one is computed.
//
//     Submit ──► text queue ──► text thread ──► compute queue ──► compute thread ──► on_done
//                                     └── jobs that need no model, failures ─────────► on_done
//
// Threads: Submit, Cancel and Stop are called from one thread (JS); on_done is called from both
// owned threads. The llama context is made, used and freed on the compute thread only.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "engine/jobs.h"

namespace gristmill::engine {

// A queue that is closed once; Pop returns null when it is closed and empty.
class JobQueue {
 public:
  void Push(std::shared_ptr<Job> job);
  std::shared_ptr<Job> Pop();
  void Close();

 private:
  std::mutex lock_;
  std::condition_variable filled_;
  std::deque<std::shared_ptr<Job>> jobs_;
  bool closed_ = false;
};

// The first job of every engine: loads the model.
class OpenJob : public Job {
 public:
  void Prepare(const TextContext& context) override {}
};

// The last one: done when the context is freed.
class CloseJob : public Job {
 public:
  void Prepare(const TextContext& context) override {}
};

class Engine {
 public:
  using OnDone = std::function<void(std::shared_ptr<Job>)>;

  Engine(EngineOptions options, OnDone on_done);
  ~Engine();

  // Loads the model on the compute thread; `job` is done when it is loaded (or failed).
  void Open(std::shared_ptr<OpenJob> job);
  void Submit(std::shared_ptr<Job> job) { text_queue_.Push(std::move(job)); }
  // Cancels everything; the context is freed on its thread, then `job` (may be null) is done.
  void Stop(std::shared_ptr<CloseJob> job);
  // Waits for both threads to end; Stop comes first.
  void Join();

  // Valid between Open and Stop; const and thread safe.
  const SlotContext& slots() const { return *slots_; }
  bool is_open() const { return slots_ != nullptr; }
  const Counters& counters() const { return counters_; }

 private:
  class Compute;
  void RunText();
  void RunCompute();
  void Done(std::shared_ptr<Job> job) { on_done_(std::move(job)); }
  // Runs `work` with its exceptions turned into the job's error.
  template <typename Work>
  void Attempt(Job& job, const Work& work);

  EngineOptions options_;
  OnDone on_done_;
  Counters counters_;
  std::atomic<bool> stopping_{false};
  std::atomic<Job*> computing_{nullptr};
  std::shared_ptr<OpenJob> open_job_;
  std::shared_ptr<CloseJob> close_job_;
  std::unique_ptr<SlotContext> slots_;
  JobQueue text_queue_;
  JobQueue compute_queue_;
  std::thread text_thread_;
  std::thread compute_thread_;
};

}  // namespace gristmill::engine
