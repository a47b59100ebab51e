// The widest instruction set that this processor runs; `GRISTMILL_MIXTURE_KERNELS` (baseline, avx2,
// avx512) narrows it, for tests.
#pragma once

namespace gristmill::mixture {

enum class Instructions { kBaseline, kAvx2, kAvx512 };

// The same all through a process.
Instructions BestInstructions();

}  // namespace gristmill::mixture
