// The kernels for every processor (SSE2, NEON), and the choice between the sets.
#include "train/kernels.h"

#include <cstdlib>
#include <cstring>
#include <string_view>

#define KERNEL_WIDTH 4
#define KERNEL_ROWS 6
#define KERNEL_NAME "baseline"
#define KERNEL_GETTER BaselineKernels
#include "train/kernels_body.h"

namespace gristmill::train {

const Kernels& BestKernels() {
#if defined(__x86_64__)
  const char* wish = std::getenv("GRISTMILL_TRAIN_KERNELS");
  const std::string_view limit = wish == nullptr ? "avx512bf16" : wish;
  const bool bf16 = limit == "avx512bf16";
  if ((bf16 || limit == "avx512") && __builtin_cpu_supports("avx512f") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("fma")) {
    return bf16 && __builtin_cpu_supports("avx512bf16") ? Avx512Bf16Kernels() : Avx512Kernels();
  }
  if (limit != "baseline" && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    return Avx2Kernels();
  }
#endif
  return BaselineKernels();
}

}  // namespace gristmill::train
