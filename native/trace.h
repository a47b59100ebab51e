// Where the bytes of documents are read and written, told to a file: how a test sees that one
// address serves all stages. Off, it costs a load and a branch a document.
#pragma once

#include <cstddef>
#include <cstdio>

#include <atomic>

namespace gristmill {

inline std::atomic<int> trace_descriptor{-1};

// One line: stage, address, bytes. Lines of several threads do not mix.
inline void TraceBytes(const char* stage, const void* bytes, size_t n_bytes) {
  const int descriptor = trace_descriptor.load(std::memory_order_relaxed);
  if (descriptor >= 0) dprintf(descriptor, "%s %p %zu\n", stage, bytes, n_bytes);
}

}  // namespace gristmill
