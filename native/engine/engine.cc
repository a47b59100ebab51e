#include "engine/engine.h"

#include <algorithm>

namespace gristmill::engine {

void JobQueue::Push(std::shared_ptr<Job> job) {
  {
    const std::lock_guard<std::mutex> guard(lock_);
    jobs_.push_back(std::move(job));
  }
  filled_.notify_one();
}

std::shared_ptr<Job> JobQueue::Pop() {
  std::unique_lock<std::mutex> guard(lock_);
  filled_.wait(guard, [this] { return closed_ || !jobs_.empty(); });
  if (jobs_.empty()) return nullptr;
  std::shared_ptr<Job> job = std::move(jobs_.front());
  jobs_.pop_front();
  return job;
}

void JobQueue::Close() {
  {
    const std::lock_guard<std::mutex> guard(lock_);
    closed_ = true;
  }
  filled_.notify_all();
}

namespace {

// Names a grammar: equal grammars give equal keys.
std::string KeyOf(const Grammar& grammar) {
  std::string key;
  const auto put = [&](const std::string& text) {
    key += std::to_string(text.size()) + ":" + text;
  };
  for (const std::string& whole : grammar.whole) put(whole);
  for (const auto& op : grammar.ops) {
    key += "(";
    for (const auto& part : op) {
      key += std::to_string(static_cast<int>(part.kind)) + (part.line_scope ? "l" : "w") +
             part.quote + std::to_string(part.max_bytes);
      put(part.text);
    }
    key += ")";
  }
  put(grammar.separator);
  return key + std::to_string(grammar.max_ops) + "," + std::to_string(grammar.first_line);
}

}  // namespace

// The vocabulary's trie and the automata compiled so far; lives on the compute thread.
class Engine::Compute : public ComputeContext {
 public:
  using ComputeContext::ComputeContext;

  Automaton& AutomatonOf(const Grammar& grammar) override {
    if (!trie_) trie_ = std::make_unique<VocabTrie>(slots.tokenizer());
    std::unique_ptr<Automaton>& automaton = automata_[KeyOf(grammar)];
    if (!automaton) automaton = std::make_unique<Automaton>(slots.tokenizer(), *trie_, grammar);
    return *automaton;
  }

 private:
  std::unique_ptr<VocabTrie> trie_;
  std::map<std::string, std::unique_ptr<Automaton>> automata_;
};

Engine::Engine(EngineOptions options, OnDone on_done)
    : options_(std::move(options)), on_done_(std::move(on_done)) {}

Engine::~Engine() {
  Stop(nullptr);
  Join();
}

void Engine::Open(std::shared_ptr<OpenJob> job) {
  open_job_ = std::move(job);
  compute_thread_ = std::thread([this] { RunCompute(); });
}

void Engine::Stop(std::shared_ptr<CloseJob> job) {
  if (stopping_.exchange(true)) return;
  close_job_ = std::move(job);
  text_queue_.Close();
  if (!compute_thread_.joinable() && close_job_) Done(std::move(close_job_));
}

void Engine::Join() {
  if (compute_thread_.joinable()) compute_thread_.join();
}

template <typename Work>
void Engine::Attempt(Job& job, const Work& work) {
  try {
    if (job.cancelled) throw CodedError("ABORTED", {{"what", "the engine call"}});
    if (stopping_) throw CodedError("DISPOSED", {{"object", "the engine"}});
    work();
  } catch (const CodedError& error) {
    job.error = error;
  } catch (const std::bad_alloc&) {
    job.error = CodedError("ENGINE_OUT_OF_MEMORY", {{"file", options_.model_path},
                                                    {"device", options_.device},
                                                    {"reason", "no memory on the host"}});
  } catch (const std::exception& error) {
    job.error = CodedError("NATIVE_FAILED", {{"operation", "engine"}, {"reason", error.what()}});
  }
  // What dispose() interrupts was not aborted by its caller.
  if (job.error && stopping_ && !job.cancelled && job.error->code() == "ABORTED") {
    job.error = CodedError("DISPOSED", {{"object", "the engine"}});
  }
}

void Engine::RunText() {
  const TextContext context{slots_->tokenizer(), slots_->ctx_slot(), slots_->n_text_threads(),
                            counters_};
  while (std::shared_ptr<Job> job = text_queue_.Pop()) {
    Attempt(*job, [&] { job->Prepare(context); });
    if (job->error || !job->NeedsModel()) {
      Done(std::move(job));
    } else {
      compute_queue_.Push(std::move(job));
    }
  }
  compute_queue_.Close();
}

void Engine::RunCompute() {
  Attempt(*open_job_, [&] {
    slots_ = std::make_unique<SlotContext>(options_, counters_, [this] {
      const Job* job = computing_;
      return stopping_.load(std::memory_order_relaxed) ||
             (job != nullptr && job->cancelled.load(std::memory_order_relaxed));
    });
  });
  if (open_job_->error) {
    slots_.reset();
  } else {
    text_thread_ = std::thread([this] { RunText(); });
  }
  const bool opened = slots_ != nullptr;
  Done(std::move(open_job_));
  if (opened) {
    Compute context(*slots_, counters_);
    while (std::shared_ptr<Job> job = compute_queue_.Pop()) {
      computing_ = job.get();
      Attempt(*job, [&] { job->Compute(context); });
      computing_ = nullptr;
      Done(std::move(job));
    }
    text_thread_.join();
    slots_.reset();
  } else {
    // Nothing will ever be computed; wait for Stop so that its job is done last.
    while (std::shared_ptr<Job> job = text_queue_.Pop()) {
      job->error = CodedError("DISPOSED", {{"object", "the engine"}});
      Done(std::move(job));
    }
  }
  if (close_job_) Done(std::move(close_job_));
}

}  // namespace gristmill::engine
