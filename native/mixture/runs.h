// What a surrogate is fitted on.
#pragma once

#include <cstddef>

namespace gristmill::mixture {

// Rows of one target; the memory belongs to the caller.
struct Runs {
  size_t n_runs = 0;
  size_t n_domains = 0;
  const double* weights = nullptr;  // [n_runs × n_domains]
  const double* losses = nullptr;   // [n_runs]
};

}  // namespace gristmill::mixture
