// Limited-memory BFGS with a strong Wolfe line search (Nocedal & Wright, algorithms 7.4, 3.5, 3.6).
#pragma once

#include <functional>
#include <vector>

#include "cancel.h"

namespace gristmill::mixture {

// The value at `point`, its gradient into `gradient`; a value that is not finite is a point to stay
// away from.
using Objective =
    std::function<double(const std::vector<double>& point, std::vector<double>& gradient)>;

struct LbfgsOptions {
  int max_iterations = 100;
  int memory = 10;
  double gradient_tolerance = 1e-6;  // largest component
  double value_tolerance = 1e-10;    // relative decrease of one iteration
};

struct LbfgsResult {
  double value = 0;
  int iterations = 0;
};

// Minimises from `point`, which becomes the best point seen. Throws ABORTED.
LbfgsResult MinimiseLbfgs(const Objective& objective, std::vector<double>& point,
                          const LbfgsOptions& options, const CancelFlag& cancel);

}  // namespace gristmill::mixture
