#include "train/device_optimiser.h"

#include <algorithm>
#include <cmath>

namespace gristmill::train {

namespace {

constexpr int64_t kSlice = 1 << 22;  // floats squared at a time
constexpr size_t kFixed = 4;

int64_t Slices(const ggml_tensor* flat) {
  return (ggml_nelements(flat) + kSlice - 1) / kSlice;
}

}  // namespace

DeviceOptimiser::DeviceOptimiser(const std::vector<TensorSpec>& tensors, const FlatArrays& arrays,
                                 const Device& device)
    : fixed_(kFixed),
      sums_(fixed_.New(GGML_TYPE_F32, Slices(arrays.gradients))),
      grad_scale_(fixed_.New(GGML_TYPE_F32, 1)),
      decaying_(fixed_.New(GGML_TYPE_F32, 7)),
      norms_(fixed_.New(GGML_TYPE_F32, 7)),
      norm_plan_(device, static_cast<size_t>(Slices(arrays.gradients)) * 8),
      update_plan_(device, tensors.size() * 8) {
  fixed_.Allocate(device);
  BuildNorm(arrays.gradients);
  BuildUpdate(tensors, arrays);
}

void DeviceOptimiser::BuildNorm(ggml_tensor* gradients) {
  ggml_context* context = norm_plan_.context();
  const int64_t flat_size = ggml_nelements(gradients);
  for (int64_t index = 0; index < Slices(gradients); ++index) {
    const int64_t start = index * kSlice;
    ggml_tensor* slice = ggml_view_1d(context, gradients, std::min(kSlice, flat_size - start),
                                      static_cast<size_t>(start) * sizeof(float));
    ggml_tensor* place =
        ggml_view_1d(context, sums_, 1, static_cast<size_t>(index) * sizeof(float));
    norm_plan_.Add(ggml_cpy(context, ggml_sum(context, ggml_sqr(context, slice)), place));
  }
  norm_plan_.Allocate();
}

void DeviceOptimiser::BuildUpdate(const std::vector<TensorSpec>& tensors,
                                  const FlatArrays& arrays) {
  ggml_context* context = update_plan_.context();
  for (const TensorSpec& tensor : tensors) {
    const auto part = [&](ggml_tensor* whole) {
      return ggml_view_2d(context, whole, tensor.columns, tensor.rows,
                          static_cast<size_t>(tensor.columns) * sizeof(float),
                          static_cast<size_t>(tensor.offset) * sizeof(float));
    };
    ggml_tensor* weight = part(arrays.weights);
    weight->flags |= GGML_TENSOR_FLAG_PARAM;  // ggml_set_param() refuses views
    ggml_tensor* clipped = ggml_mul(context, part(arrays.gradients), grad_scale_);
    update_plan_.Add(ggml_opt_step_adamw(context, weight, clipped, part(arrays.first),
                                         part(arrays.second), tensor.is_norm ? norms_ : decaying_));
  }
  update_plan_.Allocate();
}

double DeviceOptimiser::GradNorm() {
  norm_plan_.Run();
  std::vector<float> sums(static_cast<size_t>(ggml_nelements(sums_)));
  ggml_backend_tensor_get(sums_, sums.data(), 0, sums.size() * sizeof(float));
  double sum = 0;
  for (const float part : sums) sum += static_cast<double>(part);
  return std::sqrt(sum);
}

void DeviceOptimiser::Update(const DeviceUpdate& update) {
  float values[7] = {static_cast<float>(update.rate),
                     static_cast<float>(update.beta1),
                     static_cast<float>(update.beta2),
                     update.epsilon,
                     update.weight_decay,
                     static_cast<float>(1.0 / (1.0 - std::pow(update.beta1, update.t))),
                     static_cast<float>(1.0 / (1.0 - std::pow(update.beta2, update.t)))};
  ggml_backend_tensor_set(decaying_, values, 0, sizeof values);
  values[4] = 0;
  ggml_backend_tensor_set(norms_, values, 0, sizeof values);
  ggml_backend_tensor_set(grad_scale_, &update.grad_scale, 0, sizeof(float));
  update_plan_.Run();
}

}  // namespace gristmill::train
