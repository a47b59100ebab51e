// Dense float64 matrices, row-major: product, Cholesky factor, inverse. Blocked; one thread, so
// that the same input gives the same bytes however many fits run side by side.
//
// Products go through one register tile, compiled for AVX512, AVX2 and the baseline; the processor
// decides. Results differ in the last bits between these, never between two runs on one processor.
#pragma once

#include <cstddef>

namespace gristmill::mixture {

// A matrix seen through strides: element (row, column) lies at data[row * row_stride + column *
// column_stride]. Transposing swaps the strides.
struct MatrixView {
  const double* data;
  size_t row_stride;
  size_t column_stride;
};

// C[rows × columns] += sign · A[rows × inner] · B[inner × columns]; C is row-major, `c_stride`
// apart.
void AddProduct(size_t rows, size_t columns, size_t inner, double sign, MatrixView a, MatrixView b,
                double* c, size_t c_stride);

// Replaces the lower triangle of a [n × n] by its Cholesky factor L and fills `inverse_factor`
// [n × n] with L⁻¹ (zeros above the diagonal). False when the matrix is not positive definite.
bool CholeskyWithInverse(size_t n, double* matrix, double* inverse_factor);

// inverse [n × n], both triangles = L⁻ᵀ L⁻¹.
void InverseFromFactor(size_t n, const double* inverse_factor, double* inverse);

}  // namespace gristmill::mixture
