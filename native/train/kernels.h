// CPU kernels of the trainer: a packed matrix product, row reductions and the element-wise parts.
//
// One source (kernels_body.h) is compiled for three instruction sets; BestKernels() picks at run
// time. Every kernel adds in an order that depends on the sizes alone, never on who calls it for
// which rows, so a step has the same bits whatever the number of threads.
//
// Packed operand B [k x n] of Multiply(): panels of `panel` columns, zero-padded on the right.
//
//   columns 0..panel-1        columns panel..2*panel-1
//   [k=0: panel floats]       [k=0: panel floats]       ...
//   [k=1: panel floats]       [k=1: panel floats]
//
// Operand A is read in place, a[row * row_stride + k * k_stride]: broadcasts need no packing.
//
// Products in bf16 read words that hold two neighbouring k, the even one in the low half (an odd k
// is padded by zero). B has the layout above, of words; A is rounded by round_pairs(). A word is
// two products that are exact in float32, added to the sum one after the other, the odd k first:
// what vdpbf16ps does, and what the sets without it do in its place. So the bits of a bf16 product
// are the same on every processor. Subnormal values are rounded to zero.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gristmill::train {

// Values of one AdamW update; the bias corrections are folded into `rate` and `root_scale`.
struct AdamStep {
  float beta1;
  float beta2;
  float epsilon;
  float rate;        // learning rate / (1 - beta1^t)
  float root_scale;  // 1 / sqrt(1 - beta2^t)
  float keep;        // 1 - learning rate * weight decay
  float grad_scale;  // global-norm clipping
};

struct Kernels {
  const char* name;
  int64_t panel;
  bool bf16_instructions;

  // b[k * row_stride + n * column_stride] into panels that are `panel_stride` floats apart.
  void (*pack)(int64_t k, int64_t n, const float* b, int64_t row_stride, int64_t column_stride,
               float* packed, int64_t panel_stride);
  // C[m x n] = A B, or C += A B.
  void (*multiply)(int64_t m, int64_t n, int64_t k, const float* a, int64_t row_stride,
                   int64_t k_stride, const float* packed, int64_t panel_stride, float* c,
                   int64_t ldc, bool accumulate);
  void (*pack_pairs)(int64_t k, int64_t n, const float* b, int64_t row_stride,
                     int64_t column_stride, uint32_t* packed, int64_t panel_stride);
  // A [m x k] as words: [row][pair] where k_stride is 1, else [pair][row].
  void (*round_pairs)(int64_t m, int64_t k, const float* a, int64_t row_stride, int64_t k_stride,
                      uint32_t* words);
  // As multiply(), `pairs` words deep.
  void (*multiply_pairs)(int64_t m, int64_t n, int64_t pairs, const uint32_t* a, int64_t row_stride,
                         int64_t pair_stride, const uint32_t* packed, int64_t panel_stride,
                         float* c, int64_t ldc, bool accumulate);
  float (*dot)(int64_t n, const float* a, const float* b);
  // y += alpha * x
  void (*axpy)(int64_t n, float alpha, const float* x, float* y);
  // y = exp(x + shift), returns the sum of y.
  float (*exp_sum)(int64_t n, const float* x, float shift, float* y);
  float (*max)(int64_t n, const float* x);
  // out = gate * sigmoid(gate) * up
  void (*swiglu)(int64_t n, const float* gate, const float* up, float* out);
  void (*swiglu_back)(int64_t n, const float* gate, const float* up, const float* d_out,
                      float* d_gate, float* d_up);
  void (*adamw)(int64_t n, const AdamStep& step, const float* grad, float* weight, float* first,
                float* second);
};

// The widest set this processor runs; `GRISTMILL_TRAIN_KERNELS` (baseline, avx2, avx512,
// avx512bf16) narrows it.
const Kernels& BestKernels();

const Kernels& BaselineKernels();
#if defined(__x86_64__)
const Kernels& Avx2Kernels();
const Kernels& Avx512Kernels();
const Kernels& Avx512Bf16Kernels();
#endif

}  // namespace gristmill::train
