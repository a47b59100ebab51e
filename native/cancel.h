// A word of memory that another thread sets to stop long work; looked at between its steps.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "error.h"

namespace gristmill {

class CancelFlag {
 public:
  // `word` may be null (never cancelled); it outlives the flag.
  CancelFlag(int32_t* word, std::string what) : word_(word), what_(std::move(what)) {}

  void Check() const {
    if (word_ == nullptr || std::atomic_ref<int32_t>(*word_).load(std::memory_order_relaxed) == 0) {
      return;
    }
    throw CodedError("ABORTED", {{"what", what_}});
  }

 private:
  int32_t* word_;
  std::string what_;
};

}  // namespace gristmill
