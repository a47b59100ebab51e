// Runs independent items on a few short-lived threads; the first exception wins and is thrown to
// the caller.
#pragma once

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace gristmill::engine {

// Calls body(state, index) for every index in [0, n_items), each thread with a State of its own;
// `block` items are taken at a time.
template <typename State, typename Body>
void ParallelForWith(int n_threads, size_t n_items, size_t block, const Body& body) {
  std::atomic<size_t> next{0};
  std::exception_ptr failure;
  std::mutex failure_lock;
  const auto work = [&] {
    try {
      State state;
      for (size_t begin = next.fetch_add(block); begin < n_items; begin = next.fetch_add(block)) {
        const size_t end = std::min(n_items, begin + block);
        for (size_t index = begin; index < end; ++index) body(state, index);
      }
    } catch (...) {
      const std::lock_guard<std::mutex> guard(failure_lock);
      if (!failure) failure = std::current_exception();
      next = n_items;
    }
  };
  const size_t blocks = (n_items + block - 1) / block;
  const size_t helpers = std::min<size_t>(std::max(1, n_threads), blocks);
  std::vector<std::thread> threads;
  try {
    for (size_t index = 1; index < helpers; ++index) threads.emplace_back(work);
  } catch (const std::system_error&) {
    // No more threads to be had: those that there are do the work.
  }
  work();
  for (std::thread& thread : threads) thread.join();
  if (failure) std::rethrow_exception(failure);
}

struct NoState {};

// Calls body(index) for every index in [0, n_items); `block` items are taken at a time.
template <typename Body>
void ParallelFor(int n_threads, size_t n_items, size_t block, const Body& body) {
  ParallelForWith<NoState>(n_threads, n_items, block, [&](NoState&, size_t index) { body(index); });
}

}  // namespace gristmill::engine
