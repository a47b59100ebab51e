// The kernels for x86-64 with AVX2. Headers come before the target region: their inline functions
// must not be compiled for instructions that another processor lacks.
#include "pages/kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,bmi")
#endif

#define KERNEL_AVX2
#define KERNEL_GETTER Avx2PageKernels
#include "pages/kernels_body.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
