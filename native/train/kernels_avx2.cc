// The kernels for x86-64 with AVX2. Headers come before the target region: their inline functions
// must not be compiled for instructions that another processor lacks.
#include <cstring>

#include "train/kernels.h"

#if defined(__x86_64__)

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif

#define KERNEL_WIDTH 8
#define KERNEL_ROWS 6
#define KERNEL_NAME "avx2"
#define KERNEL_GETTER Avx2Kernels
#include "train/kernels_body.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
