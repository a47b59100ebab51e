// Global norm and AdamW on the device that holds the arrays, as two static graphs of ggml
// operators.
//
// The caller looks at the norm before the update: that is where a step that is not finite stops.
// Gradients stay as they are; their clipped copy lives for one tensor at a time.
#pragma once

#include <cstdint>
#include <vector>

#include "train/device_plan.h"
#include "train/shape.h"

namespace gristmill::train {

// Four arrays of the same layout (shape.h), on one backend.
struct FlatArrays {
  ggml_tensor* weights;
  ggml_tensor* gradients;
  ggml_tensor* first;
  ggml_tensor* second;
};

struct DeviceUpdate {
  double rate;
  double beta1, beta2;
  double t;  // number of this step, from 1
  float epsilon;
  float weight_decay;  // none on norms
  float grad_scale;    // global-norm clipping
};

class DeviceOptimiser {
 public:
  DeviceOptimiser(const std::vector<TensorSpec>& tensors, const FlatArrays& arrays,
                  const Device& device);

  double GradNorm();
  void Update(const DeviceUpdate& update);

 private:
  void BuildNorm(ggml_tensor* gradients);
  void BuildUpdate(const std::vector<TensorSpec>& tensors, const FlatArrays& arrays);

  DeviceTensors fixed_;
  ggml_tensor* sums_;        // squares of the gradient, one sum per slice
  ggml_tensor* grad_scale_;  // one float
  ggml_tensor* decaying_;    // the seven values of ggml_opt_step_adamw
  ggml_tensor* norms_;       // the same for norms: without decay
  DevicePlan norm_plan_;
  DevicePlan update_plan_;
};

}  // namespace gristmill::train
