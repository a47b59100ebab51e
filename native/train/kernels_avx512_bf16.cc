// The kernels for x86-64 with AVX512 and its bf16 products (Zen 4, Cooper Lake, Sapphire Rapids).
// Headers come before the target region: their inline functions
// must not be compiled for instructions that another processor lacks.
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "train/kernels.h"

#if defined(__x86_64__)

#if defined(__clang__)
#pragma clang attribute push(                                                          \
    __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,avx512bf16,avx2,fma"))), \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,avx512vl,avx512bw,avx512bf16,avx2,fma")
#endif

#define KERNEL_WIDTH 16
#define KERNEL_ROWS 12
#define KERNEL_NAME "avx512bf16"
#define KERNEL_GETTER Avx512Bf16Kernels
#define KERNEL_DOT_PAIRS(sum, a, b) \
  (Vec) _mm512_dpbf16_ps((__m512)(sum), (__m512bh)(a), (__m512bh)(b))
#include "train/kernels_body.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
