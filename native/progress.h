// What moves while native code computes, counted where a supervisor sees it: in a file that this
// process maps and another one reads (src/work/position.ts). Without one it is counted in vain.
//
// Any thread may count; the counter never wraps in practice, and nothing here reads it.
#pragma once

#include <atomic>
#include <cstdint>

namespace gristmill {

inline std::atomic<uint64_t> unwatched_progress{0};
inline std::atomic<std::atomic<uint64_t>*> progress_counter{&unwatched_progress};

// Something was computed: a step of a graph, a page, a stretch of a file.
inline void CountProgress() {
  progress_counter.load(std::memory_order_relaxed)->fetch_add(1, std::memory_order_relaxed);
}

}  // namespace gristmill
