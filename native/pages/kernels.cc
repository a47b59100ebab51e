// The kernels for every processor, and the choice between the sets.
#include "pages/kernels.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define KERNEL_GETTER BaselinePageKernels
#include "pages/kernels_body.h"

namespace gristmill::pages {

const Kernels& PageKernels() {
#if defined(__x86_64__)
  static const Kernels& best = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi")
                                   ? Avx2PageKernels()
                                   : BaselinePageKernels();
  return best;
#else
  return BaselinePageKernels();
#endif
}

}  // namespace gristmill::pages
