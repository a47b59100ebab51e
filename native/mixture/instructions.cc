#include "mixture/instructions.h"

#include <cstdlib>
#include <string_view>

namespace gristmill::mixture {

namespace {

Instructions Detect() {
#if defined(__x86_64__)
  const char* wish = std::getenv("GRISTMILL_MIXTURE_KERNELS");
  const std::string_view limit = wish == nullptr ? "avx512" : wish;
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (limit == "avx512" && avx2 && __builtin_cpu_supports("avx512f") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    return Instructions::kAvx512;
  }
  if (limit != "baseline" && avx2) return Instructions::kAvx2;
#endif
  return Instructions::kBaseline;
}

}  // namespace

Instructions BestInstructions() {
  static const Instructions best = Detect();
  return best;
}

}  // namespace gristmill::mixture
